"""Write the exported models that the tests of the runner run, and what seqnlp answers with them.

    python runtime/make_models.py

Their format is what released runners read: they are made anew only where it is raised.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from pathlib import Path

import torch

import seqnlp
from seqnlp.config import load_settings
from seqnlp.integrations.onnx.export import export_onnx
from seqnlp.training.run import train

MODELS = Path(__file__).parent / "tests" / "models"
GOOD, BAD, NOUNS = ("fine", "great", "bright"), ("poor", "dull", "awful"), ("film", "plot", "cast")
SMALL = [
    "model.embedding_size=4", "model.hidden_size=4", "train.epochs=4", "train.lr=0.05",
    "train.batch_size=16", "threads=1", 'text.normalizers=["nfkc", "lowercase"]',
    "text.max_tokens=8",
]  # fmt: skip
KINDS = {
    "labels": [
        "model.hidden_size=16",
        "model.embedding_size=8",
        "text.ngram_buckets=20",
        "head.evidence=logistic",
        "text.min_count=2",
    ],
    "stream": ["model.cell=gru", "model.bidirectional=false", "text.ngram_buckets=0"],
}
TEXTS = [
    "", "a fine film", "The plot is DULL, the cast is great!", "unheard words", "great",
    "fine poor fine poor fine poor fine poor fine poor fine poor awful", "ﬁne cast 12",
]  # fmt: skip


def main() -> None:
    """Train, export, answer."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        corpus = Path(scratch) / "corpus"
        corpus.mkdir()
        rows = [
            f"{'good' if last in GOOD else 'bad'}\tThe {noun} was {first}, and then {last}."
            for first, last, noun in itertools.product(GOOD + BAD, GOOD + BAD, NOUNS)
        ]
        for name in ("train", "validation", "test"):
            (corpus / f"{name}.tsv").write_text("\n".join(["label\ttext", *rows]) + "\n")
        for kind, own in KINDS.items():
            run = Path(scratch) / kind
            train(load_settings(None, [f'corpus.name="{corpus}"', *SMALL, *own]), run)
            model = seqnlp.load(run)
            export_onnx(model, MODELS / kind, quantize="int8" if kind == "labels" else None)
            answers = [dict(model(text).probabilities or {}) for text in TEXTS]
            expected = {"texts": TEXTS, "probabilities": answers}
            path = MODELS / f"{kind}.json"
            path.write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
