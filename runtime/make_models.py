"""Write the exported models that the tests of the runner run, and what seqnlp answers with them.

    PYTHONPATH=. python runtime/make_models.py

Their format is what released runners read: they are made anew only where it is raised.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from pathlib import Path
from typing import Literal

import torch

import seqnlp
from seqnlp.bundle import Model
from seqnlp.config import load_settings
from seqnlp.integrations.onnx.export import export_onnx
from seqnlp.training.run import train
from tests.toy_translation import small_translation, write_pairs

MODELS = Path(__file__).parent / "tests" / "models"
GOOD, BAD, NOUNS = ("fine", "great", "bright"), ("poor", "dull", "awful"), ("film", "plot", "cast")
SMALL = [
    "model.embedding_size=4", "model.hidden_size=4", "train.epochs=4", "train.lr=0.05",
    "train.batch_size=16", "threads=1", 'text.normalizers=["nfkc", "lowercase"]',
    "text.max_tokens=8",
]  # fmt: skip
KINDS = {
    "labels": ["model.hidden_size=16", "model.embedding_size=8", "text.ngram_buckets=20",
               "head.evidence=logistic", "text.min_count=2"],
    "stream": ["model.cell=gru", "model.bidirectional=false", "text.ngram_buckets=20",
               "text.max_size=12", "head.evidence=naive_bayes", "text.long_documents=truncate"],
}  # fmt: skip
TEXTS = [
    "", "a fine film", "The plot is DULL, the cast is great!", "unheard words", "great",
    "fine poor fine poor fine poor fine poor fine poor fine poor awful", "ﬁne cast 12",
]  # fmt: skip


SOURCES = ["", "Der Hund will den Ball sehen.", "Eine Frau kann das Haus malen."]


def main() -> None:
    """Train, export, answer."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        rows = [
            f"{'good' if last in GOOD else 'bad'}\tThe {noun} was {first}, and then {last}."
            for first, last, noun in itertools.product(GOOD + BAD, GOOD + BAD, NOUNS)
        ]
        (folder / "corpus").mkdir()
        for name in ("train", "validation", "test"):
            lines = "\n".join(["label\ttext", *rows]) + "\n"
            (folder / "corpus" / f"{name}.tsv").write_text(lines, encoding="utf-8")
        for kind, own in KINDS.items():
            train(
                load_settings(None, [f'corpus.name="{folder}/corpus"', *SMALL, *own]), folder / kind
            )
            model = make(folder / kind, quantize="int8" if kind == "labels" else None)
            answers = [dict(model(text).probabilities or {}) for text in TEXTS]
            write(kind, {"texts": TEXTS, "probabilities": answers})
        small = ["model.hidden_size=12", "model.embedding_size=12", "head.copying=true"]
        train(small_translation(write_pairs(folder / "pairs"), *small), folder / "writes")
        model = make(folder / "writes")
        found = [model(text) for text in SOURCES]
        scores = [[each.score for each in answer.hypotheses] for answer in found]
        outputs = [answer.output for answer in found]
        write("writes", {"texts": SOURCES, "outputs": outputs, "scores": scores})


def make(run: Path, quantize: Literal["int8"] | None = None) -> Model:
    """Export a run by its name."""
    model = seqnlp.load(run)
    export_onnx(model, MODELS / run.name, quantize=quantize)
    return model


def write(kind: str, expected: object) -> None:
    """What the library answers."""
    text = json.dumps(expected, indent=1, ensure_ascii=False) + "\n"
    (MODELS / f"{kind}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
