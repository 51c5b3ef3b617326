"""How soon an exported model answers one text, beside the same model in plain PyTorch, on one core.

    SEQNLP_DATA=... python benchmarks/exported.py --output exported.md

The peer is that of `overhead.py`: what one writes by hand with `nn.Embedding`, `nn.LSTM` in two
directions, max pooling and `nn.Linear`, in eager mode under `inference_mode`. Both split texts and
number tokens in the same way, hold the same weights, and give the same probabilities, which is
seen to before the clock starts. With evidence the peer calls the runner's own function for it.

All sides take turns over the same texts in this process. A ratio is the median over the turns, in
CPU seconds, since the machine may be shared. A cold start is a new process, from before Python is
started to the first answer.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from overhead import settings_of
from plain.sentiment import UNK, Plain, PlainBatch
from seqnlp_runtime import load
from seqnlp_runtime.classifier import ClassifierModel
from seqnlp_runtime.evidence import Evidence
from torch import Tensor

from seqnlp.bundle import Model
from seqnlp.config import Settings
from seqnlp.data.corpus import Corpus, open_corpus
from seqnlp.integrations.onnx.export import export_onnx
from seqnlp.tasks.sentiment import SentimentTask

INPUTS = {"words": (0, "none"), "words, n-grams and evidence": (20_000, "naive_bayes")}
"""Buckets of n-grams, and the evidence beside the network."""
FIRST = """
from seqnlp_runtime import load
print(load({folder!r})({text!r}).output)
"""

Answer = Callable[[str], "tuple[str, list[float]]"]
T = TypeVar("T")


class PlainOne(Plain):
    """The peer for one text at a time: a single row has no padding, and every token its n-grams."""

    def __init__(self, settings: Settings, task: SentimentTask) -> None:
        super().__init__(settings, task)
        found, member = task.evidence, task.members[0]
        self.bags: dict[str, Tensor] = {}
        self.evidence: Evidence | None = None
        if found is not None:
            self.weight = member.evidence_weight.item()  # type: ignore[operator]
            self.evidence = Evidence(
                keys=found.keys.numpy(),
                weights=found.weights.numpy(),
                squares=found.squares.numpy() if found.normalized else None,
                bias=found.bias.numpy(),
            )

    @torch.inference_mode()
    def predict_one(self, text: str) -> tuple[str, list[float]]:
        """Label and probabilities of a text."""
        tokens = text.split()
        logits = self.model(self._batch(tokens))
        if self.evidence is not None:
            logits = logits + self.weight * torch.from_numpy(self.evidence(tokens))
        return self.labels[int(logits.argmax(1))], logits.softmax(1)[0].tolist()

    def _batch(self, tokens: Sequence[str]) -> PlainBatch:
        words, hash_ngrams = self.reader.words, self.reader.hash_ngrams
        ids = torch.tensor([[words.get(token, UNK) for token in tokens]])
        if hash_ngrams is None:
            return PlainBatch(ids)
        for token in tokens:
            if token not in self.bags:
                self.bags[token] = hash_ngrams(token)
        bags = [self.bags[token] for token in tokens]
        offsets = torch.tensor([0, *map(len, bags[:-1])]).cumsum(0)
        return PlainBatch(ids, torch.cat(bags), offsets, torch.arange(len(bags))[None])


def make(corpus: Corpus, hidden: int, buckets: int, evidence: str) -> tuple[Model, PlainOne]:
    """A model of that corpus with drawn weights, and its peer."""
    settings = settings_of(corpus.name, buckets)
    size = settings.model.model_copy(update={"hidden_size": hidden, "embedding_size": 100})
    head = {**settings.head, "evidence": evidence}
    settings = settings.model_copy(update={"model": size, "head": head})
    torch.manual_seed(0)
    task = SentimentTask.create(settings, corpus)
    task.read(corpus.split("train"), training=True)  # counts what evidence knows
    return Model(task, {}), PlainOne(settings, task)


def runner(folder: Path, *, int8: bool = False) -> Answer:
    """What answers as the peer does."""
    model = load(folder, int8=int8)
    assert isinstance(model, ClassifierModel)

    def answer(text: str) -> tuple[str, list[float]]:
        found = model(text)
        assert found.probabilities is not None
        return found.output, list(found.probabilities.values())

    return answer


def farthest(answer: Answer, peer: Answer, texts: Sequence[str]) -> float:
    """The largest difference of a probability."""
    pairs = [(answer(text)[1], peer(text)[1]) for text in texts]
    return max(float(np.abs(np.subtract(*pair)).max()) for pair in pairs)


def turns(
    sides: Mapping[str, Callable[[T], object]], given: Sequence[T], count: int
) -> dict[str, Any]:
    """CPU seconds of each turn of each side, after one that does not count.

    In a turn a side takes what is given, one after the other.
    """
    spent: dict[str, list[float]] = {name: [] for name in sides}
    gc.collect()
    gc.disable()  # its pauses would fall on either side by chance
    try:
        for number in range(-1, count):
            order = list(sides)[:: 1 if number % 2 else -1]
            for name in order:
                began = time.process_time()
                for each in given:
                    sides[name](each)
                if number >= 0:
                    spent[name].append(time.process_time() - began)
    finally:
        gc.enable()
    return {name: np.array(each) for name, each in spent.items()}


def compare(corpus: Corpus, hidden: int, inputs: str, count: int, folder: Path) -> list[str]:
    """Lines of the table for one model, which is left in the folder."""
    model, plain = make(corpus, hidden, *INPUTS[inputs])
    export_onnx(model, folder, quantize="int8")
    test = [str(text) for text in corpus.split("test").column("text")]
    texts = test[:: max(1, len(test) // 100)]
    sides = {
        "plain PyTorch": plain.predict_one,
        "runner": runner(folder),
        "runner, int8": runner(folder, int8=True),
    }
    gap = farthest(sides["runner"], sides["plain PyTorch"], texts)
    if gap > 1e-5:
        raise SystemExit(f"{inputs}: the two differ by {gap:.2g}")
    spent = turns(sides, texts, count)
    lines = []
    for name, times in spent.items():
        ratios = times / spent["plain PyTorch"]
        low, high = np.quantile(ratios, [0.25, 0.75])
        micro = 1e6 * float(np.median(times)) / len(texts)
        cells = [inputs, str(hidden), name, f"{micro:.0f}", f"**{np.median(ratios):.2f}**",
                 f"{low:.2f} to {high:.2f}"]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], file=sys.stderr, flush=True)
    return lines


def first_answers(folder: Path, count: int) -> Any:
    """Wall and CPU seconds, [count, 2], of processes that load the model and answer one text."""
    script = FIRST.format(folder=str(folder), text="a stirring , funny film")
    spent = []
    for _ in range(count):
        before, began = os.times(), time.perf_counter()
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
        after, ended = os.times(), time.perf_counter()
        own = [after.children_user - before.children_user]
        own.append(after.children_system - before.children_system)
        spent.append([ended - began, sum(own)])
    return np.array(spent)


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--corpus", default="sst2")
    parser.add_argument("--hidden", type=int, nargs="+", default=[100, 128, 150])
    parser.add_argument("--turns", type=int, default=21, help="of each side")
    parser.add_argument("--starts", type=int, default=10, help="new processes")
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    corpus = open_corpus(chosen.corpus, fields=SentimentTask.fields)
    lines = [
        "| inputs | hidden size | what | CPU µs a text | ratio | quartiles |",
        "|---|---|---|---|---|---|",
    ]
    starts: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for inputs in INPUTS:
            for hidden in chosen.hidden:
                folder = Path(scratch) / f"{len(lines)}"
                lines += compare(corpus, hidden, inputs, chosen.turns, folder)
            starts[inputs] = first_answers(folder, chosen.starts)
    lines.append("")
    for inputs, spent in starts.items():
        (wall, cpu), slowest = np.median(spent, axis=0), spent[:, 0].max()
        lines.append(
            f"First answer of a new process, {inputs}, hidden size {chosen.hidden[-1]}: "
            f"{wall:.2f} s (slowest of {len(spent)}: {slowest:.2f} s), {cpu:.2f} s of CPU."
        )
    lines.append(f"torch {torch.__version__}, one thread.")
    table = "\n".join(lines) + "\n"
    print(table, end="")
    if chosen.output is not None:
        chosen.output.write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
