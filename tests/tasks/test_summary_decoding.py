"""What the options of decoding do to summaries: words, marks, prefixes that are copied, lengths."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import seqnlp
from seqnlp.data.corpus import open_corpus
from seqnlp.errors import InputError
from seqnlp.tasks.choosing import Draft
from seqnlp.tasks.decoding import Decoding, UsualLength
from seqnlp.tasks.demands import Demands
from seqnlp.tasks.joined_parts import within
from seqnlp.tasks.summarization import SummarizationTask
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.tidy import balance
from seqnlp.text.tokenizers import CharTokenizer, RegexTokenizer
from seqnlp.text.vocabulary import BOS, EOS, PAD, UNK, Vocabulary
from seqnlp.training.preparation import complete
from tests.toy_summarization import small_summarization

TEXTS = [
    "On Friday Kadir lost a mill. Mosel was there and saw it.",
    "It rained on Monday when Tovo came. Sarah sold an old car.",
]


@pytest.fixture(scope="module")
def trained(reports_run: Path) -> SummarizationTask:
    task = seqnlp.load(reports_run).task
    assert isinstance(task, SummarizationTask)
    return task


@pytest.fixture
def task(trained: SummarizationTask) -> Iterator[SummarizationTask]:
    yield trained
    trained.decoding = trained.options.decoding


def outputs(task: SummarizationTask, texts: list[str], **options: Any) -> list[str]:
    task.decoding = Decoding(**options)
    return [answer.output for answer in task.answer_texts(texts, batch_size=8)]


@pytest.mark.parametrize("options", [{}, {"beam": 4}, {"sample": True}], ids=str)
def test_answers_have_so_many_words(task: SummarizationTask, options: dict[str, Any]) -> None:
    for most in (1, 2, 3):
        found = outputs(task, TEXTS, max_words=most, **options)
        assert all(1 <= len(text.split()) <= most for text in found)
    # A name that only one of them can copy is a word as well as any other.
    if not options:
        assert outputs(task, TEXTS, max_words=1) == ["kadir", "sarah"]


def test_a_prefix_and_phrases_may_be_copied(task: SummarizationTask) -> None:
    assert task.target.vocabulary is not None
    assert "mosel" not in task.target.vocabulary.tokens[: task.outputs]
    (found,) = outputs(task, TEXTS[:1], prefix="Mosel paints")
    assert found.startswith("mosel paints")
    (found,) = outputs(task, TEXTS[:1], beam=5, constraints=("mosel",))
    assert "mosel" in found.split()
    with pytest.raises(InputError, match=r"^decoding\.prefix: 'Mosel' has 'mosel', which the model cannot write: it is neither in its vocabulary nor in the text that begins 'it rained on monday'$"):  # fmt: skip
        outputs(task, TEXTS, prefix="Mosel")
    with pytest.raises(InputError, match=r"^decoding\.constraints: 'by Xylo' has 'by', which"):
        outputs(task, TEXTS, beam=2, constraints=("by Xylo",))


def test_no_n_gram_of_copied_tokens_occurs_twice(task: SummarizationTask) -> None:
    options = {"prefix": "Kadir Mosel Kadir", "min_length": 8, "max_length": 8}
    (found,) = outputs(task, TEXTS[:1], no_repeat_ngram=2, **options)
    words = found.split()
    assert words[:3] == ["kadir", "mosel", "kadir"]
    assert words[3] != "mosel"
    pairs = list(pairwise(words))
    assert len(set(pairs)) == len(pairs)


def test_marks_without_a_partner_are_left_out_where_it_is_asked(
    task: SummarizationTask,
) -> None:
    texts = ['On Friday "Kadir lost a mill. Mosel was there.']
    plain = outputs(task, texts, prefix='" Kadir')
    assert plain[0].startswith('"kadir')
    tidy = outputs(task, texts, prefix='" Kadir', tidy=True)
    assert tidy == [plain[0].removeprefix('"')]
    assert SummarizationTask.defaults["head"]["decoding"]["tidy"] is True


def test_marks_have_their_partner_in_a_text_that_was_cut(trained: SummarizationTask) -> None:
    task = deepcopy(trained)
    network: Any = task.members[0]
    with torch.no_grad():
        network.pointer.gate.bias.fill_(-20.0)  # so that it copies
    # Written between marks, some of these are more words than by themselves.
    options = {"sample": True, "n_best": 200, "max_words": 1, "max_length": 6, "tidy": True}
    task.decoding = Decoding(**options)
    (answer,) = task.answer_texts(["[ & / ]"], batch_size=1)
    texts = {each.text for each in answer.hypotheses}
    assert any("&" in text for text in texts)
    assert {text for text in texts if balance(text) != text} == set()
    assert max(len(text.split()) for text in texts) == 1


def test_a_text_of_characters_ends_with_a_whole_word(reports_corpus: Path) -> None:
    settings = complete(
        small_summarization(reports_corpus, "text.tokenizer=char", "text.min_count=1")
    )
    torch.manual_seed(3)
    corpus = open_corpus(str(reports_corpus), fields=SummarizationTask.fields)
    task = SummarizationTask.create(settings, corpus)
    # It goes on with letters whatever it has read, so that what the prefix begins is broken.
    network: Any = task.members[0]
    vocabulary = task.target.vocabulary
    assert vocabulary is not None
    with torch.no_grad():
        network.output.bias[:] = -20.0
        network.output.bias[vocabulary.id("a")] = 20.0
        network.pointer.gate.bias.fill_(20.0)
    task.decoding = Decoding(max_length=12, prefix="mi sol")
    (answer,) = task.answer_texts(TEXTS[:1], batch_size=1)
    assert answer.output == "mi"
    best = answer.hypotheses[0]
    assert "".join(best.tokens) == "mi "
    assert best.attention is not None
    assert len(best.attention) == len(best.tokens) + 1


def test_usual_lengths_are_measured_and_kept(
    task: SummarizationTask, reports_run: Path, tmp_path: Path
) -> None:
    learned = task.learned
    usual = learned.usual_length
    assert usual is not None
    split = open_corpus(
        task.settings.corpus.name, fields=SummarizationTask.fields
    ).split("train")  # fmt: skip
    sizes = [
        [len(pipeline.tokens(text)) + 1 for text in split.column(name)]
        for name, pipeline in task.pipelines.items()
    ]
    assert usual == UsualLength.measured(*map(np.array, sizes))
    options: dict[str, Any] = {"beam": 6, "length_penalty": 0.0, "length_prior": 200.0}
    longer = outputs(task, TEXTS, length_ratio=0.7, **options)
    shorter = outputs(task, TEXTS, length_ratio=0.2, **options)
    assert all(len(a) > len(b) for a, b in zip(longer, shorter, strict=True))
    task.learned = replace(learned, usual_length=None)
    try:
        with pytest.raises(InputError, match=r"nothing was measured of; set length_ratio"):
            outputs(task, TEXTS, length_prior=1.0)
        assert outputs(task, TEXTS, length_prior=1.0, length_ratio=0.5)
    finally:
        task.learned = learned
    state = task.state()
    with pytest.raises(ValueError, match="spread must be positive"):
        SummarizationTask.restore(
            task.settings, task.pipelines, {**state, "usual_length": {**state["usual_length"], "spread": 0}}
        )  # fmt: skip


def _pipeline(*tokens: str) -> TokenPipeline:
    return TokenPipeline(
        tokenizer=RegexTokenizer(), vocabulary=Vocabulary(tokens, (PAD, UNK, BOS, EOS))
    )


def test_slots_are_words_of_their_own_source() -> None:
    pipeline = _pipeline("dog", ",", "unseen")
    demands = Demands(pipeline, Decoding(max_words=3), outputs=6, copies=True)
    marks = demands.words([["cat", "'s"], [], ["-"]], torch.device("cpu"))
    assert marks.begins[:, 4:].tolist() == [
        [True, False, True, False],
        [True, False, False, False],
        [True, False, False, False],
    ]
    assert marks.joins[:, 6:].tolist() == [[False, False], [False, False], [True, False]]


def test_what_a_model_can_write_is_known_before_it_reads() -> None:
    pipeline = _pipeline("dog", "unseen")
    options = Decoding(prefix="dog unseen")
    with pytest.raises(InputError, match="has 'unseen', .* it is not in its vocabulary$"):
        Demands(pipeline, options, outputs=5, copies=False)
    demands = Demands(pipeline, options, outputs=5, copies=True)
    assert demands.forced(["cat", "unseen"], ["the", "cat"]) == ([4, 6], [])
    letters = replace(pipeline, tokenizer=CharTokenizer(), vocabulary=Vocabulary(tuple(" ab"), (PAD, UNK, BOS, EOS)))  # fmt: skip
    inside = Demands(letters, Decoding(beam=2, constraints=("ab",)), outputs=7, copies=False)
    assert inside.forced([], []) == ([], [[4, 5, 6]])  # a space before it


def test_parts_that_no_longer_fit_are_left_out() -> None:
    weights = np.ones((3, 4), dtype=np.float32)
    drafts = [
        Draft(text="two words", score=-1.0, log_probability=-2.0, tokens=("two", "words"), weights=weights),
        Draft(text="one", score=-1.0, log_probability=-2.0, tokens=("one",)),
        Draft(text="far too many", score=-1.0, log_probability=-3.0, tokens=("far", "too", "many"), weights=weights),
        Draft(text="end", score=-1.0, log_probability=-2.0, tokens=("end",)),
    ]  # fmt: skip
    kept = within(drafts, 4)
    assert [draft.text for draft in kept] == ["two words", "one", "", ""]
    assert [draft.tokens for draft in kept[2:]] == [(), ()]
    assert kept[2].weights is not None
    assert kept[2].weights.shape == (1, 4)
    assert within(drafts[:1], 1) == drafts[:1]
