"""Which words were copied, and from where: numbers against the network's own, and their words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import seqnlp
from seqnlp.bundle import Model
from seqnlp.data.split import Split
from seqnlp.errors import InputError
from seqnlp.tasks import joined_parts
from seqnlp.tasks.alignment import align_words
from seqnlp.tasks.copying import Origin, explain_copies, group_words
from seqnlp.tasks.decoding import Decoding
from seqnlp.tasks.sequence_rows import SequenceBatch
from seqnlp.tasks.summarization import SummarizationTask
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.subwords import BPETokenizer, WordPieceTokenizer
from seqnlp.text.tokenizers import CharTokenizer, RegexTokenizer, Tokenizer
from seqnlp.types import Hypothesis, Prediction

TEXTS = [
    "On Friday Kadir lost a mill. Mosel was there and saw it.",
    "It rained on Monday when Tom came. Sarah sold an old car.",
]


@pytest.fixture(scope="module")
def task(reports_run: Path) -> SummarizationTask:
    model: Model = seqnlp.load(reports_run)
    assert isinstance(model.task, SummarizationTask)
    return model.task


def answers(task: SummarizationTask, texts: list[str]) -> list[Prediction]:
    return task.answer(task.read_texts(texts), batch_size=8, want_copies=True)


def test_a_name_was_copied_from_where_it_stands(task: SummarizationTask) -> None:
    explained = [explain_copies(answer, task.pipelines) for answer in answers(task, TEXTS)]
    assert explained[0] is not None
    assert explained[1] is not None
    assert " ".join(explained[0].source) == (
        "on friday kadir lost a mill. mosel was there and saw it."
    )
    kadir, loses, *_ = explained[0].words
    assert kadir.text == "kadir"
    assert kadir.copied > 0.9
    assert kadir.origins[0].place == 2
    assert kadir.origins[0].probability > 0.9
    assert loses.text == "loses"
    assert loses.copied < 0.1
    assert explained[1].words[0].origins[0].place == explained[1].source.index("sarah")


def test_probabilities_are_those_of_the_network(task: SummarizationTask) -> None:
    found = answers(task, TEXTS)
    pairs = [{"document": d, "summary": a.output} for d, a in zip(TEXTS, found, strict=True)]
    batch = task.read(Split.from_examples("train", pairs), training=True).batch(np.arange(2))
    assert isinstance(batch, SequenceBatch)
    network = task.members[0]
    with task.evaluating(), torch.no_grad():
        _, wanted = network.explain(batch.source, batch.target, batch.copies, batch.goals)  # type: ignore[operator]
    for row, answer in enumerate(found):
        copied = answer.hypotheses[0].copied
        assert copied is not None
        rows, columns = copied.shape
        assert rows == len(answer.hypotheses[0].tokens) + 1
        assert columns == len(answer.source_tokens)
        np.testing.assert_allclose(copied, wanted[row, :rows, :columns], atol=1e-6)
        assert copied.sum(1).max() <= 1 + 1e-5
        assert copied[-1].max() == 0  # the end is never copied


def test_only_the_best_hypothesis_says_so_and_only_if_asked(task: SummarizationTask) -> None:
    task.decoding = Decoding(beam=3, n_best=3)
    try:
        (answer,) = answers(task, TEXTS[:1])
        assert [each.copied is None for each in answer.hypotheses] == [False, True, True]
        (plain,) = task.answer_texts(TEXTS[:1], batch_size=1)
        assert plain.hypotheses == answer.hypotheses
        with pytest.raises(InputError, match="does not say what was copied: ask for it"):
            explain_copies(plain, task.pipelines)
    finally:
        task.decoding = task.options.decoding


def test_what_is_not_written_has_no_explanation(task: SummarizationTask) -> None:
    (empty,) = answers(task, ["  "])
    assert explain_copies(empty, task.pipelines) is None
    retrieved = Hypothesis(text="kept", score=0.0, log_probability=None, tokens=())
    assert (
        explain_copies(Prediction(output="kept", hypotheses=(retrieved,)), task.pipelines) is None
    )


def test_without_copying_there_is_nothing_to_explain(task: SummarizationTask) -> None:
    task.options = task.options.model_copy(update={"copying": False})
    try:
        with pytest.raises(
            InputError, match="copies nothing; one trained with head.copying = true"
        ):
            answers(task, TEXTS)
    finally:
        task.options = task.options.model_copy(update={"copying": True})


def test_words_of_several_tokens_have_their_mean_without_marks() -> None:
    pipeline = TokenPipeline(tokenizer=RegexTokenizer())
    copied = np.array(
        [[0.6, 0.0, 0.2, 0], [0.1, 0.1, 0.0, 0], [0.0, 0.9, 0.0, 0], [0, 0, 0, 0]], dtype=np.float32
    )
    # "blue-green" of three tokens, the mark in its middle counts nowhere; the source in two words.
    best = Hypothesis(
        text="blue-green", score=0.0, log_probability=0.0,
        tokens=("blue", "-", "green"), copied=copied,
    )  # fmt: skip
    answer = Prediction(
        output="blue-green", hypotheses=(best,), source_tokens=("blue", ",", "a", "<eos>")
    )
    found = explain_copies(answer, {"document": pipeline, "summary": pipeline})
    assert found is not None
    assert found.source == ("blue,", "a")
    (word,) = found.words
    assert word.text == "blue-green"
    assert word.copied == pytest.approx((0.8 + 0.9) / 2)
    assert [origin.place for origin in word.origins] == [0, 1]
    assert [origin.probability for origin in word.origins] == pytest.approx([0.75, 0.1])


def test_a_closing_quote_stands_at_its_word() -> None:
    pipeline = TokenPipeline(tokenizer=RegexTokenizer())
    tokens = ('"', "a", "boat", '"')
    copied = np.zeros((5, 5), dtype=np.float32)
    best = Hypothesis(text='"a boat"', score=0.0, log_probability=0.0, tokens=tokens, copied=copied)
    answer = Prediction(output=best.text, hypotheses=(best,), source_tokens=(*tokens, "<eos>"))
    found = explain_copies(answer, {"document": pipeline, "summary": pipeline})
    assert found is not None
    assert found.source == ('"a', 'boat"')
    assert tuple(word.text for word in found.words) == found.source


def test_what_shows_nothing_is_no_word() -> None:
    pipeline = TokenPipeline(tokenizer=CharTokenizer())
    copied = np.zeros((5, 6), dtype=np.float32)
    copied[0, 4] = copied[1, 3] = 0.5
    # Spaces, and a part of a letter that is left out of the text.
    best = Hypothesis(
        text="b", score=0.0, log_probability=0.0, tokens=("b", " ", " ", "\ufffd"), copied=copied
    )
    answer = Prediction(
        output="b", hypotheses=(best,), source_tokens=("a", " ", " ", " ", "b", "<eos>")
    )
    found = explain_copies(answer, {"document": pipeline, "summary": pipeline})
    assert found is not None
    assert found.source == ("a", "b")
    (word,) = found.words
    assert (word.text, word.origins) == ("b", (Origin(place=1, probability=0.5),))


def test_how_subwords_are_written_is_no_letter() -> None:
    tokenizer = BPETokenizer(size=280).train(TEXTS * 3)
    pipeline = TokenPipeline(tokenizer=tokenizer)
    copied = np.array([[0.0, 0], [0.6, 0], [0.0, 0]], dtype=np.float32)
    best = Hypothesis(text="a", score=0.0, log_probability=0.0, tokens=("Ġ", "a"), copied=copied)
    answer = Prediction(output="a", hypotheses=(best,), source_tokens=("a", "<eos>"))
    found = explain_copies(answer, {"document": pipeline, "summary": pipeline})
    assert found is not None
    (word,) = found.words
    assert word.copied == pytest.approx(0.6)


def test_parts_of_a_text_have_places_in_the_whole(reports_run: Path) -> None:
    model = seqnlp.load(reports_run)
    task = model.task
    assert isinstance(task, SummarizationTask)
    text = task.settings.text.model_copy(update={"max_tokens": 7, "long_documents": "chunk"})
    task.settings = task.settings.model_copy(update={"text": text})
    (answer,) = answers(task, ["Kadir lost a mill on Friday. " + "Tovopi sold a boat."])
    assert answer.source_tokens.count("<eos>") == 2
    found = explain_copies(answer, task.pipelines)
    assert found is not None
    assert " ".join(found.source) == "kadir lost a mill on friday. tovopi sold a boat."
    for word in found.words:
        if word.text in ("kadir", "tovopi"):
            assert found.source[word.origins[0].place] == word.text
    assert {"kadir", "tovopi"} <= {word.text for word in found.words}


def test_a_text_of_very_many_parts_has_no_square_of_weights(
    reports_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = seqnlp.load(reports_run).task
    assert isinstance(task, SummarizationTask)
    text = task.settings.text.model_copy(update={"max_tokens": 7, "long_documents": "chunk"})
    task.settings = task.settings.model_copy(update={"text": text})
    long = "Kadir lost a mill on Friday. " * 5
    whole, short = answers(task, [long, "Kadir lost a mill."])
    assert whole.hypotheses[0].attention is not None
    monkeypatch.setattr(joined_parts, "MOST_WEIGHTS", whole.hypotheses[0].attention.size - 1)
    cut, same = answers(task, [long, "Kadir lost a mill."])
    assert (cut.output, same) == (whole.output, short)
    assert same.hypotheses[0].attention is not None
    assert cut.hypotheses[0].attention is None
    assert cut.hypotheses[0].copied is None
    with pytest.raises(InputError, match="ask for it when answering a text of fewer parts$"):
        explain_copies(cut, task.pipelines)
    with pytest.raises(InputError, match="^no attention to align words by is known of a text"):
        align_words(cut, task.pipelines)


@pytest.mark.parametrize(
    "tokenizer",
    [
        RegexTokenizer(),
        CharTokenizer(),
        BPETokenizer(size=280).train(TEXTS * 3),
        WordPieceTokenizer(size=60).train(TEXTS * 3),
    ],
    ids=lambda each: each.family,
)
def test_tokens_stand_in_the_words_of_their_text(tokenizer: Tokenizer) -> None:
    text = '"It rained," Tom said (twice), don\'t you know?'
    tokens = tokenizer.tokenize(text)
    groups = group_words(tokens, tokenizer)
    assert [place for group in groups for place in group] == list(range(len(tokens)))
    whole = tokenizer.detokenize(tokens)
    if tokenizer.family != "wordpiece":  # which knows its own spaces no better than this
        words = [tokenizer.detokenize([tokens[p] for p in group]).strip() for group in groups]
        assert [word.replace(" ", "") for word in words] == whole.split()
    assert group_words([], tokenizer) == []
