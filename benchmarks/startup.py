"""How long `seqnlp --help` takes against `python -c "import click"`.

    python benchmarks/startup.py

Both start a process; they take turns, after one turn each that does not count.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = {
    "import click": [sys.executable, "-c", "import click"],
    "seqnlp --help": [str(Path(sys.executable).with_name("seqnlp")), "--help"],
}


def seconds(command: list[str]) -> float:
    """Wall seconds of a process."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=25, help="timed turns of each command")
    runs = parser.parse_args().runs
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(runs + 1):
        for name, command in COMMANDS.items():
            spent = seconds(command)
            if number:
                times[name].append(1000 * spent)
    print("| command | median, ms | quartiles |\n|---|---|---|")
    for name, spent_each in times.items():
        low, middle, high = statistics.quantiles(spent_each, n=4)
        print(f"| `{name}` | {middle:.0f} | {low:.0f} to {high:.0f} |")
    base, own = (statistics.median(times[name]) for name in COMMANDS)
    print(f"\nRatio of the medians: **{own / base:.2f}**")


if __name__ == "__main__":
    main()
