"""`seqnlp compare` of more than two runs, of seeds, and of variants that it trains."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from seqnlp.cli.compare_tables import Outcome, show
from seqnlp.cli.compare_training import _Display
from seqnlp.comparison.differences import differences
from seqnlp.comparison.jobs import Job
from seqnlp.comparison.measuring import Exam
from seqnlp.comparison.runs import Run, System
from seqnlp.training.run import train
from tests.cli.calling import SETS, call
from tests.toy_numbers import registered_numbers
from tests.toy_seeds import TINY, tiny

TINY_SETS = [*SETS, *(word for item in TINY for word in ("--set", item))]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Trainings happen in this process; the folders of those that did. RNNs of seed 1 fail."""
    folders: list[str] = []

    def train_all(jobs: Sequence[Job], *, workers: int, **moments: Any) -> list[Job]:
        failed = []
        for job in jobs:
            moments["on_start"](job)
            if (job.settings.model.cell, job.settings.seed) == ("rnn", 1):
                moments["on_failure"](job, "the loss became nan")
                failed.append(job)
                continue
            train(job.settings, job.folder)
            folders.append(job.folder.name)
            moments["on_look"](job)
            moments["on_end"](job, 1.0)
        return failed

    monkeypatch.setattr("seqnlp.cli.compare_training.train_all", train_all)
    return folders


def test_systems_of_several_seeds(seed_runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folders = [seed_runs / f"{cell}-seed-{seed}" for cell in ("rnn", "gru") for seed in (2, 0, 1)]
    status, out, err = call(capfd, "compare", *folders)
    assert (status, err) == (0, "")
    text = " ".join(out.split())
    assert "test (39), 95 % intervals over seeds system" in text
    assert re.search(r"rnn-seed-0 +3 +\d+\.\d \[", out)
    assert re.search(
        r"gru-seed-0 +accuracy +[+-]\d+\.\d\d \[.*\] +\d of 3 seeds +\d\.\d{3} +\d", out
    )
    assert "by permutation of seeds, bootstrap of texts" in text
    assert (
        "\n3 seeds give no p below 0.25: to tell differences at p < 0.05 from chance, take "
        "--seeds 6\n"
    ) in out
    assert f"\naccuracy at p < 0.05, against {folders[1]}: may be chance: {folders[4]}\n" in out
    # Learning curves, parameters, seconds, examples a second, memory.
    assert re.search(r"gru-seed-0 +[\d,]+ +2 +\d+\.\d +[\d,]+ +[\d,]+ +[▁▂▃▄▅▆▇█]{2}", out)


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_terminal_of_80_columns_shows_every_name(
    seeds: int, seed_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(seed_runs.parent)
    near = Path(seed_runs.name)
    cells = [[Run.read(near / f"{cell}-seed-{n}") for n in range(seeds)] for cell in ("rnn", "gru")]
    third = replace(cells[0][0], folder=near / "a" / ("long" * 4))
    systems = [System(name=str(runs[0].folder), runs=tuple(runs)) for runs in (*cells, [third])]
    exam = Exam()
    measured = {system.name: [exam.measure(run, "test")[0] for run in
                              (system.runs if system.runs[0] is not third else cells[0])][:seeds]
                for system in systems}  # fmt: skip
    judge = exam.measure(cells[0][0], "test")[1]
    made = differences(systems, measured, [(0, 1), (0, 2)], judge, "test")
    shown = io.StringIO()
    show(
        Console(file=shown, width=80, highlight=False),
        Outcome(corpus="toy", split="test", systems=systems, measured=measured, differences=made,
                figure="accuracy", task=judge),
    )  # fmt: skip
    tables = shown.getvalue().partition("\naccuracy at")[0]
    assert max(map(len, tables.split("\n"))) <= 80
    for system in systems:
        assert tables.count(system.name) >= 3
    assert "…" not in tables


def test_three_runs_are_compared_with_the_first(
    seed_runs: Path, toy_run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    weak = [seed_runs / f"{cell}-seed-0" for cell in ("rnn", "gru")]
    status, out, _ = call(capfd, "compare", *weak, toy_run)
    assert status == 0
    assert f"against {weak[0]}, by paired bootstrap" in " ".join(out.split())
    assert "p (Holm)" in out
    assert re.search(rf"^accuracy at p < 0.05, against .*: better: .*{toy_run}", out, re.M)
    _, out, _ = call(capfd, "compare", *weak, toy_run, "--against", "best", "--json")
    record = json.loads(out)
    assert [each["first"] for each in record["differences"]] == [str(toy_run)] * 2
    worse = record["differences"][0]["figures"]["accuracy"]
    assert worse["difference"]["high"] < 0
    assert worse["p_value"] <= worse["p_holm"] < 0.05
    _, out, _ = call(capfd, "compare", *weak, toy_run, "--against", "best")
    assert f"against {toy_run}: worse: {weak[0]}, {weak[1]}\n" in out


def test_two_runs_of_one_system_are_compared_with_each_other(
    seed_runs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folders = [seed_runs / f"gru-seed-{seed}" for seed in (1, 0)]
    status, out, _ = call(capfd, "compare", *folders)
    assert status == 0
    assert f"{folders[1]} against {folders[0]}, by paired bootstrap" in " ".join(out.split())
    assert "peak MB" in out


def test_a_run_that_was_interrupted_is_told(
    seed_runs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for seed in (0, 1):
        shutil.copytree(seed_runs / f"gru-seed-{seed}", tmp_path / f"{seed}")
    file = tmp_path / "1" / "metrics.json"
    file.write_text(file.read_text().replace('"interrupted": false', '"interrupted": true'))
    status, _, err = call(capfd, "compare", tmp_path / "0", tmp_path / "1")
    assert (status, err) == (0, f"note: {tmp_path / '1'} was interrupted in its training\n")


def test_everything_is_in_the_record(seed_runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folders = sorted(seed_runs.iterdir())
    status, out, _ = call(capfd, "compare", *folders, "--json")
    record = json.loads(out)
    assert (status, record["split"], record["examples"]) == (0, "test", 39)
    gru, rnn = record["systems"]
    assert [run["seed"] for run in gru["runs"]] == [0, 1, 2]
    assert gru["parameters"] > rnn["parameters"]
    assert gru["curve"]["figure"] == "accuracy"
    assert len(gru["curve"]["mean"]) == 2
    assert gru["seconds"] > 0
    figure = gru["figures"]["accuracy"]
    saved = [json.loads((folder / "metrics.json").read_text()) for folder in folders[:3]]
    assert figure["seeds"] == [each["test"]["accuracy"]["value"] for each in saved]
    assert figure["low"] <= figure["value"] <= figure["high"]
    (pair,) = record["differences"]
    assert pair["seeds"] == [[0, 0], [1, 1], [2, 2]]
    assert record["figures"] == pair["figures"]
    assert len(pair["figures"]["macro_f1"]["pairs"]) == 3


def test_missing_seeds_are_trained_once(
    seed_runs: Path, tmp_path: Path, trained: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    for cell in ("gru", "rnn"):
        shutil.copytree(seed_runs / f"{cell}-seed-0", tmp_path / cell)
    shutil.copytree(seed_runs / "rnn-seed-1", tmp_path / "rnn-seed-1")
    words = ["compare", tmp_path / "gru", tmp_path / "rnn", "--seeds", 2, "--quiet"]
    status, out, err = call(capfd, *words)
    assert (status, trained) == (0, ["gru-seed-1"])
    assert err == f"1 to train; 3 are there already\n1/1 {tmp_path / 'gru-seed-1'} in 1 s\n"
    assert "2 seeds give no p below 0.5" in out
    assert call(capfd, *words)[2] == ""
    assert trained == ["gru-seed-1"]


def test_seeds_that_are_named_are_seeds_of_one(
    seed_runs: Path, tmp_path: Path, trained: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    for seed in (0, 1):
        shutil.copytree(seed_runs / f"gru-seed-{seed}", tmp_path / f"gru-seed-{seed}")
    named = [tmp_path / f"gru-seed-{seed}" for seed in (1, 0)]
    status, out, err = call(capfd, "compare", *named, "--seeds", 3)
    assert status == 0, err
    assert trained == ["gru-seed-2"]
    assert re.search(r"/gru-seed-0 +3 ", out)
    assert "against" not in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--split", "tset"], "has no tset split; did you mean 'test'?"),
        (["--beam", "3"], "'sentiment' writes no texts, so there is nothing to set by beam"),
    ],
)
def test_what_cannot_be_measured_is_not_trained(
    words: list[str], message: str, toy_corpus: Path, tmp_path: Path, trained: list[str],
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    status, _, err = call(
        capfd, "compare", "--cells", "gru,lstm", "--corpus", toy_corpus, *TINY_SETS,
        "--output", tmp_path / "o", *words,
    )  # fmt: skip
    assert (status, trained) == (2, [])
    assert message in err
    assert err.count("\n") == 1


def test_one_run_and_its_seeds(
    seed_runs: Path, tmp_path: Path, trained: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(seed_runs / "gru-seed-0", tmp_path / "gru")
    status, out, _ = call(capfd, "compare", tmp_path / "gru", "--seeds", 2)
    assert (status, trained) == (0, ["gru-seed-1"])
    assert re.search(r"/gru +2 ", out)
    assert "against" not in out


def test_cells_are_trained_and_compared(
    toy_corpus: Path, tmp_path: Path, trained: list[str], monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    words = ["compare", "--cells", "lstm,mingru", "--corpus", toy_corpus, *TINY_SETS,
             "--seed", 5, "--set", "model.engine=reference", "--plot", "curves.svg"]  # fmt: skip
    status, out, err = call(capfd, *words)
    folder = Path("runs") / f"{toy_corpus.name}-by-cell"
    assert status == 0, err
    assert err.split("\n")[:2] == ["2 to train", f"1/2 {folder / 'lstm-seed-5'} in 1 s"]
    assert trained == ["lstm-seed-5", "min_gru-seed-5"]
    assert "min_gru against lstm, by paired bootstrap" in " ".join(out.split())
    assert out.endswith("learning curves in curves.svg\n")
    assert "min_gru" in Path("curves.svg").read_text()
    # Again, with a seed more.
    status, _, err = call(capfd, *words, "--seeds", 2)
    assert (status, err.split("\n")[0]) == (0, "2 to train; 2 are there already")
    assert trained[2:] == ["lstm-seed-6", "min_gru-seed-6"]


def test_other_keys_are_varied_from_a_recipe(
    toy_corpus: Path, tmp_path: Path, trained: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(f'[corpus]\nname = "{toy_corpus}"\n[head]\npooling = "mean"\n')
    status, out, err = call(
        capfd, "compare", recipe, *TINY_SETS, "--vary", "head.attention=default,additive",
        "--vary", "layers=1,2", "--output", tmp_path / "all", "--quiet",
    )  # fmt: skip
    assert status == 0, err
    assert trained == [f"{name}-seed-0" for name in
                       ("default-1", "default-2", "additive-1", "additive-2")]  # fmt: skip
    plain, additive = ((tmp_path / "all" / name / "config.toml").read_text()
                       for name in (trained[0], trained[3]))  # fmt: skip
    assert "attention = " not in plain
    assert 'attention = "additive"' in additive
    assert "layers = 2" in additive
    assert "against default-1" in out


def test_a_training_that_fails_is_left_out(
    toy_corpus: Path, tmp_path: Path, trained: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", "--corpus", toy_corpus, *TINY_SETS, "--output", tmp_path / "o"]
    status, out, err = call(capfd, *words, "--cells", "gru,rnn", "--seeds", 2)
    assert status == 1
    assert f"/4 {tmp_path / 'o' / 'rnn-seed-1'} failed: the loss became nan\n" in err
    assert re.search(r"^rnn +1 ", out, re.M)
    assert re.search(r"^gru +2 ", out, re.M)
    status, out, err = call(capfd, *words, "--vary", "layers=1,2", "--cell", "rnn", "--seed", 1)
    assert (status, out) == (1, "")
    assert err.endswith("error: no training has ended well, so there is nothing to compare\n")


def test_a_task_without_a_test_over_examples(
    tmp_path: Path, trained: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", "--task", "mean", "--vary", "lr=0.01,0.02", "--epochs", 1]
    with registered_numbers():
        status, out, err = call(capfd, *words, "--output", tmp_path / "o")
        assert status == 0, err
        assert (
            "\nthe task 'mean' has no test over examples: take several seeds, by --seeds\n" in out
        )
        assert re.search(r"^0\.02 +MAE +[+-]\d\.\d{4} +- +-", out, re.M)
        _, out, _ = call(capfd, *words, "--output", tmp_path / "o", "--seeds", 2)
    assert re.search(r"^0\.02 +MAE +[+-]\d\.\d{4} \[.*\] +\d of 2 seeds +\d\.\d{3} +-", out, re.M)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a"], "name two runs at least, or --cells to train some; see seqnlp compare --help"),
        ([], "name two runs at least, or --cells to train some; see seqnlp compare --help"),
        (["a", "b", "--lr", "1"], "--lr is for trainings by --cells or --vary; see seqnlp compare "
         "--help"),
        (["a", "b", "--set", "seed=1"], "--set is for trainings by --cells or --vary; see seqnlp "
         "compare --help"),
        (["a", "b", "--output", "c"], "--output is for trainings by --cells or --vary; see seqnlp "
         "compare --help"),
        (["a", "b"], "a: no such model folder"),
        (["a", "b", "--cells", "gru,lstm"], "--cells and --vary train from one recipe; b is one "
         "too many; see seqnlp compare --help"),
        (["--cells", "gru"], "--cells gru: name two values at least; --set model.cell=... sets one"),
        (["--cells", "gru,lstm", "--cell", "rnn"], "model.cell is set to one value and varied too"),
        (["--vary", "train.lr=1,2", "--set", "train.lr=3"], "train.lr is set to one value and "
         "varied too"),
        (["--vary", "corpus.name=mr,sst2"], "--vary corpus.name: variants are of one corpus"),
        (["a", "b", "--plot", "c.gif"], "--plot c.gif: a picture ends in .png, .svg, .pdf"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert call(capfd, "compare", *words) == (2, "", f"error: {message}\n")


def test_runs_of_two_corpora_need_one_to_compare_on(
    seed_runs: Path, toy_corpus: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    shutil.copytree(toy_corpus, other)
    for file in other.iterdir():
        file.write_text(file.read_text().replace("positive", "good"))
    shutil.copytree(seed_runs / "gru-seed-1", tmp_path / "gru")
    train_on = tmp_path / "there"
    train(tiny(other, "train.epochs=1"), train_on)
    status, _, err = call(capfd, "compare", seed_runs / "gru-seed-0", train_on)
    assert (status, err) == (
        2, f"error: {seed_runs / 'gru-seed-0'} was trained on {toy_corpus} and {train_on} on "
        f"{other}: name the corpus to compare them on by --corpus\n",
    )  # fmt: skip
    status, _, err = call(
        capfd, "compare", seed_runs / "gru-seed-0", train_on, "--corpus", toy_corpus
    )
    assert status == 2
    assert err.startswith("error: ")
    assert "'positive'" in err or "'good'" in err
    assert err.count("\n") == 1


def test_the_display_counts_epochs_as_the_log_grows(tmp_path: Path) -> None:
    job = Job(folder=tmp_path / "a", settings=tiny(tmp_path, "train.epochs=3", "ensemble=2"))
    log = job.folder / "log.jsonl"
    job.folder.mkdir()
    shown = io.StringIO()
    with _Display(Console(file=shown, width=200), [job], quiet=False) as display:
        display.start(job)
        (bar,) = display.progress.tasks
        display.look(job)
        assert (bar.completed, bar.total) == (0, 6)
        log.write_text('{"event": "fit_start"}\n{"event": "epoch", "accuracy": 0.5}\n{"event": "ep')
        display.look(job)
        assert (bar.completed, bar.fields["state"]) == (1, "accuracy 0.500")
        with log.open("a") as file:
            file.write('och", "accuracy": 0.75}\n')
        display.look(job)
        display.look(job)
        assert (bar.completed, bar.fields["state"]) == (2, "accuracy 0.750")
        # A run that goes on has a shorter log, which grows again.
        log.write_text('{"event": "epoch", "accuracy": 0.25}\n')
        display.look(job)
        assert (bar.completed, bar.fields["state"]) == (1, "accuracy 0.250")
        log.write_text('{"event": "resume"}\n' + 3 * '{"event": "epoch", "accuracy": 0.125}\n')
        display.look(job)
        assert (bar.completed, bar.fields["state"]) == (3, "accuracy 0.125")
        display.end(job, 12.3)
        assert display.progress.tasks == []
    assert shown.getvalue() == f"1/1 {job.folder} in 12 s\n"
