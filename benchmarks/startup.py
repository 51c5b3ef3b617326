"""How long `seqnlp --help` takes against `python -c "import click"`, and `seqnlp list` against it.

    python benchmarks/startup.py

`list` with ten plugins of five parts each, planted into a folder beside what is installed. Each
command is a process; they take turns, after one turn each that does not count.
"""

from __future__ import annotations

import argparse
import compileall
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SEQNLP = str(Path(sys.executable).with_name("seqnlp"))
COMMANDS = {
    "import click": [sys.executable, "-c", "import click"],
    "seqnlp --help": [SEQNLP, "--help"],
    "seqnlp list": [SEQNLP, "list"],
}
RATIOS = (("seqnlp --help", "import click"), ("seqnlp list", "seqnlp --help"))
PLUGINS, PARTS = 10, 5
LINES = 150
"""Of the module of a part."""


def plant(site: Path) -> None:
    """Install plugins into a folder, as pip would leave them."""
    filler = "".join(f"NUMBER_{line} = {line}\n" for line in range(LINES))
    for number in range(PLUGINS):
        name = f"seqnlp_planted{number}"
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n")
        parts = [f"planted{number}-{part} = {name}.part{part}:Part" for part in range(PARTS)]
        entries = ["[seqnlp.interface]", f"1 = {name}", "[seqnlp.cells]", *parts]
        (info / "entry_points.txt").write_text("\n".join(entries) + "\n")
        (site / name).mkdir()
        (site / name / "__init__.py").write_text("")
        for part in range(PARTS):
            source = f'import torch\n{filler}\nclass Part:\n    """A part."""\n'
            (site / name / f"part{part}.py").write_text(source)
    compileall.compile_dir(site, quiet=1)


def seconds(command: list[str], environment: dict[str, str]) -> float:
    """Wall seconds of a process."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - began


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=25, help="timed turns of each command")
    runs = parser.parse_args().runs
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as site:
        plant(Path(site))
        environment = {**os.environ, "PYTHONPATH": site}
        for number in range(runs + 1):
            for name, command in COMMANDS.items():
                spent = seconds(command, environment)
                if number:
                    times[name].append(1000 * spent)
    print("| command | median, ms | quartiles |\n|---|---|---|")
    for name, spent_each in times.items():
        low, middle, high = statistics.quantiles(spent_each, n=4)
        print(f"| `{name}` | {middle:.0f} | {low:.0f} to {high:.0f} |")
    print()
    for own, base in RATIOS:
        ratio = statistics.median(times[own]) / statistics.median(times[base])
        print(f"`{own}` over `{base}`, ratio of the medians: **{ratio:.2f}**")


if __name__ == "__main__":
    main()
