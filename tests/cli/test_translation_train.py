"""`seqnlp train`, `show` and `corpus show` of translation, as their users type them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.calling import call
from tests.toy_translation import SMALL_TRANSLATION

SETS = [word for item in SMALL_TRANSLATION for word in ("--set", item)]


def test_a_run_says_what_a_person_wants_to_know(
    capfd: pytest.CaptureFixture[str], pairs_corpus: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    status, _, err = call(
        capfd, "train", "--task", "translation", "--corpus", pairs_corpus, "--source", "de",
        "--target", "en", "--output", folder, *SETS, "--epochs", 2, "--attention", "general",
    )  # fmt: skip
    assert status == 0, err
    assert err.startswith(f"translation on {pairs_corpus} from de to en, 1 x gru of 32 in two ")
    assert re.search(
        r"^epoch  2 +\d+\.\d s  train \d\.\d{3} val bleu \d+\.\d{2,3} chrf \d\d\.\d\d loss \d\.\d{3}",
        err, re.M,
    )  # fmt: skip
    for expected in ("figures in points", "this model", "copied source", "nearest pair", "BLEU",
                     f"seqnlp predict {folder} ", f"seqnlp evaluate {folder} --split test"):  # fmt: skip
        assert expected in err, expected
    assert "confusion" not in err
    saved = json.loads((folder / "metrics.json").read_text())
    assert 0 <= saved["test"]["bleu"]["value"] <= 100
    card = (folder / "README.md").read_text()
    assert "| split | examples | BLEU | chrF2 | TER |" in card
    assert "- From de to en." in card
    assert re.search(r"^BLEU: `nrefs:1\|.*`\.$", card, re.M)
    shown = re.search(r"\| test \| 17 \| (\d+\.\d) \[", card)
    assert shown is not None
    assert float(shown[1]) == round(saved["test"]["bleu"]["value"], 1)


def test_show_has_both_vocabularies(capfd: pytest.CaptureFixture[str], pairs_run: Path) -> None:
    status, out, _ = call(capfd, "show", pairs_run)
    assert status == 0
    assert re.search(r"^vocabulary of source: \d+ tokens: .*will", out, re.M)
    assert re.search(r"^vocabulary of target: \d+ tokens: .*wants", out, re.M)
    assert "decoder" in out
    size = sum(path.stat().st_size for path in pairs_run.rglob("*") if path.is_file())
    assert f"on disk: {size / 1e6:.1f} MB" in out


def test_a_parallel_corpus_is_shown_in_pairs(
    capfd: pytest.CaptureFixture[str], pairs_corpus: Path
) -> None:
    words = ["corpus", "show", pairs_corpus, "--source", "de", "--target", "en"]
    status, out, _ = call(capfd, *words)
    assert status == 0
    assert re.search(r"train +│ +85 │ source", out)
    assert re.search(r"test +│ +17 │ target", out)
    assert re.search(r"words of the target for one of the source", out)
    assert re.search(r"test +│ +\d\.\d\d │", out)
    assert re.search(r"^train: Der Hund .*\. -> The dog .*\.$", out, re.M)
    status, _, err = call(capfd, *words, "--task", "sentiment")
    assert (status, err) == (
        2, "error: --source and --target: the task 'sentiment' reads no pairs of texts\n"
    )  # fmt: skip
