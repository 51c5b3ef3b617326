"""Figures of summaries against rouge-score's own, and against plain loops."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from statistics import mean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.scoring import BootstrapAggregator

from seqnlp.tasks.rouge import KINDS, Rouge
from seqnlp.tasks.summary_metrics import Reference, compare, report, score

WORDS = ["The", "meetings", "meeting", "was", "moved,", "to", "3:30", "Gas", "(gas)", "it's", "—"]
SCORER = RougeScorer(list(KINDS), use_stemmer=True)

texts = st.lists(st.sampled_from([*WORDS, "\n", ""]), max_size=12).map(" ".join)


def sentences(number: int, *, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(1, 9))) for _ in range(number)]


def plain(outputs: list[str], references: list[str], kind: str) -> float:
    pairs = zip(references, outputs, strict=True)
    return 100 * mean(SCORER.score(*pair)[kind].fmeasure for pair in pairs)


def as_references(summaries: list[str]) -> list[Reference]:
    return [Reference(summary=text) for text in summaries]


SUMMARIES = sentences(90, seed=0)
FIRST, SECOND = (
    [text if draw.random() < share else other for text, other in zip(SUMMARIES, others, strict=True)]
    for share, others, draw in (
        (0.6, sentences(90, seed=1), random.Random(3)),
        (0.3, sentences(90, seed=2), random.Random(4)),
    )
)  # fmt: skip


def plain_points(outputs: list[str], kind: str) -> NDArray[np.float64]:
    pairs = zip(SUMMARIES, outputs, strict=True)
    return np.array([100 * SCORER.score(*pair)[kind].fmeasure for pair in pairs])


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=5))
def test_figures_of_any_corpus_are_those_of_rouge_score(pairs: list[tuple[str, str]]) -> None:
    outputs, summaries = [list(side) for side in zip(*pairs, strict=True)]
    made = report(outputs, as_references(summaries))
    for kind, name in KINDS.items():
        assert made[kind]["value"] == pytest.approx(plain(outputs, summaries, kind), abs=1e-9)
        assert made[kind]["name"] == name
    quick = score(outputs, as_references(summaries))
    assert quick == {kind: made[kind]["value"] for kind in ("rouge1", "rouge2", "rougeL")}


def test_lines_are_the_sentences_of_rouge_lsum() -> None:
    output, summary = "c d\na b", "a b\nc d"
    made = report([output], as_references([summary]))
    assert made["rougeLsum"]["value"] == 100
    assert made["rougeL"]["value"] == 50


def test_intervals_are_those_of_a_plain_bootstrap() -> None:
    made = report(FIRST, as_references(SUMMARIES))
    values = plain_points(FIRST, "rouge1")
    draw = np.random.default_rng(12345)
    means = [values[draw.integers(0, 90, 90)].mean() for _ in range(1000)]
    low, high = np.quantile(means, [0.025, 0.975])
    assert made["rouge1"]["low"] == pytest.approx(low)
    assert made["rouge1"]["high"] == pytest.approx(high)
    assert (
        "|bs:1000|seed:12345|f1|stemmer:porter|tokens:a-z0-9|version:rouge-score-"
        in (made["rouge1"]["signature"])
    )


def test_intervals_are_near_those_of_rouge_score() -> None:
    made = report(FIRST, as_references(SUMMARIES))
    aggregator = BootstrapAggregator()
    for summary, output in zip(SUMMARIES, FIRST, strict=True):
        aggregator.add_scores(SCORER.score(summary, output))
    np.random.seed(0)
    for kind, theirs in aggregator.aggregate().items():
        assert made[kind]["low"] == pytest.approx(100 * theirs.low.fmeasure, abs=1)
        assert made[kind]["high"] == pytest.approx(100 * theirs.high.fmeasure, abs=1)


def test_references_by_others_are_scored_apart() -> None:
    others = [("gas moved",), (), ("the meeting was moved", "Gas", "to 3:30")]
    references = [
        Reference(summary=summary, others=own)
        for summary, own in zip(SUMMARIES[:3], others, strict=True)
    ]
    made = report(FIRST[:3], references)
    assert made["rouge1"]["value"] == pytest.approx(plain(FIRST[:3], SUMMARIES[:3], "rouge1"))
    assert (made["others"]["examples"], made["others"]["each"]) == (2, 2.0)
    for kind in KINDS:
        found = [
            [100 * SCORER.score(other, output)[kind].fmeasure for other in own]
            for own, output in zip(others, FIRST, strict=False)
            if own
        ]
        assert made["others"]["mean"][kind]["value"] == pytest.approx(mean(map(mean, found)))
        assert made["others"]["best"][kind]["value"] == pytest.approx(mean(map(max, found)))
        expected = mean(
            100 * SCORER.score_multi(own, output)[kind].fmeasure
            for own, output in zip(others, FIRST, strict=False)
            if own
        )
        assert made["others"]["best"][kind]["value"] == pytest.approx(expected)
    assert made["others"]["best"]["rouge1"]["signature"].startswith("nrefs:3|")
    assert made["others"]["best"]["rougeL"]["name"] == "ROUGE-L"


def test_without_others_nothing_is_said_of_them() -> None:
    assert "others" not in report(FIRST[:2], as_references(SUMMARIES[:2]))


def test_buckets_by_similarity_are_corpora_of_their_own() -> None:
    likeness = [0.1, 0.2, 0.79, -0.01, 1.0, 0.49]
    references = [
        Reference(summary=summary, similarity=near, others=("gas",) if near == 0.79 else ())
        for summary, near in zip(SUMMARIES, likeness, strict=False)
    ]
    made = report(FIRST[:6], references)["similarity"]
    assert [(b["from"], b["to"], b["examples"]) for b in made] == [
        (0.0, 0.2, 2), (0.2, 0.5, 2), (0.5, 0.8, 1), (0.8, None, 1)
    ]  # fmt: skip
    for bucket, rows in zip(made, [(0, 3), (1, 5), (2,), (4,)], strict=True):
        chosen = [FIRST[row] for row in rows], [SUMMARIES[row] for row in rows]
        for kind in KINDS:
            assert bucket[kind] == pytest.approx(plain(*chosen, kind))
    assert [set(bucket) >= {"others"} for bucket in made] == [False, False, True, False]
    assert made[2]["others"]["best"]["rouge1"] == pytest.approx(
        plain(FIRST[2:3], ["gas"], "rouge1")
    )


def test_buckets_without_examples_are_left_out_and_unknown_likeness_has_none() -> None:
    near = Reference(summary="a", similarity=0.9)
    assert [b["from"] for b in report(["a"], [near])["similarity"]] == [0.8]
    assert "similarity" not in report(["a", "a"], [near, Reference(summary="a")])


def test_a_report_is_json() -> None:
    references = [
        Reference(summary=text, others=("gas", "to"), document=f"{text} and more", similarity=0.3)
        for text in SUMMARIES[:4]
    ]
    made = report(FIRST[:4], references)
    assert json.loads(json.dumps(made)) == made
    assert {"novelty", "copied", "repetition", "length_ratio", "reference_novelty"} <= set(made)


def test_the_paired_bootstrap_is_that_of_a_plain_loop() -> None:
    made = compare(FIRST, SECOND, as_references(SUMMARIES))
    for kind in KINDS:
        a, b = (plain_points(outputs, kind) for outputs in (FIRST, SECOND))
        draw = np.random.default_rng(12345)
        rows = [draw.integers(0, 90, 90) for _ in range(1000)]
        changes = np.array([b[row].mean() - a[row].mean() for row in rows])
        figure = made[kind]
        assert (figure["first"], figure["second"]) == pytest.approx((a.mean(), b.mean()))
        assert figure["difference"]["value"] == pytest.approx(b.mean() - a.mean())
        assert figure["difference"]["low"] == pytest.approx(np.quantile(changes, 0.025))
        assert figure["difference"]["high"] == pytest.approx(np.quantile(changes, 0.975))
        assert figure["wins"] == (changes > 0).mean() < 0.05
        away = np.abs(changes - changes.mean()) >= abs(figure["difference"]["value"])
        assert figure["p_value"] == (away.sum() + 1) / 1001 < 0.05


def test_a_system_is_no_better_than_itself() -> None:
    same = compare(FIRST, FIRST, as_references(SUMMARIES))["rouge1"]
    assert same["difference"] == {"value": 0, "low": 0, "high": 0}
    assert (same["wins"], same["p_value"]) == (0, 1)


def test_texts_of_another_script_are_not_all_empty() -> None:
    made = report(["сеть газа", "東京の雨"], as_references(["Сеть газа закрыта", "東京は雨"]))
    # F1 of 2 of 2 and 2 of 3 words; of 3 of 4 and 3 of 4.
    assert made["rouge1"]["value"] == pytest.approx(100 * (0.8 + 0.75) / 2)
    assert "|stemmer:none|tokens:unicode|" in made["rouge1"]["signature"]
    # The references decide, so that all systems are measured alike.
    assert score(["东京"], as_references(["rain"])) == {"rouge1": 0, "rouge2": 0, "rougeL": 0}
    assert Rouge(["Überblick: Größe"]).ascii


@pytest.mark.parametrize(("outputs", "count", "told"), [
    (["a"], 2, "1 summaries and 2 references"),
    ([], 0, "0 summaries and 0 references"),
])  # fmt: skip
def test_sides_of_different_length_are_refused(outputs: list[str], count: int, told: str) -> None:
    references = as_references(["a"] * count)
    for measure in (score, report, lambda *sides: compare(*sides[:1], *sides)):
        with pytest.raises(ValueError, match=f"^{told}: expected as many, and at least one"):
            measure(outputs, references)


def test_rouge_score_is_imported_when_it_is_used() -> None:
    code = (
        "import sys; import seqnlp.tasks.summary_metrics as m; "
        "before = {'rouge_score', 'nltk'} & set(sys.modules); "
        "m.score(['a'], [m.Reference(summary='a')]); "
        "sys.exit(bool(before) or 'rouge_score' not in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
