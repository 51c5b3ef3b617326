"""Transformers in the three tasks, as their users train and ask them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from seqnlp_transformer.decoder import TransformerDecoder
from seqnlp_transformer.encoder import TransformerEncoder

import seqnlp
from seqnlp.config import Settings, load_settings
from seqnlp.errors import InputError, SettingsError
from seqnlp.registry import decoders, encoders, tasks

SUBJECTS = {"Der Hund": "The dog", "Die Katze": "The cat", "Ein Kind": "A child"}
VERBS = {"sieht": "sees", "malt": "draws", "sucht": "seeks"}
OBJECTS = {"den Ball": "the ball", "das Haus": "the house", "einen Baum": "a tree"}
COMMON = [
    "threads=1", "model.encoder=transformer", "model.hidden_size=32", "model.embedding_size=32",
    "model.encoder_options.heads=2", "text.tokenizer=regex", "text.ngram_buckets=0",
    "train.batch_size=8", "train.lr=0.005", "hooks.early_stopping=false",
    "hooks.schedule={kind = 'cosine', warmup = 2.0}",
]  # fmt: skip
DROPOUT = (
    "hooks.dropout={word = 0.0, embedding = 0.05, layer = 0.05, output = 0.0, memory = 0.0, "
    "context = 0.05, sites = {attention = 0.05, feedforward = 0.05}}"
)


def settings(task: str, corpus: Path, *overrides: str) -> Settings:
    chosen = tasks.get(task)
    given = [f"task={task}", f'corpus.name="{corpus}"', *COMMON, *overrides]
    return load_settings(None, given, base=chosen.defaults, unread=chosen.unread)


def write(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """Every fifth row is validation, every fifth test."""
    folder.mkdir(exist_ok=True)
    for split, own in (
        ("validation", rows[::5]),
        ("test", rows[1::5]),
        ("train", [row for n, row in enumerate(rows) if n % 5 > 1]),
    ):
        lines = "".join(json.dumps(row) + "\n" for row in own)
        (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    return folder


def sentences() -> list[tuple[str, str]]:
    made = []
    for subject, verb, object_, again in itertools.product(SUBJECTS, VERBS, OBJECTS, VERBS):
        german = f"{subject} {verb} und {again} {object_}."
        english = f"{SUBJECTS[subject]} {VERBS[verb]} and {VERBS[again]} {OBJECTS[object_]}."
        made.append((german, english))
    return made


def test_both_are_registered() -> None:
    assert encoders.get("transformer") is TransformerEncoder
    assert decoders.get("transformer") is TransformerDecoder


def test_sentiment_is_learned_from_the_order_of_words(tmp_path: Path) -> None:
    rows = []
    for good, bad in itertools.product(("food", "room", "bath", "view"), repeat=2):
        for first in (True, False):
            text = f"{good} was great , {bad} bad" if first else f"{good} was bad , {bad} great"
            rows.append({"text": f"{text} , so the {good}", "label": "yes" if first else "no"})
    corpus = write(tmp_path / "order", rows * 4)
    model = seqnlp.train(
        settings("sentiment", corpus, "head.pooling=['mean']", "train.epochs=12", DROPOUT.replace("memory = 0.0, context = 0.05, ", ""))
    )  # fmt: skip
    assert model.metrics["test"]["accuracy"]["value"] > 0.95
    assert type(model.task).named_parts(model.settings)[1] == ("encoders", "transformer")
    with pytest.raises(InputError, match="TransformerEncoder cannot stream: it reads whole texts"):
        model.stream()


@pytest.mark.parametrize("decoder", ["transformer", "recurrent"])
def test_translations_are_found_aligned_and_saved(tmp_path: Path, decoder: str) -> None:
    rows = [{"source": german, "target": english} for german, english in sentences()]
    corpus = write(tmp_path / "pairs", rows)
    model = seqnlp.train(
        settings(
            "translation", corpus, f"head.decoder={decoder}", "train.epochs=16",
            DROPOUT if decoder == "transformer" else "hooks.dropout=false",
        ),
        tmp_path / "run",
    )  # fmt: skip
    assert model.metrics["test"]["bleu"]["value"] > 60
    again = seqnlp.load(tmp_path / "run")
    text = "Der Hund sieht und sucht den Ball."
    best = again(text).hypotheses[0]
    assert best.text == model(text).output
    assert best.attention is not None
    assert best.attention.sum(1) == pytest.approx(1, abs=1e-5)
    for decoding in (
        {"beam": 4, "n_best": 2},
        {"beam": 4, "mbr": True},
        {"prefix": "The cat"},
        {"sample": True},
    ):
        again.task.decoding = type(model.task.decoding)(**decoding)
        found = [answer.output for answer in again.predict([text, "", "Hund " * 300, text])]
        assert found[0] == found[3]
        assert found[1] == ""
        assert found[0].startswith(decoding.get("prefix", ""))


def test_summaries_copy_names_that_training_has_not_seen(tmp_path: Path) -> None:
    syllables = ("ka", "lo", "mi", "ru", "te", "vo", "sa", "ne")
    names = ["".join(each).capitalize() for each in itertools.product(syllables, repeat=2)]
    verbs = {"bought": "buys", "sold": "sells", "painted": "paints"}
    rows = []
    for number, name in enumerate(names * 3):
        verb = list(verbs)[number % 3]
        document = f"On Monday {name} {verb} a boat. Nobody was there and nobody saw it."
        rows.append({"document": document, "summary": f"{name} {verbs[verb]} a boat"})
    corpus = write(tmp_path / "reports", rows)
    model = seqnlp.train(
        settings(
            "summarization", corpus, "head.decoder=transformer", "head.decoder_options.weights=head",
            "text.normalizers=['nfc', 'lowercase']", "text.min_count=3", "train.epochs=12",
            "head.coverage_loss=0.1", "hooks.dropout=false",
        )
    )  # fmt: skip
    answer = model("On Monday Kirina sold a boat. Nobody was there and nobody saw it.")
    assert "kirina" in answer.output.lower().split()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.bidirectional=false"], "model.bidirectional: the encoder 'transformer' does not read it"),
        (["model.encoder_options.heds=2"], "model.encoder_options: no key 'heds'; did you mean 'heads'?"),
        (["model.encoder_options.positions=learned"],
         "model.encoder_options.positions: Input should be 'rotary' or 'sinusoidal', not 'learned'"),
        (["head.decoder=transformer", "head.input_feeding=true"],
         "head.input_feeding: the decoder 'transformer' does not read it"),
        (["head.decoder=transformer", "head.decoder_options.weights=first"],
         "head.decoder_options.weights: Input should be 'last', 'mean' or 'head', not 'first'"),
        (["head.decoder=transformer", "head.decoder_options.heads=3"],
         "head.decoder_options: heads = 3 does not divide hidden_size = 32; take 2"),
    ],
)  # fmt: skip
def test_settings_are_checked(tmp_path: Path, overrides: list[str], message: str) -> None:
    rows = [{"source": german, "target": english} for german, english in sentences()[:20]]
    corpus = write(tmp_path / "pairs", rows)
    with pytest.raises(SettingsError) as caught:
        seqnlp.train(settings("translation", corpus, *overrides))
    assert str(caught.value).startswith(message)
