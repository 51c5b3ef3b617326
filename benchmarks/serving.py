"""How soon a model of the library answers, beside the same model in plain PyTorch, on one core.

    SEQNLP_DATA=... python benchmarks/serving.py --output serving.md

The peer is that of `exported.py`: `nn.Embedding`, `nn.LSTM` in two directions, max pooling and
`nn.Linear` in eager mode under `inference_mode`, with the same tokens and the same weights; n-grams
go through `nn.EmbeddingBag`, and evidence is computed by the library's function. One text at a time
is `model(text)`. In batches of 64 the peer takes texts as they come, pads them to the longest, and
leaves padding out of the maximum; or, a stronger one, it sorts all texts by length first, as the
library does. All must give the same probabilities before the clock starts, but for int8.

All sides take turns over the same texts in this process. A ratio is the median over the turns, in
CPU seconds, since the machine may be shared: of time a text where they come one by one, of texts a
second in batches.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from exported import INPUTS, Answer, PlainOne, farthest, make, turns

from seqnlp.bundle import Model
from seqnlp.data.corpus import Corpus, open_corpus
from seqnlp.data.tokens import TokenizedText
from seqnlp.tasks.sentiment import SentimentTask
from seqnlp.types import Prediction

BATCH = 64
Shares = list[list[float]]


class PlainBatches:
    """The peer for many texts: a batch at a time, each padded to its longest text."""

    def __init__(self, plain: PlainOne, task: SentimentTask) -> None:
        self.plain, self.evidence = plain, task.evidence

    @torch.inference_mode()
    def in_order(self, texts: Sequence[str]) -> Shares:
        """Probabilities of texts, in batches as they come."""
        found: Shares = []
        for begin in range(0, len(texts), BATCH):
            found += self._answer(texts[begin : begin + BATCH])
        return found

    @torch.inference_mode()
    def sorted(self, texts: Sequence[str]) -> Shares:
        """Probabilities of texts, in batches of texts of like length."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i].split()))
        found = self.in_order([texts[i] for i in order])
        placed: Shares = [[]] * len(texts)
        for i, shares in zip(order, found, strict=True):
            placed[i] = shares
        return placed

    def _answer(self, texts: Sequence[str]) -> Shares:
        plain, model = self.plain, self.plain.model
        rows = [plain.reader.read(text) for text in texts]
        batch = plain.reader.batch(rows)
        x = model.embedding(batch.ids)
        if model.ngrams is not None:
            assert batch.inverse is not None
            vectors = model.ngrams(batch.ngrams, batch.offsets)
            x = x + torch.nn.functional.embedding(batch.inverse, vectors)
        states, _ = model.lstm(x)
        lengths = torch.tensor([len(row) for row in rows])
        absent = torch.arange(states.shape[1]) >= lengths[:, None]
        states = states.masked_fill(absent.unsqueeze(2), -torch.inf)
        logits = model.output(states.amax(1))
        if self.evidence is not None:
            tokens = TokenizedText.from_tokens([text.split() for text in texts])
            logits = logits + plain.weight * torch.from_numpy(self.evidence(tokens))
        shares: Shares = logits.softmax(1).tolist()
        return shares


def shares_of(prediction: Prediction) -> list[float]:
    """The probabilities of an answer."""
    assert prediction.probabilities is not None
    return list(prediction.probabilities.values())


def one(model: Model) -> Answer:
    """What answers as the peer does."""

    def answer(text: str) -> tuple[str, list[float]]:
        found = model(text)
        return found.output, shares_of(found)

    return answer


def row(case: Sequence[str], ratios: np.ndarray, figure: str) -> str:
    """A line of the table."""
    low, high = np.quantile(ratios, [0.25, 0.75])
    cells = [*case, figure, f"**{np.median(ratios):.2f}**", f"{low:.2f} to {high:.2f}"]
    line = f"| {' | '.join(cells)} |"
    print(line, file=sys.stderr, flush=True)
    return line


def compare(corpus: Corpus, hidden: int, inputs: str, count: int) -> list[str]:
    """Lines of the table for one model."""
    model, plain = make(corpus, hidden, *INPUTS[inputs])
    small = model.quantize()
    assert isinstance(model.task, SentimentTask)
    batches = PlainBatches(plain, model.task)
    texts = [str(text) for text in corpus.split("test").column("text")]
    few = texts[:: max(1, len(texts) // 100)]
    gaps = [farthest(one(model), plain.predict_one, few)]
    ours = [shares_of(each) for each in model.predict(texts)]
    gaps += [float(np.abs(np.subtract(ours, each(texts))).max())
             for each in (batches.in_order, batches.sorted)]  # fmt: skip
    if max(gaps) > 1e-5:
        raise SystemExit(f"{inputs}: the two differ by {max(gaps):.2g}")
    lines = []
    spent = turns(
        {"plain": plain.predict_one, "library": one(model), "int8": one(small)}, few, count
    )
    for name, times in spent.items():
        figure = f"{1e6 * float(np.median(times)) / len(few):.0f} µs a text"
        case = [inputs, str(hidden), "one by one", name]
        lines.append(row(case, times / spent["plain"], figure))
    sides = {
        "plain, as they come": batches.in_order,
        "plain, sorted": batches.sorted,
        "library": lambda texts: list(model.predict(texts, batch_size=BATCH)),
        "int8": lambda texts: list(small.predict(texts, batch_size=BATCH)),
    }
    spent = turns(sides, [texts], max(3, count // 3))
    for name, times in spent.items():
        figure = f"{len(texts) / float(np.median(times)):,.0f} texts a second"
        case = [inputs, str(hidden), f"batches of {BATCH}", name]
        lines.append(row(case, spent["plain, as they come"] / times, figure))
    return lines


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--corpus", default="sst2")
    parser.add_argument("--hidden", type=int, nargs="+", default=[100, 128, 150])
    parser.add_argument("--turns", type=int, default=21, help="of each side")
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    corpus = open_corpus(chosen.corpus, fields=SentimentTask.fields)
    lines = [
        "| inputs | hidden size | texts | what | figure | ratio | quartiles |",
        "|---|---|---|---|---|---|---|",
    ]
    for inputs in INPUTS:
        for hidden in chosen.hidden:
            lines += compare(corpus, hidden, inputs, chosen.turns)
    lines += ["", f"torch {torch.__version__}, one thread."]
    table = "\n".join(lines) + "\n"
    print(table, end="")
    if chosen.output is not None:
        chosen.output.write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
