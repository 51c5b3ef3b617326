"""Tables of summaries."""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import StringIO
from typing import Any

from rich.console import Console

from seqnlp.cli.report import evaluation, figures
from seqnlp.cli.summary_report import by_similarity, originality
from seqnlp.tasks.metrics import against_others, figures_of, signatures
from seqnlp.tasks.summary_metrics import Reference, report

REFERENCES = [
    Reference(
        summary="gas deal signed",
        others=("deal on gas", "gas deal", "signed"),
        document="The gas deal is signed and sealed.",
        similarity=0.1,
    ),
    Reference(summary="dogs", others=("two dogs",), document="Two dogs came.", similarity=0.85),
]
OUTPUTS = ["gas deal gas deal gas deal", "dogs came home"]
REPORT = report(OUTPUTS, REFERENCES)


def printed(*things: Any, width: int = 160) -> str:
    file = StringIO()
    console = Console(file=file, width=width, highlight=False)
    for thing in things:
        console.print(thing)
    return file.getvalue()


def evaluated(made: Mapping[str, Any]) -> str:
    file = StringIO()
    evaluation(Console(file=file, width=160, highlight=False), "notes", "test", "small", made)
    return file.getvalue()


def test_other_references_stand_beside() -> None:
    out = printed(figures([("test", "this model", REPORT), ("test", "lead-1", REPORT)]))
    assert "figures in points, with 95 % bootstrap intervals" in out
    number = r"\d+\.\d \[\d+\.\d, \d+\.\d\]"
    for system in ("this model", "lead-1"):
        assert re.search(rf"^test \(2\) +{system}( +{number}){{3}} *$", out, re.M)
    assert len(re.findall(rf"^ +mean of 2 other references( +{number}){{3}} *$", out, re.M)) == 2
    best = f"{REPORT['others']['best']['rouge1']['value']:.1f}"
    assert re.search(rf"^ +best of 2 other references +{best} \[", out, re.M)


def test_rouge_lsum_is_shown_where_texts_have_lines() -> None:
    assert "ROUGE-Lsum" not in printed(figures([("test", "model", REPORT)]))
    lines = report(["c d\na b"], [Reference(summary="a b\nc d")])
    assert "ROUGE-Lsum" in printed(figures([("test", "model", REPORT), ("test", "lines", lines)]))
    assert list(figures_of([REPORT])) == ["rouge1", "rouge2", "rougeL"]
    assert list(figures_of([lines]))[-1] == "rougeLsum"
    assert figures_of([]) == {}


def test_an_evaluation_tells_all_that_is_known() -> None:
    out = evaluated(REPORT)
    assert re.search(
        r"^ROUGE-1, ROUGE-2, ROUGE-L: nrefs:1\|bs:1000\|seed:12345\|f1\|stemmer:porter\|", out, re.M
    )
    assert "length of the answers to that of the references: 2.250\n" in out
    assert "repeated trigrams: in 50.00 % of the summaries, 40.00 % of all trigrams\n" in out
    assert "by similarity of the document to the nearest one in train" in out
    assert re.search(r"^ *0\.0 to 0\.2 +1( +\d+\.\d){5} *$", out, re.M)
    assert re.search(r"^ *from 0\.8 +1( +\d+\.\d){5} *$", out, re.M)
    assert "ROUGE-1, best of others" in out
    # gas, deal, dogs, came; of "home" alone the document knows nothing.
    assert re.search(r"^summaries +20\.0 +50\.0 +100\.0 +88\.9 +2\.0 *$", out, re.M)
    assert re.search(r"^references +0\.0 +50\.0 +100\.0 +100\.0 +1\.5 *$", out, re.M)


def test_a_narrow_terminal_breaks_headings_and_cuts_nothing_off() -> None:
    out = printed(by_similarity(REPORT), originality(REPORT), width=80)
    assert "…" not in out
    assert re.search(r"^ *cosine +examples +ROUGE-1 +ROUGE-2 +ROUGE-L +others", out, re.M)
    assert re.search(r"^summaries( +\d+\.\d){5} *$", out, re.M)
    out = printed(figures([("validation", "some-name-of-a-model", REPORT)]), width=80)
    assert "…" not in out
    assert re.search(r"^validation ", out, re.M)


def test_what_is_not_known_is_not_printed() -> None:
    plain = report(["dogs"], [Reference(summary="dogs")])
    out = evaluated(plain)
    assert "similarity" not in out
    assert "references:" in out
    assert "copied" not in out
    assert "other references" not in out
    assert list(against_others(plain)) == []


def test_figures_of_a_kind_have_one_signature() -> None:
    assert list(signatures(figures_of([REPORT]))) == ["ROUGE-1, ROUGE-2, ROUGE-L"]
    assert signatures({"bleu": {"name": "BLEU", "signature": "x"}, "f1": {}}) == {"BLEU": "x"}
