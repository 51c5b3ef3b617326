"""The runner's stream answers as the runner does to the text so far, whatever the pieces cut."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from seqnlp_runtime import Model, load

FOLDER = Path(__file__).parents[3] / "runtime" / "tests" / "models" / "stream"
"""With n-grams, evidence, and texts cut at eight tokens."""

WORDS = "the film was great, dull awful is n't fine. 9 : 45 ﬁne \u0301 unheard"
words = st.sampled_from(WORDS.split())
pieces = st.lists(st.one_of(words, st.text(max_size=8)), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def model() -> Model:
    return load(FOLDER)


def test_a_stream_is_the_same_text(model: Model) -> None:
    stream = model.stream()

    @settings(max_examples=100)
    @given(pieces)
    @example(["", "", "great"])
    @example(["is", "n't", "9", ":", "45", "great", "great", "great", "dull", "dull", "dull"])
    def check(arriving: list[str]) -> None:
        stream.reset()
        for end, piece in enumerate(arriving, start=1):
            found, whole = stream.push(piece), model(" ".join(arriving[:end]))
            assert found.output == whole.output
            assert found.probabilities == pytest.approx(whole.probabilities, abs=1e-5)

    check()
