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
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import pad_sequence

from seqnlp.bundle import Model
from seqnlp.config import Settings, load_settings
from seqnlp.data.batching import LengthBuckets
from seqnlp.data.corpus import Corpus, open_corpus
from seqnlp.data.split import Split
from seqnlp.tasks.sentiment import SentimentTask
from seqnlp.training.hooks import Hook
from seqnlp.training.preparation import complete, make_hooks
from seqnlp.training.trainer import Trainer

BATCH = 64  # texts, in prediction
PAD, UNK = 0, 1


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


class PlainModel(nn.Module):
    """Bag of n-grams and word vector, bidirectional LSTM, max pooling, linear layer."""

    def __init__(self, settings: Settings, words: int, classes: int) -> None:
        super().__init__()
        size, hidden = settings.model.embedding_size, settings.model.hidden_size
        rates: Any = settings.hooks["dropout"]
        buckets = settings.text.ngram_buckets
        self.embedding = nn.Embedding(words, size, padding_idx=PAD)
        self.ngrams = nn.EmbeddingBag(buckets, size, mode="mean") if buckets else None
        self.lstm = nn.LSTM(size, hidden, batch_first=True, bidirectional=True)
        self.output = nn.Linear(2 * hidden, classes)
        self.word_rate = float(rates["word"])
        self.embedding_dropout = nn.Dropout(rates["embedding"])
        self.output_dropout = nn.Dropout(rates["output"])

    def forward(self, batch: PlainBatch) -> Tensor:
        """Logits [B, K]."""
        x: Tensor = self.embedding(batch.ids)
        if self.ngrams is not None and batch.inverse is not None:
            x = x + F.embedding(batch.inverse, self.ngrams(batch.ngrams, batch.offsets))
        if self.training:
            x = x * x.new_empty(*x.shape[:2], 1).bernoulli_(1 - self.word_rate)
        states, _ = self.lstm(self.embedding_dropout(x))
        logits: Tensor = self.output(self.output_dropout(states.amax(1)))
        return logits

    def copy_weights(self, task: SentimentTask) -> None:
        """Take the weights of the toolkit's model."""
        source: Any = task.members[0]
        layer = source.encoder.layers[0]
        pairs: list[tuple[Tensor, Tensor]] = [
            (self.embedding.weight, source.embedding.words),
            (self.output.weight, source.output.weight),
            (self.output.bias, source.output.bias),
        ]
        for cell, suffix in ((layer.forward_cell, "l0"), (layer.backward_cell, "l0_reverse")):
            pairs += [
                (getattr(self.lstm, f"weight_ih_{suffix}"), cell.weight_x),
                (getattr(self.lstm, f"weight_hh_{suffix}"), cell.weight_h),
                (getattr(self.lstm, f"bias_ih_{suffix}"), cell.bias),
                (getattr(self.lstm, f"bias_hh_{suffix}"), torch.zeros_like(cell.bias)),
            ]
        if self.ngrams is not None:
            pairs.append((self.ngrams.weight, source.embedding.ngrams))
        with torch.no_grad():
            for target, value in pairs:
                target.copy_(value)


@dataclass(slots=True)
class PlainBatch:
    """ids, inverse: int64 [B, T]. ngrams: int64 [N] of distinct tokens, which begin at offsets."""

    ids: Tensor
    ngrams: Tensor | None = None
    offsets: Tensor | None = None
    inverse: Tensor | None = None


class PlainReader:
    """Texts to batches: `str.split`, a dictionary of words, a cache of n-grams a token."""

    def __init__(self, words: dict[str, int], hash_ngrams: Callable[[str], Tensor] | None) -> None:
        self.words = words
        self.hash_ngrams = hash_ngrams
        self.numbers: dict[str, int] = {"<pad>": PAD}
        self.ngrams: list[Tensor] = [torch.zeros(0, dtype=torch.int64)]
        self.word_of: list[int] = [PAD]

    def read(self, text: str) -> Tensor:
        """The tokens of a text: word ids, or with n-grams numbers of token types."""
        tokens = text.split()
        if self.hash_ngrams is None:
            words = self.words
            return torch.tensor([words.get(token, UNK) for token in tokens])
        return torch.tensor([self.numbers.get(token) or self._add(token) for token in tokens])

    def _add(self, token: str) -> int:
        assert self.hash_ngrams is not None
        self.numbers[token] = len(self.numbers)
        self.ngrams.append(self.hash_ngrams(token))
        self.word_of.append(self.words.get(token, UNK))
        return self.numbers[token]

    def batch(self, rows: Sequence[Tensor]) -> PlainBatch:
        """Pad rows to the longest; the n-grams of a token that stands twice are read once."""
        padded = pad_sequence(list(rows), batch_first=True, padding_value=PAD)
        if self.hash_ngrams is None:
            return PlainBatch(padded)
        distinct, inverse = torch.unique(padded, return_inverse=True)
        types = distinct.tolist()
        bags = [self.ngrams[number] for number in types]
        offsets = torch.tensor([0, *map(len, bags[:-1])]).cumsum(0)
        words = torch.tensor([self.word_of[number] for number in types])
        return PlainBatch(words[inverse], torch.cat(bags), offsets, inverse)


class Plain:
    """The peer: a model and its reader, and the three loops that are timed."""

    def __init__(self, settings: Settings, task: SentimentTask) -> None:
        pipeline = task.pipeline
        assert pipeline.vocabulary is not None
        hasher = pipeline.hasher
        # The hash is borrowed, so that both sides know a token by the same n-grams; it is never
        # timed, since both remember the n-grams of a token.
        hash_ngrams = None if hasher is None else lambda token: torch.from_numpy(hasher.ids(token))
        self.settings, self.labels = settings, task.labels
        self.reader = PlainReader(dict(pipeline.vocabulary.index), hash_ngrams)
        self.model = PlainModel(settings, len(pipeline.vocabulary), len(task.labels))
        self.model.copy_weights(task)
        self.model.eval()

    def train(self, rows: list[Tensor], labels: Tensor, batches: list[Tensor]) -> float:
        """One epoch; the mean loss."""
        model, reader, limit = self.model, self.reader, self._limit
        weights = list(model.parameters())
        optimizer = torch.optim.AdamW(weights, lr=self.settings.train.lr, fused=True)
        model.train()
        total = 0.0
        for indices in batches:
            batch = reader.batch([rows[i] for i in indices.tolist()])
            loss = F.cross_entropy(model(batch), labels[indices])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            clip_grad_norm_(weights, limit)
            optimizer.step()
            total += loss.item() * len(indices)
        model.eval()
        return total / len(rows)

    @torch.inference_mode()
    def predict(self, texts: Sequence[str]) -> list[tuple[str, list[float]]]:
        """Label and probabilities of every text, in batches sorted by length."""
        rows = [self.reader.read(text) for text in texts]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        answers: list[tuple[str, list[float]]] = [("", [])] * len(rows)
        for begin in range(0, len(order), BATCH):
            indices = order[begin : begin + BATCH]
            logits = self.model(self.reader.batch([rows[i] for i in indices]))
            shares = logits.softmax(1).tolist()
            for i, number, share in zip(indices, logits.argmax(1).tolist(), shares, strict=True):
                answers[i] = self.labels[number], share
        return answers

    @torch.inference_mode()
    def predict_one(self, text: str) -> tuple[str, list[float]]:
        """Label and probabilities of a text."""
        logits = self.model(self.reader.batch([self.reader.read(text)]))
        return self.labels[int(logits.argmax(1))], logits.softmax(1)[0].tolist()

    @property
    def _limit(self) -> float:
        clip: Any = self.settings.hooks["clip"]
        return float(clip["norm"])


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
