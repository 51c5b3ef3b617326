"""The runner's stream answers as the runner does to the text so far, whatever the pieces cut."""

from __future__ import annotations

import json
import shutil
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


@pytest.fixture(scope="module", params=[None, r"\w+ \w+ \w+|\w+ \w+|\S"], ids=["words", "joined"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """As it is, and with tokens of several words, which are others when the text goes on."""
    if request.param is None:
        return load(FOLDER)
    copy = shutil.copytree(FOLDER, tmp_path_factory.mktemp("models") / "joined")
    described = json.loads((copy / "seqnlp.json").read_text(encoding="utf-8"))
    described["pipelines"]["text"]["tokenizer"]["state"]["pattern"] = request.param
    (copy / "seqnlp.json").write_text(json.dumps(described), encoding="utf-8")
    return load(copy)


def test_a_stream_is_the_same_text(model: Model) -> None:
    stream = model.stream()

    @settings(max_examples=60)
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
