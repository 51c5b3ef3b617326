"""A choice among hypotheses and neighbors, from the options of decoding to the answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqnlp
from seqnlp.bundle import Model
from seqnlp.config import validate_section
from seqnlp.errors import InputError, SettingsError
from seqnlp.tasks.decoding import Decoding
from seqnlp.tasks.neighbors import NeighborIndex
from seqnlp.tasks.utilities import chrf
from seqnlp.types import Prediction
from tests.cli.calling import call
from tests.toy_translation import small_translation

TEXTS = ["Der Hund will den Ball sehen.", "Eine Frau kann das Haus malen.", "Katze"]


@pytest.fixture(scope="module")
def run(pairs_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a translator that has learned little and keeps its training pairs."""
    folder = tmp_path_factory.mktemp("runs") / "near"
    seqnlp.train(small_translation(pairs_corpus, "head.neighbors=true", "train.epochs=2"), folder)
    return folder


@pytest.fixture(scope="module")
def loaded(run: Path) -> Model:
    return seqnlp.load(run)


@pytest.fixture
def model(loaded: Model) -> Iterator[Model]:
    yield loaded
    loaded.task.decoding = Decoding()


def answers(model: Model, texts: list[str] = TEXTS, **options: Any) -> list[Prediction]:
    model.task.decoding = validate_section(Decoding, options, "decoding")
    return model.task.answer_texts(texts, batch_size=2)


def expected(
    answer: Prediction, weights: list[float], near: list[tuple[str, float]]
) -> list[tuple[str, float]]:
    """Distinct texts and expected utilities, best first, from all hypotheses of an answer."""
    evidence = [(h.text, w / sum(weights)) for h, w in zip(answer.hypotheses, weights, strict=True)]
    evidence += near
    texts = list(dict.fromkeys(text for text, _ in evidence))
    total = sum(weight for _, weight in evidence)
    made = [
        (text, sum(w * chrf([text], [other])[0, 0] for other, w in evidence) / total)
        for text in texts
    ]
    return sorted(made, key=lambda pair: -round(pair[1], 9))


def given(answer: Prediction) -> list[tuple[str, float]]:
    return [(each.text, pytest.approx(each.score)) for each in answer.hypotheses]


def test_the_whole_beam_is_chosen_from(model: Model) -> None:
    whole = answers(model, beam=5, n_best=5)
    assert min(len({h.text for h in answer.hypotheses}) for answer in whole) > 2
    chosen = answers(model, beam=5, n_best=2, mbr=True, mbr_temperature=1.5)
    changed = 0
    for before, after in zip(whole, chosen, strict=True):
        weights = [np.exp(each.log_probability / 1.5) for each in before.hypotheses]
        assert expected(before, weights, [])[:2] == given(after)
        assert after.output == after.hypotheses[0].text
        kept = {each.text: each for each in before.hypotheses}
        for each in after.hypotheses:
            own = kept[each.text]
            assert each.tokens == own.tokens
            assert each.log_probability == pytest.approx(own.log_probability)
            assert each.attention is not None
        changed += before.output != after.output
    assert changed


def test_draws_count_alike(model: Model) -> None:
    options = {"sample": True, "n_best": 8, "seed": 3}
    drawn = answers(model, **options)
    chosen = answers(model, **options, mbr=True)
    for before, after in zip(drawn, chosen, strict=True):
        assert expected(before, [1.0] * 8, []) == given(after)


def test_neighbors_choose_by_the_square_of_their_similarity(
    model: Model, pairs_corpus: Path
) -> None:
    sides = [(pairs_corpus / f"train.{name}").read_text().splitlines() for name in ("de", "en")]
    found = list(NeighborIndex.fit(zip(*sides, strict=True)).find(TEXTS, 3))
    whole = answers(model, beam=4, n_best=4)
    chosen = answers(model, beam=4, n_best=4, mbr=True, neighbors=3, neighbor_weight=0.4)
    for before, after, near in zip(whole, chosen, found, strict=True):
        weights = [np.exp(each.log_probability / 2) for each in before.hypotheses]
        extra = [(text, 0.4 * similarity**2) for text, similarity in near]
        assert expected(before, weights, extra)[:4] == given(after)


def test_a_neighbor_can_be_the_answer(model: Model, pairs_corpus: Path) -> None:
    source = (pairs_corpus / "train.de").read_text().splitlines()[5]
    target = (pairs_corpus / "train.en").read_text().splitlines()[5]
    [answer] = answers(model, [source], beam=2, mbr=True, neighbors=1, neighbor_weight=1000)
    assert answer.output == target
    [best] = answer.hypotheses
    assert (best.tokens, best.log_probability, best.attention) == ((), None, None)


def test_without_weight_neighbors_can_be_chosen_but_do_not_choose(model: Model) -> None:
    alone = answers(model, beam=4, n_best=1, mbr=True)
    beside = answers(model, beam=4, n_best=1, mbr=True, neighbors=2, neighbor_weight=0)
    for before, after in zip(alone, beside, strict=True):
        assert after.hypotheses[0].score >= before.hypotheses[0].score - 1e-12


def test_neighbors_have_as_many_words_as_outputs_may_have(model: Model, pairs_corpus: Path) -> None:
    source = (pairs_corpus / "train.de").read_text().splitlines()[5]
    options = {"beam": 2, "mbr": True, "neighbors": 1, "neighbor_weight": 1000.0}
    [long] = answers(model, [source], **options, max_words=7)
    [short] = answers(model, [source], **options, max_words=3)
    assert long.hypotheses[0].log_probability is None
    assert short.hypotheses[0].log_probability is not None
    assert len(short.output.split()) <= 3


def test_what_is_like_nothing_in_train_and_what_is_empty(model: Model) -> None:
    options = {"beam": 2, "mbr": True, "neighbors": 2}
    empty, odd = answers(model, ["", "qwx"], **options)
    assert empty == Prediction(output="")
    assert odd.hypotheses[0].log_probability is not None


def test_answers_of_a_split_are_those_of_its_texts(model: Model) -> None:
    split = model.corpus().split("test")
    texts = list(split.column("source"))
    alone = answers(model, texts, beam=3, mbr=True, neighbors=2)
    together = model.task.answer(model.task.read(split), batch_size=5)
    assert [each.output for each in together] == [each.output for each in alone]


def test_an_ensemble_keeps_the_examples_once(model: Model) -> None:
    both = type(model.task).combine([model.task, model.task])
    assert both.state()["neighbors"] == model.task.state()["neighbors"]
    assert both.neighbors is model.task.neighbors


def test_a_model_without_examples_has_no_neighbors(pairs_run: Path) -> None:
    model = seqnlp.load(pairs_run)
    assert "neighbors" not in model.task.state()
    with pytest.raises(InputError) as caught:
        answers(model, beam=2, mbr=True, neighbors=5)
    assert str(caught.value) == (
        "decoding.neighbors: 5 are asked for, but this model keeps no training examples; train it "
        "with head.neighbors = true"
    )


def test_settings_that_ask_for_neighbors_keep_them(pairs_corpus: Path) -> None:
    asked = ["head.decoding.beam=2", "head.decoding.mbr=true", "head.decoding.neighbors=1"]
    with pytest.raises(SettingsError) as caught:
        seqnlp.train(small_translation(pairs_corpus, *asked))
    assert str(caught.value) == (
        "head.decoding.neighbors: the model keeps no training examples; set head.neighbors = true"
    )


def test_what_was_not_written_has_no_log_probability_on_paper(
    run: Path, pairs_corpus: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = (pairs_corpus / "train.de").read_text().splitlines()[5]
    near = ["--beam", 2, "--mbr", "--neighbors", 1, "--decode", "neighbor_weight=1000"]
    words = ["predict", run, source, *near, "--format"]
    _, out, _ = call(capfd, *words, "jsonl")
    [best] = json.loads(out)["hypotheses"]
    assert best["log_probability"] is None
    _, out, _ = call(capfd, *words, "tsv")
    assert out.splitlines()[1].split("\t")[3] == ""
    _, out, _ = call(capfd, "evaluate", run, *near)
    assert "\nbeam 2, mbr, neighbors 1, neighbor_weight 1000.0: 17 texts" in out
