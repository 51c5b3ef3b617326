"""A classifier's graphs: of whole texts and of pieces, with all that may stand beside the ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqnlp.data.corpus import open_corpus
from seqnlp.errors import InputError
from seqnlp.integrations.onnx.graphs import can_stream, classifier_graphs, first_states
from seqnlp.nn.cells.base import Gates, State
from seqnlp.nn.encoder import Encoder
from seqnlp.tasks.sentiment import SentimentTask
from seqnlp.types import Encoded, lengths_to_mask
from tests.integrations.onnx.recorded import OwnCell, Runner, scatter
from tests.toy import small_settings

TOLERANCE = 1e-5
TEXTS = (
    "The film was fine and then dull .",
    "lovely",
    "",
    "zqx was an unseen wordd , and so was this : gribble",
)
Feed = dict[str, NDArray[Any]]


def _make(corpus: Path, *overrides: str) -> SentimentTask:
    """A network as it begins, moved away from there; its evidence is fitted."""
    settings = small_settings(corpus, "model.hidden_size=5", "model.embedding_size=4", *overrides)
    opened = open_corpus(str(corpus), fields=SentimentTask.fields)
    task = SentimentTask.create(settings, opened)
    task.read(opened.split("train"), training=True)
    scatter(task)
    for member in task.members:
        member.embedding._zero_padding()  # type: ignore[operator, union-attr]
    return task


@pytest.fixture(scope="module")
def rich(toy_corpus: Path) -> tuple[SentimentTask, dict[str, onnx.ModelProto]]:
    """Two members that look back at all states, with n-grams and evidence."""
    options = ["model.bidirectional=false", "model.cell=gru", "head.evidence=logistic",
               'head.pooling=["mean","max"]', "text.max_size=14", "text.min_count=1"]  # fmt: skip
    first, second = (_make(toy_corpus, *options) for _ in range(2))
    with torch.no_grad():
        for parameter in second.parameters():
            parameter.mul_(0.7)
    task = SentimentTask.combine([first, second]).eval()
    return task, classifier_graphs(task)


def _feed(task: SentimentTask, documents: list[list[str]]) -> Feed:
    """What a runner makes of tokens: n-grams of unknown ones alone."""
    vocabulary, hasher = task.pipeline.vocabulary, task.pipeline.hasher
    assert vocabulary is not None
    assert hasher is not None
    ids = [vocabulary.ids(tokens) or [vocabulary.unk] for tokens in documents]
    width = max(map(len, ids))
    grams: list[int] = []
    places: list[int] = []
    for row, tokens in enumerate(documents):
        for place, token in enumerate(tokens):
            if token not in vocabulary:
                found = hasher.ids(token)
                grams += found.tolist()
                places += [row * width + place] * len(found)
    feed = {
        "ids": np.array([row + [0] * (width - len(row)) for row in ids]),
        "lengths": np.array([len(row) for row in ids]),
        "grams": np.array(grams, dtype=np.int64),
        "gram_positions": np.array(places, dtype=np.int64),
    }
    if task.evidence is not None:
        feed["evidence"] = task.read_tokens(documents).evidence  # type: ignore[assignment]
    return feed


def _expected(task: SentimentTask, documents: list[list[str]]) -> NDArray[np.float32]:
    batch = task.read_tokens(documents).batch(np.arange(len(documents)))
    with torch.no_grad():
        logs: NDArray[np.float32] = task.log_probabilities(batch).numpy()
    return logs


def test_whole_texts_get_the_library_s_probabilities(
    rich: tuple[SentimentTask, dict[str, onnx.ModelProto]],
) -> None:
    task, graphs = rich
    run = Runner(graphs["classifier"])
    documents = [task.pipeline.tokens(text) for text in TEXTS]
    assert len(_feed(task, documents)["grams"]) > 20
    batches = [documents, *([each] for each in documents)]
    for batch in batches:
        (found,) = run(**_feed(task, batch))
        np.testing.assert_allclose(found, _expected(task, batch), atol=TOLERANCE)
    assert len(_feed(task, [documents[1]])["grams"]) == 0


def test_pieces_get_what_the_text_so_far_gets(
    rich: tuple[SentimentTask, dict[str, onnx.ModelProto]],
) -> None:
    task, graphs = rich
    run = Runner(graphs["stream"])
    states = first_states(task)
    assert run.outputs == ["log_probabilities", *(f"next_{name}" for name in states)]
    assert [states[name].shape for name in ("past_0", "past_1", "past_mask")] == [
        (1, 0, 5), (1, 0, 5), (1, 0),
    ]  # fmt: skip
    tokens = task.pipeline.tokens(TEXTS[3])
    seen: list[str] = []
    for end in (1, 2, 7, len(tokens)):
        feed = _feed(task, [tokens[len(seen) : end]])
        seen = tokens[:end]
        feed["evidence"] = task.read_tokens([seen]).evidence  # type: ignore[assignment]
        logs, *after = run(**feed, **states)
        np.testing.assert_allclose(logs, _expected(task, [seen]), atol=TOLERANCE)
        states = dict(zip(states, after, strict=True))
    assert states["past_mask"].all()


def test_rows_of_a_stream_may_go_on_by_different_numbers_of_tokens(
    rich: tuple[SentimentTask, dict[str, onnx.ModelProto]],
) -> None:
    task, graphs = rich
    run = Runner(graphs["stream"])
    documents = [task.pipeline.tokens(TEXTS[0]), task.pipeline.tokens(TEXTS[3])]
    states = {name: np.repeat(state, 2, axis=0) for name, state in first_states(task).items()}
    for begin, ends in (((0, 0), (2, 5)), ((2, 5), (8, 6))):
        pieces = [
            tokens[first:last] for tokens, first, last in zip(documents, begin, ends, strict=True)
        ]
        seen = [tokens[:last] for tokens, last in zip(documents, ends, strict=True)]
        feed = _feed(task, pieces)
        feed["evidence"] = task.read_tokens(seen).evidence  # type: ignore[assignment]
        logs, *after = run(**feed, **states)
        np.testing.assert_allclose(logs, _expected(task, seen), atol=TOLERANCE)
        states = dict(zip(states, after, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ["model.cell=lru", 'head.pooling=["last"]'],
        ["model.cell=qrnn", 'head.pooling=["last"]', "head.attention=general"],
        ["model.cell=lstm", "model.layers=2", "head.attention=additive"],
        ["model.cell=batch_norm_lstm", 'head.pooling=["last"]'],
    ],
    ids=lambda options: options[0],
)
def test_states_of_any_cell_stream(toy_corpus: Path, options: list[str]) -> None:
    task = _make(toy_corpus, "model.bidirectional=false", *options).eval()
    run = Runner(classifier_graphs(task)["stream"])
    states = first_states(task)
    assert ("past_mask" in states) == (task.options.attention is not None)
    tokens = task.pipeline.tokens(TEXTS[0])
    seen = 0
    for end in (1, 5, len(tokens)):
        logs, *after = run(**_feed(task, [tokens[seen:end]]), **states)
        seen = end
        np.testing.assert_allclose(logs, _expected(task, [tokens[:end]]), atol=TOLERANCE)
        states = dict(zip(states, after, strict=True))


class _LearnedStart(OwnCell):
    """Begins with what it has learned."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.start = nn.Parameter(torch.randn(2, hidden_size))

    def initial_state(self, batch_size: int) -> State:
        h, c = self.start.unsqueeze(1).expand(-1, batch_size, -1)
        return h, c

    def update(  # type: ignore[override]
        self, x_gates: Gates, h_gates: Gates, state: State, start: Tensor
    ) -> State:
        return super().update(x_gates, h_gates, state)


def test_states_that_are_learned_begin_a_stream(toy_corpus: Path) -> None:
    task = _make(toy_corpus, "model.bidirectional=false", 'head.pooling=["last"]').eval()
    (layer,) = task.members[0].encoder.layers  # type: ignore[union-attr, misc]
    layer.forward_cell = own = _LearnedStart(4, 5)
    states = first_states(task)
    for place in range(2):
        start = own.start[place : place + 1].detach().numpy()
        np.testing.assert_array_equal(states[f"state_0_0_{place}"], start)
    tokens = task.pipeline.tokens(TEXTS[0])
    logs, *_ = Runner(classifier_graphs(task)["stream"])(**_feed(task, [tokens]), **states)
    np.testing.assert_allclose(logs, _expected(task, [tokens]), atol=TOLERANCE)


def test_an_encoder_of_both_directions_has_no_stream(toy_corpus: Path) -> None:
    assert not can_stream(_make(toy_corpus))
    assert can_stream(_make(toy_corpus, "model.bidirectional=false"))


class _Peeking(Encoder):
    """Does something else where a text begins with a large number."""

    def forward(self, x: Tensor, lengths: Tensor) -> Encoded:
        states = x * 2 if float(x[0, 0, 0]) > 1 else x
        mask = lengths_to_mask(lengths, x.shape[1])
        return Encoded(states=states, mask=mask, summary=states[:, 0])


def test_an_encoder_that_cannot_be_recorded_is_named(toy_corpus: Path) -> None:
    task = _make(toy_corpus)
    member: nn.Module = task.members[0]
    member.encoder = _Peeking(4, 10)
    with pytest.raises(InputError) as caught:
        classifier_graphs(task)
    message = str(caught.value)
    assert message.startswith(
        "the encoder 'recurrent' with the cell 'lstm' cannot be recorded as an ONNX graph: "
    )
    assert "\n" not in message
