"""The command line as its users type it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seqnlp.config import Settings
from seqnlp.errors import SettingsError
from tests.cli.calling import SETS, call, train


def test_help_lists_every_command(capfd: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capfd, "--help")
    assert status == 0
    for command in ("train", "evaluate", "compare", "predict", "show", "list", "corpus"):
        assert f"  {command} " in out
        assert call(capfd, command, "--help")[0] == 0


def test_training_says_what_a_person_wants_to_know(
    capfd: pytest.CaptureFixture[str], toy_corpus: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    status, _, err = train(capfd, "--corpus", toy_corpus, "--output", folder, "--cell", "gru",
                           "--attention", "additive")  # fmt: skip
    assert status == 0
    for expected in ("1 x gru of 12", "additive attention", "epoch  6", "best", "this model",
                     "majority class", "bag of words", "confusion on test", "macro-F1", "ECE",
                     "saved in", f"seqnlp predict {folder}", f"seqnlp evaluate {folder} --split test",
                     f"seqnlp show {folder}"):  # fmt: skip
        assert expected in err, expected
    assert (folder / "bundle.json").is_file()
    assert 'cell = "gru"' in (folder / "config.toml").read_text()


def test_a_recipe_an_override_and_options_are_layers(
    capfd: pytest.CaptureFixture[str], toy_corpus: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        f'seed = 4\n[corpus]\nname = "{toy_corpus}"\n[model]\nhidden_size = 5\nembedding_size = 5\n'
        "[train]\nepochs = 3\n[text]\nngram_buckets = 0\n"
    )
    folder = tmp_path / "run"
    status, _, err = call(capfd, "train", recipe, "--set", "train.epochs=1", "--seed", 9,
                          "--output", folder, "--quiet")  # fmt: skip
    assert status == 0, err
    saved = (folder / "config.toml").read_text()
    for line in ("seed = 9", "epochs = 1", "hidden_size = 5"):
        assert line in saved


def test_a_corpus_with_a_shipped_recipe_is_trained_with_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    seen = []

    def spy(settings: Settings, *_: object, **__: object) -> None:
        seen.append(settings)
        raise SettingsError("far enough")

    monkeypatch.setattr("seqnlp.training.run.train", spy)
    for words in (["--corpus", "sst2", "--cell", "gru"], ["--set", "corpus.name=sst2"],
                  ["--corpus", "elsewhere/sst2"], []):  # fmt: skip
        assert call(capfd, "train", *words)[0] == 2
    named, overridden, path, plain = seen
    assert named.head["evidence"] == overridden.head["evidence"] == "naive_bayes"
    assert (named.model.cell, overridden.model.cell) == ("gru", "lstm")
    assert path.head == {}
    assert plain == Settings()


def test_without_output_each_run_gets_a_folder_of_its_own(
    capfd: pytest.CaptureFixture[str],
    toy_corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").symlink_to(toy_corpus)
    for _ in range(2):
        assert train(capfd, "--corpus", "./mine", "--epochs", 1, "--quiet")[0] == 0
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == ["mine-lstm", "mine-lstm-2"]


def test_a_mistake_leaves_no_folder(
    capfd: pytest.CaptureFixture[str], toy_corpus: Path, tmp_path: Path
) -> None:
    for words in (["--cell", "lstn"], ["--attention", "additiv"], ["--corpus", "nope"],
                  ["--set", "hooks.clip.nrom=1"], ["--set", "train.optimizer=Adan"],
                  ["--set", "train.monitor=acuracy"]):  # fmt: skip
        assert train(capfd, "--corpus", toy_corpus, "--output", tmp_path / "x", *words)[0] == 2
        assert not (tmp_path / "x").exists(), words


def test_evaluate_reports_what_training_saved(
    capfd: pytest.CaptureFixture[str], toy_run: Path
) -> None:
    status, out, _ = call(capfd, "evaluate", toy_run, "--split", "test", "--json")
    assert status == 0
    report = json.loads(out)
    saved = json.loads((toy_run / "metrics.json").read_text())["test"]
    assert report["split"] == "test"
    assert report["confusion"] == saved["confusion"]
    status, out, _ = call(capfd, "evaluate", toy_run)
    assert status == 0
    assert "confusion on test" in out


def test_evaluate_on_another_corpus(
    capfd: pytest.CaptureFixture[str], toy_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "other.csv").write_text(
        "body,stars\n" + "the film was fine and then great,positive\n" * 12
    )
    status, out, err = call(
        capfd, "evaluate", toy_run, "--corpus", tmp_path / "other.csv", "--json",
        "--columns", "text=body", "label=stars",
    )  # fmt: skip
    assert status == 0, err
    assert json.loads(out)["accuracy"]["value"] == 1.0


def test_without_a_command_there_is_help(capfd: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capfd)
    assert status == 0
    assert "Commands" in out


def test_a_saved_run_is_repeated_from_another_folder(
    capfd: pytest.CaptureFixture[str],
    toy_corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").symlink_to(toy_corpus)
    assert train(capfd, "--corpus", "mine", "--epochs", 1, "--quiet", "--output", "run")[0] == 0
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    assert call(capfd, "evaluate", "../run")[0] == 0


def test_an_unknown_label_in_test_is_found_before_training(
    capfd: pytest.CaptureFixture[str], toy_corpus: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for path in toy_corpus.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    with (folder / "test.tsv").open("a") as file:
        file.write("positiv\tfine\n")
    status, _, err = train(capfd, "--corpus", folder, "--output", tmp_path / "run")
    assert status == 2
    assert "the label 'positiv' does not occur in train; did you mean 'positive'" in err
    assert "epoch  1" not in err


def test_show_describes_the_model(capfd: pytest.CaptureFixture[str], toy_run: Path) -> None:
    status, out, _ = call(capfd, "show", toy_run)
    assert status == 0
    for expected in ("saved by seqnlp", "this model", "embedding", "encoder", "vocabulary:",
                     "on disk:", 'cell = "lstm"'):  # fmt: skip
        assert expected in out, expected


def test_list_names_everything_and_where_it_is_from(capfd: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capfd, "list")
    assert status == 0
    for name in ("lstm", "additive", "spacy", "reviews", "sentiment", "dropout", "seqnlp"):
        assert name in out
    status, out, _ = call(capfd, "list", "cells")
    assert status == 0
    assert "lstm" in out
    assert "additive" not in out


def test_corpus_show_describes_the_corpus(
    capfd: pytest.CaptureFixture[str], toy_corpus: Path
) -> None:
    status, out, _ = call(capfd, "corpus", "show", toy_corpus)
    assert status == 0
    for expected in ("train", "validation", "test", "positive", "50.0%", "words: mean"):
        assert expected in out, expected


def test_force_replaces_a_model(
    capfd: pytest.CaptureFixture[str], toy_corpus: Path, tmp_path: Path
) -> None:
    for cell in ("lstm", "gru"):
        status, _, err = train(capfd, "--corpus", toy_corpus, "--output", tmp_path / "x", "--force",
                               "--cell", cell, "--epochs", 1, "--quiet")  # fmt: skip
        assert status == 0, err
    assert 'cell = "gru"' in (tmp_path / "x" / "config.toml").read_text()


def test_ctrl_c_saves_the_best_so_far(toy_corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "seqnlp", "train", "--corpus", str(toy_corpus), *SETS,
               "--set", "train.epochs=100000", "--set", "hooks.early_stopping=false",
               "--output", str(folder)]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ})
    log = folder / "log.jsonl"
    for _ in range(600):
        if log.is_file() and '"epoch"' in log.read_text():
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted in epoch" in err
    assert "keeping the weights of epoch" in err
    assert "Traceback" not in err
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["interrupted"]
    assert metrics["test"]["accuracy"]["value"] > 0
