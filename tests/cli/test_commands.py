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

from seqnlp.cli.main import run
from seqnlp.config import Settings
from seqnlp.errors import SettingsError
from tests.toy import SMALL

SETS = [word for item in SMALL for word in ("--set", item)]


def call(capfd: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of `seqnlp WORDS`."""
    status = run([str(word) for word in words], debug=False)
    out, err = capfd.readouterr()
    return status, out, err


def train(capfd: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    return call(capfd, "train", "--task", "sentiment", *SETS, *words)


def test_help_lists_every_command(capfd: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capfd, "--help")
    assert status == 0
    for command in ("train", "evaluate", "predict", "show", "list", "corpus"):
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


def test_predict_answers_texts_files_and_pipes_in_three_layouts(
    capfd: pytest.CaptureFixture[str], toy_run: Path, tmp_path: Path
) -> None:
    good, bad = "The film was poor and then great .", "The film was great and then poor ."
    status, out, _ = call(capfd, "predict", toy_run, good, bad)
    assert status == 0
    assert [line.split("\t")[0] for line in out.splitlines()] == ["positive", "negative"]
    assert [line.split("\t")[2] for line in out.splitlines()] == [good, bad]
    path = tmp_path / "texts.txt"
    path.write_text(f"{good}\n\n{bad}\n")
    status, out, _ = call(capfd, "predict", toy_run, path, "--format", "jsonl")
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["text"] for record in records] == [good, "", bad]
    assert sum(records[0]["probabilities"].values()) == pytest.approx(1)
    status, _, _ = call(
        capfd, "predict", toy_run, path, "--format", "tsv", "--output", tmp_path / "o"
    )
    lines = (tmp_path / "o").read_text().splitlines()
    assert lines[0] == "label\tp(negative)\tp(positive)\ttext"
    assert len(lines) == 4
    piped = subprocess.run(
        [sys.executable, "-m", "seqnlp", "predict", str(toy_run), "-"],
        input=f"{good}\n{bad}\n", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert [line.split("\t")[0] for line in piped.stdout.splitlines()] == ["positive", "negative"]


def test_a_byte_order_mark_is_no_part_of_the_first_text(
    capfd: pytest.CaptureFixture[str], toy_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "bom").write_bytes("\ufefffine film\r\nfine film".encode())
    _, out, _ = call(capfd, "predict", toy_run, tmp_path / "bom")
    first, second = out.splitlines()
    assert first == second


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


def test_a_reader_that_leaves_is_no_error(toy_run: Path, tmp_path: Path) -> None:
    (tmp_path / "many").write_text("The film was fine .\n" * 20_000)
    command = f"{sys.executable} -m seqnlp predict {toy_run} {tmp_path / 'many'} | head -n 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


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


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["trian"], 2, "no command is named 'trian'; did you mean 'train'"),
        (["train", "--cel", "gru"], 2, "No such option.*--cel"),
        (["train", "--epochs", "0"], 2, "0 is not in the range x>=1"),
        (["train", "--task", "sentimen"], 2, "no task is named 'sentimen'; did you mean 'sentiment'"),
        (["train", "--cell", "gruu", "--output", "{tmp}/x"], 2, "did you mean 'gru'"),
        (["train", "nope.toml"], 2, "nope.toml: no such recipe; known: .*sst2"),
        (["train", "--set", "model.cel=1"], 2, "no key 'model.cel'; did you mean 'cell'"),
        (["train", "--corpus", "nope", "--output", "{tmp}/x"], 2, "no corpus is named 'nope'"),
        (["train", "--columns", "text"], 2, "'text' is not FIELD=COLUMN"),
        (["train", "--device", "cuda", "--output", "{tmp}/x"], 2, "torch finds no GPU; use cpu"),
        (["train", "--device", "tpux", "--output", "{tmp}/x"], 2, "no device 'tpux'"),
        (["train", "--output", "/proc/x"], 2, "cannot write /proc/x"),
        (["train", "--output", "{run}"], 2, "is in use: it holds a model; --force replaces it"),
        (["train", "--output", "{run}/bundle.json"], 2, "is a file; name a folder"),
        (["evaluate", "{tmp}"], 2, "not a saved model: it has no bundle.json"),
        (["evaluate", "{run}", "--split", "tset"], 2, "no tset split; did you mean 'test'"),
        (["predict", "{tmp}/none", "x"], 2, "none: no such model folder"),
        (["predict", "{run}", "{tmp}/latin"], 2, "latin:2: not valid UTF-8"),
        (["predict", "{run}", "{tmp}/mistyped.txt"], 2, "mistyped.txt: no such file"),
        (["predict", "{run}", "{tmp}"], 2, "is a folder; give texts or files"),
        (["predict", "{run}", "x", "--output", "{tmp}"], 2, "cannot write .*Is a directory"),
        (["train", "--device", "meta", "--output", "{tmp}/x"], 2, "'meta' is not supported; expected auto"),
        (["train", "--output", "{tmp}", "--force"], 2, "holds files that are no model; name another"),
        (["train", "--threads", "100000"], 2, "threads: .*less than or equal to 512"),
        (["train", "--seed", "99999999999999"], 2, "seed: .*less than 4294967296"),
        (["train", "--set", "hooks.foo=1", "--output", "{tmp}/x"], 2, "no hook is named 'foo'"),
        (["train", "--set", "train=3"], 2, "settings: train: Input should be a valid table, not 3"),
        (["train", "--columns", "text=a", "text=b"], 2, "the field 'text' is named twice"),
        (["train", "--corpus", "{toy}", "--set", "text.min_count=999", "--output", "{tmp}/x"], 2,
         "no token of train is left for the vocabulary"),
        (["predict", "{run}", "x", "--output", "{tmp}/none/o"], 2, "cannot write .*none/o"),
        (["predict", "{run}", "x", "--format", "xml"], 2, "'xml' is not one of"),
        (["list", "cell"], 2, "no kind is named 'cell'; did you mean 'cells'"),
        (["show", "{tmp}"], 2, "not a saved model"),
        (["corpus", "show", "{tmp}/none/x"], 2, "none/x"),
        (["corpus", "show", "{run}", "--task", "x"], 2, "no task is named 'x'"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_clear_line(
    capfd: pytest.CaptureFixture[str],
    toy_run: Path,
    toy_corpus: Path,
    tmp_path: Path,
    words: list[str],
    status: int,
    message: str,
) -> None:
    import re

    (tmp_path / "latin").write_bytes("well\ntrès bien\n".encode("latin-1"))
    before = sorted(path.name for path in toy_run.iterdir())
    words = [word.format(tmp=tmp_path, run=toy_run, toy=toy_corpus) for word in words]
    found, _, err = call(capfd, *words)
    assert found == status, err
    last = err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert re.search(message, last), last
    assert "Traceback" not in err
    assert sorted(path.name for path in toy_run.iterdir()) == before


def test_debug_shows_the_traceback(toy_run: Path) -> None:
    command = [sys.executable, "-m", "seqnlp", "evaluate", str(toy_run), "--split", "x", "--debug"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


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
