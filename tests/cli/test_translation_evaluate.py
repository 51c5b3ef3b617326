"""`seqnlp evaluate` and `seqnlp compare`, of translators and of classifiers."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from sacrebleu.metrics.bleu import BLEU

from seqnlp.training.run import train
from tests.cli.calling import call
from tests.toy import small_settings
from tests.toy_translation import small_translation

SIGNATURE = r"nrefs:1\|bs:1000\|seed:12345\|case:mixed\|eff:no\|tok:13a\|smooth:exp\|version:\S+"


@pytest.fixture(scope="module")
def worse_run(pairs_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a translator that has learned little."""
    folder = tmp_path_factory.mktemp("runs") / "worse"
    train(small_translation(pairs_corpus, "train.epochs=3"), folder)
    return folder


def test_figures_have_intervals_signatures_and_buckets(
    capfd: pytest.CaptureFixture[str], worse_run: Path
) -> None:
    status, out, err = call(capfd, "evaluate", worse_run, "--beam", 3)
    assert (status, err) == (0, "")
    assert "figures in points, with 95 % bootstrap intervals; TER is better when lower" in out
    assert re.search(r"pairs0? test \(17\) +worse +\d+\.\d \[\d+\.\d, \d+\.\d\] +\d+\.\d \[", out)
    assert re.search(rf"^BLEU: {SIGNATURE}$", out, re.M)
    assert re.search(r"^chrF2: nrefs:1\|.*\|nc:6\|nw:0\|", out, re.M)
    assert re.search(r"^TER: nrefs:1\|.*\|tok:tercom\|", out, re.M)
    assert re.search(r"^length of the answers to that of the references: \d\.\d{3}$", out, re.M)
    assert re.search(r"^ *6 to 10 +17 +\d+\.\d +\d+\.\d +\d+\.\d +\d\.\d{3}$", out, re.M)
    assert re.search(r"^beam 3: 17 texts in \d+\.\d s, [\d,]+ a second$", out, re.M)


def test_figures_as_json_are_those_of_the_answers(
    capfd: pytest.CaptureFixture[str], worse_run: Path, pairs_corpus: Path, tmp_path: Path
) -> None:
    file = tmp_path / "answers.en"
    words = ["--json", "--output", file, "--beam", 4, "--length-penalty", 0.5]
    status, out, err = call(capfd, "evaluate", worse_run, *words)
    assert (status, err) == (0, "")
    record = json.loads(out)
    assert (record["split"], record["examples"]) == ("test", 17)
    assert (record["decoding"]["beam"], record["decoding"]["length_penalty"]) == (4, 0.5)
    answers = file.read_text().splitlines()
    references = (pairs_corpus / "test.en").read_text().splitlines()
    expected = BLEU(force=True).corpus_score(answers, [references]).score
    assert record["bleu"]["value"] == expected
    assert record["lengths"][0]["bleu"] == pytest.approx(expected)


def test_how_it_decoded_is_told(capfd: pytest.CaptureFixture[str], worse_run: Path) -> None:
    _, out, _ = call(capfd, "evaluate", worse_run)
    assert "\ngreedy search: 17 texts" in out
    _, out, _ = call(capfd, "evaluate", worse_run, "--sample", "--top-k", 2, "--max-length", 9)
    assert "\ndrawn at random, max_length 9, top_k 2: 17 texts" in out


def test_the_figures_of_a_saved_model_are_found_again(
    capfd: pytest.CaptureFixture[str], worse_run: Path
) -> None:
    _, out, _ = call(capfd, "evaluate", worse_run, "--json")
    saved = json.loads((worse_run / "metrics.json").read_text())["test"]
    assert json.loads(out)["bleu"] == saved["bleu"]


def test_answers_of_a_classifier_are_saved_too(
    capfd: pytest.CaptureFixture[str], toy_run: Path, toy_corpus: Path, tmp_path: Path
) -> None:
    file = tmp_path / "labels"
    status, out, _ = call(capfd, "evaluate", toy_run, "--output", file)
    assert status == 0
    assert "confusion on test" in out
    assert "texts in" not in out
    assert set(file.read_text().splitlines()) == {"positive", "negative"}


def test_answers_of_two_models_are_not_saved_as_one(
    capfd: pytest.CaptureFixture[str], toy_run: Path, tmp_path: Path
) -> None:
    words = ["--quantize", "int8", "--output", tmp_path / "o"]
    assert call(capfd, "evaluate", toy_run, *words) == (
        2, "", "error: --output saves the answers of one model; leave --quantize out\n"
    )  # fmt: skip


def test_a_quantized_translator_is_measured_beside_the_float_one(
    capfd: pytest.CaptureFixture[str], pairs_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqnlp.cli.quantized._SECONDS", 0.0)
    status, out, err = call(capfd, "evaluate", pairs_run, "--quantize", "int8", "--beam", 2)
    assert (status, err) == (0, "")
    assert re.search(r"^int8 changes BLEU by [+-]\d+\.\d\d points; \d+ of 17 answers differ$", out,
                     re.M)  # fmt: skip


def test_a_clear_difference_between_two_translators(
    capfd: pytest.CaptureFixture[str], pairs_run: Path, worse_run: Path
) -> None:
    status, out, err = call(capfd, "compare", worse_run, pairs_run, "--beam", 2)
    assert (status, err) == (0, "")
    assert f"test (17): {pairs_run} against {worse_run}, by paired bootstrap" in " ".join(
        out.split()
    )
    assert re.search(
        r"^BLEU +\d+\.\d\d +\d+\.\d\d +\+\d+\.\d\d \[\+\d.*, \+\d.*\] +100\.0 % +0\.001$", out, re.M
    )
    assert f"\nBLEU: {pairs_run} is better; p < 0.05\n" in out
    assert f"\nchrF2: {pairs_run} is better; p < 0.05\n" in out
    _, out, _ = call(capfd, "compare", pairs_run, worse_run, "--json")
    record = json.loads(out)
    assert (record["split"], record["examples"]) == ("test", 17)
    assert record["figures"]["bleu"]["second"] < record["figures"]["bleu"]["first"] > 90
    assert record["figures"]["bleu"]["wins"] == 0


def test_a_model_is_no_better_than_itself(
    capfd: pytest.CaptureFixture[str], pairs_run: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(pairs_run, tmp_path / "copy")
    status, out, _ = call(capfd, "compare", pairs_run, copy, "--split", "validation")
    assert status == 0
    assert "BLEU: the difference may be chance; p = 1.00" in out


def test_classifiers_are_compared_by_accuracy(
    capfd: pytest.CaptureFixture[str], toy_run: Path, toy_corpus: Path, tmp_path: Path
) -> None:
    train(small_settings(toy_corpus, "train.epochs=1", "train.lr=1e-6"), tmp_path / "other")
    status, out, err = call(capfd, "compare", tmp_path / "other", toy_run)
    assert (status, err) == (0, "")
    assert re.search(r"^accuracy +\d+\.\d\d +\d+\.\d\d +\+\d+\.\d\d \[\+\d", out, re.M)
    assert f"macro-F1: {toy_run} is better; p < 0.05" in out


def test_what_cannot_be_compared_is_one_line(
    capfd: pytest.CaptureFixture[str], pairs_run: Path, toy_run: Path, tmp_path: Path
) -> None:
    assert call(capfd, "compare", pairs_run, toy_run) == (
        2, "", f"error: {pairs_run} is for translation and {toy_run} for sentiment: models are "
        "compared in one task\n",
    )  # fmt: skip
    copy = shutil.copytree(toy_run, tmp_path / "copy")
    assert call(capfd, "compare", toy_run, copy, "--beam", 2) == (
        2, "", "error: the task 'sentiment' writes no texts, so there is nothing to set by beam\n",
    )  # fmt: skip


def test_models_of_two_directions_are_not_compared(
    capfd: pytest.CaptureFixture[str], pairs_run: Path, pairs_corpus: Path, tmp_path: Path
) -> None:
    back = tmp_path / "back"
    settings = small_translation(
        pairs_corpus, "corpus.source=en", "corpus.target=de", "train.epochs=1"
    )
    train(settings, back)
    assert call(capfd, "compare", pairs_run, back) == (
        2, "", f"error: {pairs_run} translates de to en and {back} translates en to de: models "
        "are compared in one direction\n",
    )  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["{model}/config.toml", "{model}/target/vocabulary.json", "{model}/log.jsonl",
     "{corpus}/test.en", "{corpus}/train.de", "{model}/../worse/weights.safetensors"],
)  # fmt: skip
def test_answers_are_written_over_nothing_that_is_read(
    capfd: pytest.CaptureFixture[str], worse_run: Path, pairs_corpus: Path, name: str
) -> None:
    file = Path(name.format(model=worse_run, corpus=pairs_corpus))
    before = file.read_bytes() if file.exists() else None
    status, out, err = call(capfd, "evaluate", worse_run, "--output", file)
    assert (status, out) == (2, "")
    assert err == f"error: --output {file}: an input; give another file, to keep both\n"
    assert (file.read_bytes() if file.exists() else None) == before


def test_answers_are_written_over_older_ones(
    capfd: pytest.CaptureFixture[str], worse_run: Path, pairs_corpus: Path
) -> None:
    file = pairs_corpus / "test.answers"
    file.write_text("older\n")
    try:
        status, _, err = call(capfd, "evaluate", worse_run, "--output", file)
        assert (status, err) == (0, "")
        assert len(file.read_text().splitlines()) == 17
    finally:
        file.unlink()
