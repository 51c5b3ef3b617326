"""Compares Transformers with recurrent networks: figures, parameters, and what they cost.

python benchmarks/compare.py NAME ...           trains and measures, into benchmarks/figures.json
python benchmarks/compare.py --seeds 0 1 NAME   the same with several seeds
python benchmarks/compare.py --table            prints the table of all that was measured
python benchmarks/compare.py --check            exits 1 where the README has another table

A NAME is CORPUS/NETWORK, such as reviews/lstm or reviews/transformer; of one that is measured
already, nothing is done. One thread; seconds are those of the processor, so that other processes
change them little.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

HERE = Path(__file__).parent
FIGURES, README = HERE / "figures.json", HERE.parent / "README.md"
BEGIN, END = "<!-- compare.py: begin -->", "<!-- compare.py: end -->"
CORPORA: dict[str, tuple[str, tuple[str, ...]]] = {
    "reviews": ("sentiment", ("accuracy",)),
    "sst2": ("sentiment", ("accuracy",)),
    "stories": ("translation", ("bleu", "chrf")),
    "multi30k": ("translation", ("bleu", "chrf")),
    "reports": ("summarization", ("rouge1", "rouge2", "rougeL")),
}
"""Name to task and the figures of the table, the first of which chooses the epoch."""
NETWORKS: dict[str, str] = {
    "reviews/lstm": "",
    "reviews/transformer": "recipes/reviews.toml",
    "sst2/lstm": "sst2.toml",
    "sst2/transformer": "recipes/sst2.toml",
    "stories/gru": "",
    "stories/transformer": "recipes/stories.toml",
    "multi30k/gru": "multi30k.toml",
    "multi30k/transformer": "recipes/multi30k.toml",
    "reports/lstm": "",
    "reports/transformer": "recipes/reports.toml",
}
"""Names to recipes: of this package, of seqnlp, or none, which is the defaults of the task."""


def settings_of(name: str, seed: int) -> Any:
    """The settings of a run."""
    from seqnlp import load_settings
    from seqnlp.files import shipped
    from seqnlp.registry import tasks

    corpus, recipe = name.partition("/")[0], NETWORKS[name]
    task = tasks.get(CORPORA[corpus][0])
    path = HERE.parent / recipe
    if not path.exists():
        path = shipped("recipes") / recipe
    given = [f"task={CORPORA[corpus][0]}", f"corpus.name={corpus}", "threads=1", f"seed={seed}"]
    recipe_file = path if recipe else None
    return load_settings(recipe_file, given, base=task.defaults, unread=task.unread)


def measure(name: str, seed: int) -> dict[str, Any]:
    """Train one model; its figures and what it costs."""
    from seqnlp.training import Hook, Trainer, train

    class Clock(Hook):
        """Processor seconds of the training with its validations."""

        def on_fit_start(self, trainer: Trainer) -> None:
            self.begin = time.process_time()

        def on_fit_end(self, trainer: Trainer) -> None:
            self.seconds = time.process_time() - self.begin

        def on_evaluate_end(self, trainer: Trainer) -> None:
            figures = {key: round(value, 4) for key, value in trainer.figures.items()}
            print(f"  {name} seed {seed} epoch {trainer.epoch}: {figures}", flush=True)

    clock = Clock()
    settings = settings_of(name, seed)
    model = train(settings, None, hooks=[clock], notify=print)
    split = model.corpus().split("test")
    texts = [str(text) for text in split.column(model.task.fields[0].name)]
    begin = time.process_time()
    answers = list(model.predict(texts))
    spent = time.process_time() - begin
    wanted = CORPORA[name.partition("/")[0]][1]
    return {
        "parameters": sum(each.numel() for each in model.task.parameters()),
        "train_seconds": round(clock.seconds, 1),
        "answer_ms": round(1000 * spent / len(answers), 2),
        "validation": {key: _value(model.metrics["validation"], key) for key in wanted},
        "test": {key: _value(model.metrics["test"], key) for key in wanted},
    }


def _value(report: Mapping[str, Any], key: str) -> float:
    return round(float(report[key]["value"]), 4)


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """A Markdown table of the means over seeds, corpus by corpus."""
    lines = [
        "| corpus | network | parameters | seeds | validation | test | training, s | answer, ms |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in NETWORKS:
        runs = list(found.get(name, {}).values())
        if not runs:
            continue
        corpus, _, network = name.partition("/")
        wanted = CORPORA[corpus][1]
        scale = 100 if wanted == ("accuracy",) else 1
        cells = [
            " / ".join(f"{scale * mean(run[split][key] for run in runs):.1f}" for key in wanted)
            for split in ("validation", "test")
        ]
        lines.append(
            f"| {corpus} | {network} | {runs[0]['parameters']:,} | {len(runs)} | {cells[0]} | "
            f"{cells[1]} | {mean(run['train_seconds'] for run in runs):.0f} | "
            f"{mean(run['answer_ms'] for run in runs):.1f} |"
        )
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print or check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NETWORKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args(words)
    if unknown := sorted(set(given.names) - set(NETWORKS)):
        parser.error(f"no network {unknown[0]!r}; known: {', '.join(NETWORKS)}")
    found = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.is_file() else {}
    for name in given.names:
        for seed in given.seeds:
            if str(seed) not in found.setdefault(name, {}):
                found[name][str(seed)] = measure(name, seed)
                FIGURES.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
                print(name, seed, found[name][str(seed)], flush=True)
    if given.table:
        print(table(found))
    if given.check:
        text = README.read_text(encoding="utf-8")
        written = text.partition(BEGIN)[2].partition(END)[0].strip()
        if written != table(found):
            print(f"{README} has another table than {FIGURES}; see --table", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
