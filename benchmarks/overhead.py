"""What the toolkit costs over a plain PyTorch loop that does the same work, on one core.

    SEQNLP_DATA=... python benchmarks/overhead.py --output overhead.md

The peer is what one writes by hand: dictionary look-ups, `pad_sequence`, `nn.Embedding`,
`nn.LSTM`, max pooling, `nn.Linear`, a fused optimizer. It is no straw man: its tokens are
numbered and its batches cut before the clock starts; it makes no masks, so that padding, which the
toolkit keeps out of its results, leaks into its own (the customary plain loop). Before anything is
timed, both hold the same weights and must give the same probabilities.

Both run in this process, in many short turns, the first place alternating. A ratio is the median
over the pairs of turns, in CPU seconds: the machine may be shared, and what disturbs it disturbs
both turns of a pair.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from plain.sentiment import BATCH, Plain

from seqnlp.bundle import Model
from seqnlp.config import Settings, load_settings
from seqnlp.data.batching import LengthBuckets
from seqnlp.data.corpus import Corpus, open_corpus
from seqnlp.data.split import Split
from seqnlp.tasks.sentiment import SentimentTask
from seqnlp.training.hooks import Hook
from seqnlp.training.preparation import complete, make_hooks
from seqnlp.training.trainer import Trainer


def settings_of(corpus: str, buckets: int) -> Settings:
    """What both sides are built from; the plain one reads its sizes and rates here too."""
    return complete(
        load_settings(
            overrides=[
                f'corpus.name="{corpus}"', 'device="cpu"', "threads=1",
                "text.normalizers=[]", 'text.tokenizer="whitespace"',
                f"text.ngram_buckets={buckets}",
                'model.ngram_pooling="mean"', "train.epochs=1",
                "hooks.early_stopping=false", "hooks.best_checkpoint=false",
            ]
        )
    )  # fmt: skip


class Clock(Hook):
    """Times the epoch of a fit: batches and steps, without the validation."""

    order = -1000

    def on_fit_start(self, trainer: Trainer) -> None:
        self.began = now()

    def on_evaluate_start(self, trainer: Trainer) -> None:
        self.spent = now() - self.began


Times = np.ndarray[Any, np.dtype[np.float64]]


def now() -> Times:
    """CPU and wall seconds."""
    return np.array([time.process_time(), time.perf_counter()])


def timed(function: Callable[[], object]) -> Times:
    """CPU and wall seconds of a call."""
    began = now()
    function()
    return now() - began


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the table; toolkit, plain: [pairs, 2] of CPU and wall seconds."""

    inputs: str
    what: str
    toolkit: Times
    plain: Times

    @property
    def ratio(self) -> float:
        """How many times the plain loop's CPU time the toolkit takes."""
        return float(np.median(self._ratios[:, 0]))

    @property
    def _ratios(self) -> Times:
        return self.toolkit / self.plain

    def __str__(self) -> str:
        plain, toolkit = np.median(self.plain[:, 0]), np.median(self.toolkit[:, 0])
        low, high = np.quantile(self._ratios[:, 0], [0.25, 0.75])
        cells = [
            self.inputs, self.what, f"{1000 * plain:.0f}", f"{1000 * toolkit:.0f}",
            f"**{self.ratio:.2f}**", f"{low:.2f} to {high:.2f}",
            f"{np.median(self._ratios[:, 1]):.2f}",
        ]  # fmt: skip
        return f"| {' | '.join(cells)} |"


def alternate(
    toolkit: Callable[[], Times], plain: Callable[[], Times], pairs: int
) -> tuple[Times, Times]:
    """Run both `pairs` times by turns, after one turn each that does not count."""
    results: tuple[list[Times], list[Times]] = ([], [])
    toolkit(), plain()
    gc.collect()
    gc.disable()  # its pauses would fall on either side by chance
    try:
        for number in range(pairs):
            for side in (0, 1) if number % 2 else (1, 0):
                results[side].append((toolkit, plain)[side]())
    finally:
        gc.enable()
    return np.stack(results[0]), np.stack(results[1])


def compare(
    corpus: Corpus, settings: Settings, *, inputs: str, pairs: int, share: int
) -> list[Row]:
    """The three rows of one kind of input."""
    torch.manual_seed(0)
    task = SentimentTask.create(settings, corpus)
    plain = Plain(settings, task)
    model = Model(task, {})
    test = [str(text) for text in corpus.split("test").column("text")]
    check_equal(model, plain, test[:50])

    train, batches, validation = part_of(corpus, task, settings, share)
    rows = task.read(train)
    references = task.references(validation)
    held_out = task.read(validation)
    texts = [str(text) for text in train.column("text")]
    plain_rows = [plain.reader.read(text) for text in texts]
    labels = torch.tensor([task.labels.index(label) for label in train.column("label")])
    plain_batches = [torch.from_numpy(indices) for indices in batches]

    def train_toolkit() -> Times:
        clock = Clock()
        Trainer(task, settings.train, [*make_hooks(settings, None), clock]).fit(
            rows, held_out, references
        )
        return clock.spent

    def train_plain() -> Times:
        return timed(lambda: plain.train(plain_rows, labels, plain_batches))

    some = test[:: max(1, len(test) // 60)]

    def each(answer: Callable[[str], object], texts: Iterable[str]) -> None:
        for text in texts:
            answer(text)

    sides: list[tuple[str, Callable[[], Times], Callable[[], Times], int]] = [
        (f"training, {len(batches)} steps", train_toolkit, train_plain, pairs),
        (f"prediction of {len(test)} texts in batches of {BATCH}",
         lambda: timed(lambda: list(model.predict(test, batch_size=BATCH))),
         lambda: timed(lambda: plain.predict(test)), pairs),
        (f"prediction of {len(some)} texts one by one",
         lambda: timed(lambda: each(model, some)),
         lambda: timed(lambda: each(plain.predict_one, some)), 5 * pairs),
    ]  # fmt: skip
    found = []
    for what, toolkit_side, plain_side, count in sides:
        task.train(what.startswith("training"))
        toolkit_times, plain_times = alternate(toolkit_side, plain_side, count)
        found.append(Row(inputs=inputs, what=what, toolkit=toolkit_times, plain=plain_times))
        print(found[-1], file=sys.stderr, flush=True)
    return found


def part_of(
    corpus: Corpus, task: SentimentTask, settings: Settings, share: int
) -> tuple[Split, list[np.ndarray[Any, np.dtype[np.int64]]], Split]:
    """Every `share`-th training example, the batches of its first epoch, a little validation."""
    train = corpus.split("train")
    train = train.select(np.arange(0, len(train), share))
    lengths = task.read(train).lengths
    buckets = LengthBuckets(lengths, batch_size=settings.train.batch_size, shuffle=True, seed=0)
    return train, buckets.batches(0), corpus.split("validation").select(np.arange(8))


def check_equal(model: Model, plain: Plain, texts: Sequence[str]) -> None:
    """Refuse to compare unlike things: the same weights must give the same probabilities."""
    for text in texts:
        answer, (label, shares) = model(text), plain.predict_one(text)
        assert answer.probabilities is not None
        gap = np.abs(np.array(list(answer.probabilities.values())) - shares).max()
        if gap > 1e-5:
            raise SystemExit(f"the two differ by {gap:.2g} on {text!r}: {answer} and {label}")


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--corpus", default="sst2")
    parser.add_argument("--pairs", type=int, default=11, help="timed turns of each side")
    parser.add_argument("--share", type=int, default=10, help="train on every so many-th example")
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    lines = [
        "| inputs | what | plain, CPU ms | toolkit, CPU ms | ratio | quartiles | ratio, wall |",
        "|---|---|---|---|---|---|---|",
    ]
    ratios = []
    for inputs, buckets in (("words", 0), ("words and n-grams", 20_000)):
        settings = settings_of(chosen.corpus, buckets)
        corpus = open_corpus(chosen.corpus, fields=SentimentTask.fields)
        rows = compare(corpus, settings, inputs=inputs, pairs=chosen.pairs, share=chosen.share)
        lines += map(str, rows)
        ratios += [row.ratio for row in rows]
    lines += ["", f"Highest ratio {max(ratios):.2f}; torch {torch.__version__}, one thread."]
    table = "\n".join(lines) + "\n"
    print(table, end="")
    if chosen.output is not None:
        chosen.output.write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
