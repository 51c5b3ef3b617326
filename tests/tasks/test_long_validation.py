"""Validation pairs that are all too long to be learned from."""

from __future__ import annotations

from pathlib import Path

import pytest

import seqnlp
from seqnlp.errors import InputError
from seqnlp.tasks.translation import TranslationTask
from tests.toy_translation import small_translation, write_pairs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = write_pairs(tmp_path_factory.mktemp("long"))
    for language in ("de", "en"):
        lines = (made / f"val.{language}").read_text().splitlines()
        (made / f"val.{language}").write_text("".join(f"{line} {line}\n" for line in lines))
    return made


def test_have_figures_but_no_loss(folder: Path) -> None:
    model = seqnlp.train(small_translation(folder, "text.max_tokens=10", "train.epochs=1"))
    validation = model.corpus().split("validation")
    task = model.task
    assert isinstance(task, TranslationTask)
    rows = task.read(validation)
    assert task.figures_on(rows) == ("bleu", "chrf")
    figures = task.validate(rows, task.references(validation), batch_size=8)
    assert set(figures) == {"bleu", "chrf"}
    assert "loss" not in model.metrics["training"][0]["epochs"][0]
    short = task.read(model.corpus().split("test"))
    assert task.figures_on(short) == ("bleu", "chrf", "loss")


def test_cannot_be_watched_for_their_loss(folder: Path) -> None:
    settings = small_translation(folder, "text.max_tokens=10", "train.monitor=loss")
    with pytest.raises(InputError) as caught:
        seqnlp.train(settings)
    assert str(caught.value) == (
        "train.monitor: no figure 'loss' on the validation split, of whose rows none is fit to "
        "learn from; known: bleu, chrf"
    )
