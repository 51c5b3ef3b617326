"""Error rates of cells on one corpus, greedy and with beams, and the time that answers take.

    python benchmarks/compare_cells.py --corpus speech:digits/manifest.tsv --output digits.json

What a beam adds for a language model is chosen on validation, once for each model. Models and
figures that are there already are not made again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from seqnlp_speech.answering import search_for
from seqnlp_speech.options import SearchOptions
from seqnlp_speech.rates import error_report
from seqnlp_speech.task import SpeechTask
from seqnlp_speech.wav import read_wav

import seqnlp
from seqnlp.data import Split

CELLS = ("lstm", "gru", "min_gru", "rnn")
GRID = [(weight, bonus) for weight in (0.1, 0.2, 0.4, 0.6) for bonus in (0.0, 0.5, 1.0)]
MOST_TIMED = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--cells", nargs="+", default=CELLS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--stream", action="store_true", help="Models that can stream.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = json.loads(options.output.read_text()) if options.output.exists() else {}
    for cell in options.cells:
        name = f"{cell} streaming" if options.stream else cell
        if name not in found:
            found[name] = measure(cell, options)
            options.output.write_text(json.dumps(found, indent=2) + "\n")
        print(json.dumps({name: found[name]}), flush=True)


def measure(cell: str, options: argparse.Namespace) -> dict[str, Any]:
    one_way = ["model.bidirectional=false", "head.features.normalization=running"]
    settings = seqnlp.load_settings(
        overrides=[
            "task=speech", f"corpus.name={options.corpus}", f"model.cell={cell}",
            f"train.epochs={options.epochs}", f"seed={options.seed}", "threads=1",
            *(one_way if options.stream else []),
        ],
        base=SpeechTask.defaults,
    )  # fmt: skip
    model = seqnlp.train(settings, notify=print)
    task = model.task
    assert isinstance(task, SpeechTask)
    corpus = model.corpus()
    validation, test = (Decoded(task, corpus.split(name)) for name in ("validation", "test"))
    beam = SearchOptions(method="beam", beam_size=16)
    chosen = min(
        (beam.model_copy(update={"lm_weight": w, "symbol_bonus": b}) for w, b in GRID),
        key=lambda search: validation.report(search)["cer"]["value"],
    )
    return {
        "parameters": sum(weight.numel() for weight in task.parameters()),
        "seconds_an_epoch": float(
            np.median([e["train_seconds"] for e in model.metrics["training"][0]["epochs"]])
        ),
        "validation_cer": model.metrics["validation"]["cer"]["value"],
        "greedy": test.report(SearchOptions()),
        "beam": test.report(beam),
        "beam_lm": test.report(chosen) | chosen.model_dump(include={"lm_weight", "symbol_bonus"}),
        "real_time_factor": real_time_factor(model, corpus.split("test")),
    }


class Decoded:
    """A split whose log-probabilities are computed once and searched in many ways."""

    def __init__(self, task: SpeechTask, split: Split) -> None:
        self.task, self.references = task, task.references(split)
        logs = task.log_probabilities(task.read(split), batch_size=64)
        self.logs = [own for _, own in sorted(logs, key=lambda each: each[0])]

    def report(self, search: SearchOptions) -> dict[str, Any]:
        self.task.search = search
        return error_report(list(self.texts()), self.references)

    def texts(self) -> Iterator[str]:
        for logs in self.logs:
            search = search_for(self.task)
            search.advance(logs)
            yield self.task.symbols.decode(search.best()[0].symbols)


def real_time_factor(model: seqnlp.Model, split: Split) -> dict[str, float]:
    """Seconds of one core a second of sound, file after file, reading and frames included."""
    paths = list(split.column("audio"))[:MOST_TIMED]
    length = sum(read_wav(path).seconds for path in paths)
    found = {}
    for method in ("greedy", "beam"):
        model.task.search = SearchOptions.model_validate({"method": method})  # type: ignore[assignment]
        model(paths[0])
        started = time.process_time()
        for path in paths:
            model(path)
        found[method] = (time.process_time() - started) / length
    return found


if __name__ == "__main__":
    main()
