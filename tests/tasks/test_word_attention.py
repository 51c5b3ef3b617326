"""Attention of tokens put together to words, against sums written down by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import seqnlp
from seqnlp.tasks.word_attention import word_attention
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.subwords import WordPieceTokenizer
from seqnlp.text.tokenizers import CharTokenizer, RegexTokenizer, Tokenizer
from seqnlp.types import Hypothesis, Prediction


def answered(
    source: Sequence[str], tokens: Sequence[str], attention: Sequence[Sequence[float]] | None
) -> Prediction:
    weights = None if attention is None else np.array(attention, dtype=np.float32)
    found = Hypothesis(
        text="", score=0.0, log_probability=0.0, tokens=tuple(tokens), attention=weights
    )
    return Prediction(output="", hypotheses=(found,), source_tokens=tuple(source))


def pipelines(source: Tokenizer, target: Tokenizer) -> dict[str, TokenPipeline]:
    return {"source": TokenPipeline(tokenizer=source), "target": TokenPipeline(tokenizer=target)}


def test_a_word_has_the_sum_of_its_source_pieces_and_the_mean_of_its_own() -> None:
    pieces = WordPieceTokenizer(size=60).train(["walking dogs"] * 3)
    answer = answered(
        ["walk", "##ing", "dogs", "<eos>"],
        ["d", "##og", "walks"],
        [[0.1, 0.2, 0.3, 0.4], [0.3, 0.4, 0.1, 0.2], [0.5, 0.25, 0.15, 0.1], [0, 0, 0, 1]],
    )
    found = word_attention(answer, pipelines(pieces, pieces))
    assert found is not None
    assert (found.source, found.words) == (("walking", "dogs"), ("dog", "walks"))
    np.testing.assert_allclose(found.weights, [[0.5, 0.2], [0.75, 0.15]], rtol=1e-6)
    assert found.weights.dtype == np.float32


def test_spaces_are_no_words() -> None:
    answer = answered("a b", "c d", [[0.5, 0.3, 0.2], [0.2, 0.5, 0.3], [0.1, 0.0, 0.9], [0, 0, 0]])
    found = word_attention(answer, pipelines(CharTokenizer(), CharTokenizer()))
    assert found is not None
    assert (found.source, found.words) == (("a", "b"), ("c", "d"))
    assert found.weights.shape == (2, 2)
    assert found.weights[0, 0] == pytest.approx(0.5)


def test_parts_have_an_end_each() -> None:
    answer = answered(
        ["one", "<eos>", "two", "<eos>"], ["eins", "zwei"],
        [[0.9, 0.1, 0, 0], [0, 0, 0.8, 0.2], [0, 0, 0, 1]],
    )  # fmt: skip
    found = word_attention(answer, pipelines(RegexTokenizer(), RegexTokenizer()))
    assert found is not None
    assert found.source == ("one", "two")
    np.testing.assert_allclose(found.weights, [[0.9, 0], [0, 0.8]], rtol=1e-6)


@pytest.mark.parametrize(
    "answer",
    [
        Prediction(output=""),
        answered(["a", "<eos>"], [], [[0.5, 0.5]]),
        answered(["a", "<eos>"], ["b"], None),
        answered(["<eos>"], ["b"], [[1.0], [1.0]]),
    ],
)
def test_without_words_or_attention_there_is_none(answer: Prediction) -> None:
    assert word_attention(answer, pipelines(RegexTokenizer(), RegexTokenizer())) is None


def test_a_real_answer_looks_at_all_of_its_words(pairs_run: Path) -> None:
    model = seqnlp.load(pairs_run)
    answer = model("Der Hund will den Ball sehen.")
    found = word_attention(answer, model.task.pipelines)
    assert found is not None
    assert found.words == tuple(answer.output.split())
    assert found.source == ("Der", "Hund", "will", "den", "Ball", "sehen.")
    attention = answer.hypotheses[0].attention
    assert attention is not None
    # The point is the seventh token, and in the last word of both.
    np.testing.assert_allclose(found.weights[0, :5], attention[0, :5], rtol=1e-5)
    np.testing.assert_allclose(found.weights[0, 5], attention[0, 5:7].sum(), rtol=1e-5)
