"""Writers that have learned nothing, and so say anything: small, and away from where they begin."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import seqnlp_runtime
import torch
from seqnlp_runtime.writing import WriterModel

from seqnlp import registry
from seqnlp.bundle import Model
from seqnlp.config import load_settings, validate_section
from seqnlp.data.corpus import open_corpus
from seqnlp.integrations.onnx.export import export_onnx
from seqnlp.tasks.decoding import Decoding
from seqnlp.tasks.writing_task import WritingTask
from seqnlp.training.preparation import complete

SMALL = [
    "model.embedding_size=6", "model.hidden_size=8", "head.decoder_hidden_size=5",
    "model.engine=reference",
]  # fmt: skip


def writer(corpus: Path, task: str, *overrides: str, members: int = 1) -> Model:
    """A model with drawn weights."""
    kind: type[WritingTask] = registry.tasks.get(task)
    settings = load_settings(
        None, [f"task={task}", *SMALL, *overrides], base=kind.defaults, unread=kind.unread
    )
    languages = ("de", "en") if task == "translation" else (None, None)
    opened = open_corpus(str(corpus), fields=kind.fields, languages=languages)
    torch.manual_seed(0)
    made = [kind.create(complete(settings), opened) for _ in range(members)]
    for parameter in (each for one in made for each in one.parameters()):
        with torch.no_grad():
            parameter.copy_(torch.randn_like(parameter) * 0.4)
    return Model(kind.combine(made) if members > 1 else made[0], {})


def exported(model: Model, folder: Path) -> WriterModel:
    """What the runner makes of it."""
    found = seqnlp_runtime.load(export_onnx(model, folder))
    assert isinstance(found, WriterModel)
    return found


def check_answers(
    ours: Model,
    theirs: WriterModel,
    texts: Iterable[str],
    *,
    batch_size: int = 64,
    **options: Any,
) -> None:
    """Both write the same, by the same scores."""
    texts = list(texts)
    own = ours.task.decoding
    assert isinstance(own, Decoding)
    ours.task.decoding = validate_section(Decoding, {**own.model_dump(), **options}, "decoding")
    try:
        wanted = list(ours.predict(texts, batch_size=batch_size))
    finally:
        ours.task.decoding = own
    answers = list(theirs.predict(texts, batch_size=batch_size, decoding=options))
    assert len(answers) == len(wanted)
    for answer, each in zip(answers, wanted, strict=True):
        assert answer.output == each.output
        assert answer.source_tokens == each.source_tokens
        assert [one.text for one in answer.hypotheses] == [one.text for one in each.hypotheses]
        for found, known in zip(answer.hypotheses, each.hypotheses, strict=True):
            assert found.tokens == known.tokens
            # Sums of many tokens, each to the precision of its logit.
            assert found.score == pytest.approx(known.score, rel=1e-5, abs=1e-5)
            assert found.log_probability == pytest.approx(known.log_probability, rel=1e-5, abs=1e-5)
