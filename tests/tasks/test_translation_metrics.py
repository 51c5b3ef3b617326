"""Figures of translations against sacrebleu's own."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER
from sacrebleu.significance import PairedTest

from seqnlp.tasks import resampling, translation_metrics
from seqnlp.tasks.translation_metrics import compare, report, score

WORDS = ["The", "a", "small", "dog,", "cat.", "(old)", "runs", "1,000", "Straße", "it's", "—", "I"]


def sentences(number: int, *, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=int(70 ** draw.random()))) for _ in range(number)]


def spoiled(texts: list[str], share: float, *, seed: int) -> list[str]:
    """The texts with some words lost, others changed, and neighbors exchanged."""
    draw, made = random.Random(seed), []
    for text in texts:
        words = [draw.choice(WORDS) if draw.random() < share else word for word in text.split()]
        words = [word for word in words if draw.random() > share / 3]
        if len(words) > 1 and draw.random() < 2 * share:
            place = draw.randrange(len(words) - 1)
            words[place : place + 2] = words[place + 1], words[place]
        made.append(" ".join(words))
    return made


REFERENCES = sentences(80, seed=0)
FIRST, SECOND = (spoiled(REFERENCES, share, seed=seed) for share, seed in ((0.2, 1), (0.3, 2)))


def oracles() -> dict[str, Metric]:
    return {"bleu": BLEU(force=True), "chrf": CHRF(), "ter": TER()}


texts = st.lists(st.sampled_from([*WORDS, ".", ""]), max_size=8).map(" ".join)


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=6))
def test_figures_of_any_corpus_are_those_of_sacrebleu(pairs: list[tuple[str, str]]) -> None:
    answers, references = [list(side) for side in zip(*pairs, strict=True)]
    for name, metric in oracles().items():
        expected = metric.corpus_score(answers, [references]).score
        figure = translation_metrics._FIGURES[name]
        measured = figure.measure(answers, references)
        assert measured.value == pytest.approx(expected, rel=1e-12)
        # What resamples are computed by, on the corpus itself.
        assert figure.of(measured.statistics.sum(0)) == pytest.approx(expected, abs=1e-9)


def test_the_quick_figures_and_the_report_agree() -> None:
    made = report(FIRST, REFERENCES)
    assert score(FIRST, REFERENCES) == {name: made[name]["value"] for name in ("bleu", "chrf")}
    assert 0 < made["ter"]["value"] < made["bleu"]["value"] < 100


def test_intervals_and_signatures_are_those_of_sacrebleu() -> None:
    made = report(FIRST, REFERENCES)
    for name, metric in oracles().items():
        expected = metric.corpus_score(FIRST, [REFERENCES], n_bootstrap=1000)
        figure = made[name]
        assert figure["value"] == expected.score
        assert (figure["high"] - figure["low"]) / 2 == pytest.approx(expected._ci, abs=1e-4)
        assert figure["low"] < expected.score < figure["high"]
        assert figure["signature"] == str(metric.get_signature())
    assert "|case:mixed|eff:no|tok:13a|" in made["bleu"]["signature"]
    assert [made[name]["name"] for name in oracles()] == ["BLEU", "chrF2", "TER"]


def test_buckets_are_corpora_of_their_own() -> None:
    made = report(FIRST, REFERENCES)
    lengths = [BLEU().corpus_score([text], [[text]]).ref_len for text in REFERENCES]
    assert sum(bucket["examples"] for bucket in made["lengths"]) == len(REFERENCES)
    assert [(bucket["from"], bucket["to"]) for bucket in made["lengths"][:3]] == [
        (0, 5), (6, 10), (11, 15)
    ]  # fmt: skip
    assert (made["lengths"][-1]["from"], made["lengths"][-1]["to"]) == (61, None)
    for bucket in made["lengths"]:
        last = bucket["to"] or max(lengths)
        chosen = [n for n, length in enumerate(lengths) if bucket["from"] <= length <= last]
        answers, references = [FIRST[n] for n in chosen], [REFERENCES[n] for n in chosen]
        assert bucket["examples"] == len(chosen)
        for name, metric in oracles().items():
            expected = metric.corpus_score(answers, [references]).score
            assert bucket[name] == pytest.approx(expected, abs=1e-9)
        bleu = BLEU(force=True).corpus_score(answers, [references])
        assert bucket["length_ratio"] == pytest.approx(bleu.sys_len / bleu.ref_len)


def test_a_perfect_corpus_has_a_hundred_points() -> None:
    # sacrebleu's BLEU is 100.00000000000004.
    made = report(REFERENCES, REFERENCES)
    assert made["bleu"]["value"] == made["chrf"]["value"] == 100
    assert made["bleu"]["low"] <= made["bleu"]["high"] <= 100
    assert made["ter"]["value"] == 0


def test_the_length_ratio_tells_answers_that_are_too_short() -> None:
    assert report(["a b"], ["a b c d"])["length_ratio"] == 0.5
    assert report([""], [""])["length_ratio"] == 0.0


def test_a_report_is_json() -> None:
    made = report(FIRST[:3], REFERENCES[:3])
    assert json.loads(json.dumps(made)) == made


@pytest.mark.parametrize("share", [0.2, 0.21, 0.3])
def test_the_paired_bootstrap_is_that_of_sacrebleu(share: float) -> None:
    second = spoiled(REFERENCES, share, seed=3)
    made = compare(FIRST, second, REFERENCES)
    metrics = {"bleu": BLEU(force=True), "chrf": CHRF()}
    _, expected = PairedTest(
        [("first", FIRST), ("second", second)], metrics, [REFERENCES], test_type="bs"
    )()
    for name, key in (("bleu", "BLEU"), ("chrf", "chrF2")):
        theirs = expected[key]
        assert (made[name]["first"], made[name]["second"]) == tuple(each.score for each in theirs)
        # Theirs are sums of float32.
        assert made[name]["p_sacrebleu"] == pytest.approx(theirs[1].p_value, abs=0.003)


def test_a_clear_difference_is_told_from_none() -> None:
    worse = compare(FIRST, SECOND, REFERENCES)
    assert worse["bleu"]["p_value"] < 0.01
    assert worse["bleu"]["wins"] == 0
    assert worse["bleu"]["difference"]["high"] < 0
    same = compare(FIRST, FIRST, REFERENCES)
    assert same["chrf"]["difference"] == {"value": 0, "low": 0, "high": 0}
    assert same["chrf"]["wins"] == 0
    assert same["chrf"]["p_value"] == 1


def test_resampling_in_blocks_draws_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    statistics = np.arange(60.0).reshape(20, 3)
    whole = resampling.resampled(statistics)
    monkeypatch.setattr(resampling, "_BLOCK", 70)
    np.testing.assert_array_equal(resampling.resampled(statistics), whole)


@pytest.mark.parametrize(("answers", "references", "told"), [
    (["a"], ["a", "b"], "1 translations and 2 references"),
    ([], [], "0 translations and 0 references"),
])  # fmt: skip
def test_sides_of_different_length_are_refused(
    answers: list[str], references: list[str], told: str
) -> None:
    with pytest.raises(ValueError, match=f"^{told}: expected as many, and at least one"):
        score(answers, references)


def test_sacrebleu_is_imported_when_it_is_used() -> None:
    code = (
        "import sys; import seqnlp.tasks.translation_metrics as m; "
        "before = 'sacrebleu' in sys.modules; m.score(['a'], ['a']); "
        "sys.exit(before or 'sacrebleu' not in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
