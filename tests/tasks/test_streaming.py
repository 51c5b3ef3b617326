"""A text piece by piece: the running answers are those to the text so far, by any tokenizer."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seqnlp import registry
from seqnlp.bundle import Model
from seqnlp.errors import InputError
from seqnlp.nn import EncoderState
from seqnlp.tasks.base import Stream, Task
from seqnlp.tasks.sentiment import SentimentTask
from seqnlp.types import Prediction
from tests.tasks.test_sentiment import corpus, task

ROWS = [
    ("A fine film. It isn't dull, is it?", "good"),
    ("A poor film... so poor, so dull!", "bad"),
    ("Well, 10:45 and $9.50 for this?", "bad"),
    ("A fine, fine film; a fine cast.", "good"),
]
PIECES = ["A fine film.", "It isn", "'t dull  ", "", "  10:", "45 isn't", "e\u0301", "\u0301", "...", "?!"]  # fmt: skip
TOKENIZERS = ["regex", "whitespace", "char", "bpe", "unigram", "wordpiece", "spacy:en",
              "nltk:treebank", "nltk:tweet", "nltk:toktok"]  # fmt: skip
OPTIONS = {
    "bpe": ["text.tokenizer_options={size = 300}"],
    "unigram": ["text.tokenizer_options={size = 60}"],
    "wordpiece": ["text.tokenizer_options={size = 80}"],
}


def model(*overrides: str) -> Model:
    """One whose answers depend on all that it reads, without a training."""
    own = ["model.bidirectional=false", 'head.pooling=["last", "mean", "max"]']
    made = task(*own, *overrides, of=corpus(ROWS))
    made.read(corpus(ROWS).split("train"), training=True)
    sharpen(made)
    return Model(made, {})


def sharpen(made: SentimentTask) -> None:
    for parameter in made.members.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.7)


def assert_streams(made: Model, pieces: Sequence[str], stream: Stream | None = None) -> None:
    stream = stream or made.stream()
    for count, piece in enumerate(pieces, start=1):
        assert_equal(stream.push(piece), made(" ".join(pieces[:count])))


def assert_equal(one: Prediction, other: Prediction) -> None:
    assert one.probabilities == pytest.approx(other.probabilities, abs=2e-6)


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_the_running_answer_is_that_to_the_text_so_far(tokenizer: str) -> None:
    made = model(f"text.tokenizer={tokenizer}", *OPTIONS.get(tokenizer, []))
    assert_streams(made, PIECES)
    answers = [made(" ".join(PIECES[:count])).probabilities for count in range(1, len(PIECES))]
    # There is something to get wrong.
    assert len({round((shares or {})["good"], 4) for shares in answers}) > 5


@pytest.mark.parametrize(
    "overrides",
    [
        ["head.pooling=[\"last\"]", "model.cell=gru"],
        ["head.pooling=[\"mean\"]", "model.layers=2", "model.residual=true"],
        ["head.pooling=[\"max\"]"],
        ["head.attention=multi_head", "head.attention_options.heads=2", "model.layer_norm=true"],
        ["head.evidence=naive_bayes"],
        ["head.evidence=logistic", "text.max_tokens=5"],
        ["text.ngram_buckets=0"],
        ["text.max_tokens=6"],
        ["text.max_tokens=6", "text.long_documents=truncate", "head.evidence=naive_bayes"],
        ['text.normalizers=["nfkc", "strip_accents", "lowercase", "collapse_whitespace"]'],
    ],
    ids=lambda overrides: overrides[-1],
)  # fmt: skip
def test_poolings_evidence_and_long_texts(overrides: list[str]) -> None:
    assert_streams(model(*overrides), PIECES)


MODELS: dict[str, Model] = {}


@pytest.mark.parametrize("tokenizer", ["regex", "bpe", "nltk:treebank"])
@settings(max_examples=25)
@given(pieces=st.lists(st.text("aA fin.'t?e\u0301", max_size=7), min_size=1, max_size=8))
def test_a_text_may_be_cut_anywhere(tokenizer: str, pieces: list[str]) -> None:
    if tokenizer not in MODELS:
        MODELS[tokenizer] = model(f"text.tokenizer={tokenizer}", *OPTIONS.get(tokenizer, []))
    assert_streams(MODELS[tokenizer], pieces)


def test_every_registered_cell_streams() -> None:
    for cell in registry.cells.names():
        assert_streams(model(f"model.cell={cell}"), PIECES[:4])


def test_reset_begins_another_text() -> None:
    made = model()
    stream = made.stream()
    assert_streams(made, PIECES[:3], stream)
    stream.reset()
    assert_streams(made, PIECES[3:], stream)


def test_an_ensemble_streams() -> None:
    parts = [task("model.bidirectional=false", of=corpus(ROWS)) for _ in range(3)]
    for part in parts:
        sharpen(part)
    made = Model(SentimentTask.combine(parts), {})
    assert_streams(made, PIECES)
    alone = Model(parts[0], {}).stream().push(PIECES[0]).probabilities
    assert alone != pytest.approx(made.stream().push(PIECES[0]).probabilities, abs=1e-3)


def test_each_token_passes_the_recurrence_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = model("text.tokenizer=whitespace")
    seen = count_steps(made, monkeypatch)
    stream = made.stream()
    for piece in ("a fine film", "", "and", "not a dull one"):
        stream.push(piece)
    assert seen == [3, 1, 4]


def test_what_the_next_piece_changes_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Penn Treebank rules split a period off at the end of the text alone."""
    made = model("text.tokenizer=nltk:treebank")
    seen = count_steps(made, monkeypatch)
    stream = made.stream()
    for piece in ("a", "fine film.", "and more"):
        stream.push(piece)
    assert seen == [1, 3, 4]


def count_steps(made: Model, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Filled with the steps of each call to the encoder."""
    (member,) = made.task.members  # type: ignore[misc]
    seen: list[int] = []
    real = member.encoder.advance

    def spy(x: Tensor, lengths: None, state: EncoderState) -> object:
        seen.append(x.shape[1])
        return real(x, lengths, state)

    monkeypatch.setattr(member.encoder, "advance", spy)
    return seen


def test_a_task_in_training_answers_as_in_evaluation() -> None:
    made = model("text.tokenizer=whitespace")
    wanted = made("a fine film")
    made.task.train()
    for site in made.task.modules():
        if hasattr(site, "rate"):
            site.rate = 0.5
    stream = made.stream()
    stream.push("a fine")
    assert_equal(stream.push("film"), wanted)
    assert all(module.training for module in made.task.modules())


def test_a_model_that_cannot_stream_says_what_could() -> None:
    with pytest.raises(InputError, match=r"--set model\.bidirectional=false$"):
        Model(task(), {}).stream()
    made = task()
    with pytest.raises(
        InputError, match=r"^the task 'sentiment' cannot stream: it reads whole texts only$"
    ):
        Task.stream(made)


def test_a_stream_keeps_no_graph() -> None:
    stream = model().stream()
    stream.push("a fine film")
    held = [value for reader in stream._readers for value in (reader._states, *reader._marks)]  # type: ignore[attr-defined]
    tensors = [item if isinstance(item, Tensor) else item.summary for item in held]
    assert not any(tensor.requires_grad for tensor in tensors)
