"""Tasks that write, reading long sources by their sentences: `head.sentence_tokens`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from seqnlp.config import load_settings
from seqnlp.data.corpus import Corpus, Split
from seqnlp.nn import HierarchicalEncoder
from seqnlp.tasks.sequence_rows import SequenceBatch
from seqnlp.tasks.translation import TranslationTask

SMALL = [
    "task=translation", "model.embedding_size=8", "model.hidden_size=8", "text.tokenizer=regex",
    "model.engine=reference", "hooks.dropout=false", "head.decoding.max_length=6",
]  # fmt: skip
SOURCES = ["a b . c d ! ?", "a b c d e f g h . i", "a .", "b c d"]
TARGETS = ["x y", "y z x", "x", "z"]


def corpus() -> Corpus:
    rows = [{"source": s, "target": t} for s, t in zip(SOURCES, TARGETS, strict=True)]
    split = Split.from_examples("train", rows)
    return Corpus(name="memory", splits={"train": split, "validation": split})


def make(*overrides: str, most: int = 4) -> TranslationTask:
    torch.manual_seed(0)
    chosen = [*SMALL, f"head.sentence_tokens={most}", *overrides]
    settings = load_settings(None, chosen, base=TranslationTask.defaults)
    return TranslationTask.create(settings, corpus()).eval()


def batch_of(made: TranslationTask) -> SequenceBatch:
    rows: Any = made.read(corpus().split("train"), training=True)
    order = np.argsort(rows.chosen)
    batch: SequenceBatch = rows.batch(order)
    return batch


def test_sources_are_read_by_the_sentences_that_their_marks_end() -> None:
    made = make()
    network: Any = made.members[0]
    assert isinstance(network.encoder, HierarchicalEncoder)
    source = batch_of(made).source
    ends = torch.zeros(4, 11, dtype=torch.bool)
    for row, places in enumerate([[2, 7], [8, 10], [2], [3]]):  # the end of a text is no sentence
        ends[row, places] = True
    x = network.source_embedding(source)
    expected = network.encoder(x, source.lengths, ends)
    found = network.encode(source)
    torch.testing.assert_close(found.states, expected.states)
    flat = network.encoder(x, source.lengths, None)
    assert not torch.allclose(found.states[0], flat.states[0])
    torch.testing.assert_close(found.states[2:], flat.states[2:])  # short documents are whole


@pytest.mark.parametrize("options", [[], ["head.input_feeding=true", "head.attention=additive"]])
def test_a_batch_is_learned_from_and_answered_as_its_texts_are(options: list[str]) -> None:
    made = make(*options)
    together = made.loss(batch_of(made))
    rows: Any = made.read(corpus().split("train"), training=True)
    alone = [made.loss(rows.batch(np.array([n]))) for n in range(4)]
    torch.testing.assert_close(together.total, torch.stack([each.total for each in alone]).sum())
    answers = made.answer_texts(SOURCES, batch_size=4)
    for text, answer in zip(SOURCES, answers, strict=True):
        single = made.answer_texts([text], batch_size=1)[0]
        assert single.output == answer.output
        assert single.hypotheses[0].score == pytest.approx(answer.hypotheses[0].score, abs=1e-5)


def test_both_levels_learn_and_come_back() -> None:
    made = make("model.layers=2")
    names, weights = zip(*made.named_parameters(), strict=True)
    assert any(".reader.sentences." in name for name in names)
    loss = made.loss(batch_of(made)).total
    for name, gradient in zip(names, torch.autograd.grad(loss, weights), strict=True):
        assert gradient.abs().sum() > 0 or "bias" in name, name
    again = TranslationTask.restore(made.settings, made.pipelines, made.state()).eval()
    again.load_state_dict(made.state_dict())
    for one, other in zip(*(t.answer_texts(SOURCES, batch_size=2) for t in (made, again)), strict=True):  # fmt: skip
        assert one.output == other.output


def test_without_the_setting_nothing_is_different() -> None:
    made = make(most=0)
    assert not any("reader" in name for name, _ in made.named_parameters())
    assert batch_of(made).source.ends is None


def test_a_source_of_thousands_of_words_is_read_whole_in_one_row() -> None:
    made = make("text.max_tokens=20000", most=50)
    text = " ".join(["a b c d e f g h ."] * 600)
    rows = made.read_texts([text])
    assert rows.lengths.tolist() == [5_401]
    answer = made.answer(rows, batch_size=1)[0]
    assert len(answer.source_tokens) == 5_401
