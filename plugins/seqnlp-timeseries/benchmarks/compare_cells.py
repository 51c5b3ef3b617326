"""Train forecasters and detectors of several cells and seeds, and print their figures as a table.

    python benchmarks/compare_cells.py runs/cells.json --cells rnn lstm gru min_gru --seeds 0 1 2

What was trained before is read from the file; everything else has the defaults of the tasks.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import seqnlp
from seqnlp.files import write_text
from seqnlp.registry import tasks

FIGURES = {
    "forecast": {"mase": "MASE", "smape": "sMAPE", "rmse": "RMSE", "wis": "WIS",
                 "interval_score_95": "IS 95", "coverage_80": "cover 80",
                 "coverage_95": "cover 95"},
    "anomaly": {"f1": "F1", "event_f1": "event F1", "auc_pr": "AUC-PR"},
}  # fmt: skip
PERCENT = {"smape", "coverage_80", "coverage_95", "f1", "event_f1", "auc_pr"}
CHOSEN_BY = {"forecast": "wis", "anomaly": "auc_pr"}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--task", choices=sorted(FIGURES), default="forecast")
    parser.add_argument("--cells", nargs="+", default=["rnn", "lstm", "gru", "min_gru"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--set", nargs="*", default=[], help="settings, KEY=VALUE")
    given = parser.parse_args()
    torch.set_num_threads(1)
    results = json.loads(given.results.read_text()) if given.results.exists() else {}
    for cell in given.cells:
        for seed in given.seeds:
            key = " ".join([given.task, cell, str(seed), *given.set])
            if key not in results:
                results[key] = train(given.task, cell, seed, given.set)
                write_text(given.results, json.dumps(results, indent=1))
            print(key, f"{results[key]['seconds']:.0f} s", flush=True)
    print(table(given.task, given.cells, given.seeds, given.set, results))


def train(task: str, cell: str, seed: int, changes: Sequence[str]) -> dict[str, Any]:
    """The figures of one run."""
    overrides = [f"task={task}", f"model.cell={cell}", f"seed={seed}", "threads=1", *changes]
    settings = seqnlp.load_settings(overrides=overrides, base=tasks.get(task).defaults)
    return seqnlp.train(settings).metrics


def table(
    task: str,
    cells: Sequence[str],
    seeds: Sequence[int],
    changes: Sequence[str],
    results: Mapping[str, Any],
) -> str:
    """Means over seeds and their standard deviations, in Markdown."""
    names = FIGURES[task]
    chosen = CHOSEN_BY[task]
    heads = [f"validation {names[chosen]}", *(f"test {name}" for name in names.values()), "seconds"]
    lines = [f"| system | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]
    for cell in cells:
        runs = [results[" ".join([task, cell, str(seed), *changes])] for seed in seeds]
        cells_of = [_mean(chosen, [_value(run["validation"][chosen]) for run in runs])]
        cells_of += [_mean(key, [_value(run["test"][key]) for run in runs]) for key in names]
        cells_of.append(f"{np.mean([run['seconds'] for run in runs]):.0f}")
        lines.append(f"| {cell} | {' | '.join(cells_of)} |")
    last = results[" ".join([task, cells[0], str(seeds[0]), *changes])]
    for name, report in last["baselines"].items():
        values = [_mean(key, [_value(report[key])]) for key in names]
        lines.append(f"| {name} | | {' | '.join(values)} | |")
    return "\n".join(lines)


def _value(figure: Any) -> float:
    return float(figure["value"] if isinstance(figure, dict) else figure)


def _mean(key: str, values: Sequence[float]) -> str:
    scale, digits = (100, 1) if key in PERCENT else (1, 3)
    spread = f" ± {scale * np.std(values):.{digits}f}" if len(values) > 1 else ""
    return f"{scale * np.mean(values):.{digits}f}{spread}"


if __name__ == "__main__":
    main()
