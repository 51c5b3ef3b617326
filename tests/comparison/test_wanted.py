"""Which runs are there, and which are to be trained."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from seqnlp.comparison.jobs import Job, finished, seeds_of
from seqnlp.comparison.runs import Run, System
from seqnlp.comparison.wanted import more_seeds, wanted_variants
from seqnlp.config import Settings
from seqnlp.errors import InputError
from tests.comparison.runs import made_up
from tests.toy_seeds import tiny


@pytest.fixture
def rnn(seed_runs: Path, tmp_path: Path) -> Path:
    """A run of seed 0, alone in its folder."""
    shutil.copytree(seed_runs / "rnn-seed-0", tmp_path / "rnn")
    return tmp_path / "rnn"


def test_no_seed_is_in_two_ensembles() -> None:
    assert seeds_of(Settings(seed=3), 3) == [3, 4, 5]
    assert seeds_of(Settings(seed=3, ensemble=4), 3) == [3, 7, 11]


def test_seeds_that_are_missing_are_to_be_trained(seed_runs: Path, rnn: Path) -> None:
    shutil.copytree(seed_runs / "rnn-seed-2", rnn.with_name("rnn-seed-2"))
    wanted = more_seeds(System(name="x", runs=(Run.read(rnn),)), 3)
    assert [run.seed for run in wanted.runs] == [0, 2]
    (job,) = wanted.jobs
    assert job.folder == rnn.with_name("rnn-seed-1")
    assert (job.settings.seed, job.settings.model.cell) == (1, "rnn")


def test_seeds_stand_beside_seeds(seed_runs: Path) -> None:
    runs = tuple(Run.read(seed_runs / f"rnn-seed-{n}") for n in (1, 2))
    wanted = more_seeds(System(name="x", runs=runs), 3)
    assert [str(job.folder.name) for job in wanted.jobs] == ["rnn-seed-3"]
    assert more_seeds(System(name="x", runs=runs), 1).runs == runs


@pytest.mark.parametrize(("inside", "named"), [(".", "."), ("checkpoints", "..")])
def test_seeds_stand_beside_the_folder_one_is_in(
    inside: str, named: str, rnn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (rnn / inside).mkdir(exist_ok=True)
    monkeypatch.chdir(rnn / inside)
    (job,) = more_seeds(System(name="x", runs=(Run.read(Path(named)),)), 2).jobs
    assert job.folder == rnn.with_name("rnn-seed-1")


def test_a_run_of_other_settings_is_in_the_way(seed_runs: Path, rnn: Path) -> None:
    shutil.copytree(seed_runs / "gru-seed-1", rnn.with_name("rnn-seed-1"))
    with pytest.raises(InputError) as caught:
        more_seeds(System(name="x", runs=(Run.read(rnn),)), 2)
    assert str(caught.value) == (
        f"{rnn}-seed-1 holds a run of other settings (model.cell); move it away"
    )


def test_many_keys_are_counted(rnn: Path) -> None:
    changed = made_up("x", "corpus.name=z", "train.lr=1", "model.layers=2", "text.min_count=2")
    with pytest.raises(
        InputError, match=r"other settings \(corpus.name, .* and \d more\); move it away$"
    ):
        finished(Job(folder=rnn, settings=changed.settings))


def test_what_is_no_model_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(
        InputError, match="in use: it holds files that are no model; move them away$"
    ):
        finished(Job(folder=tmp_path, settings=Settings()))


def test_a_run_that_was_interrupted_is_not_counted(rnn: Path) -> None:
    run = Run.read(rnn)
    file = rnn / "metrics.json"
    file.write_text(file.read_text().replace('"interrupted": false', '"interrupted": true'))
    with pytest.raises(
        InputError, match="a run that was interrupted; move it away to train it anew"
    ):
        finished(Job(folder=rnn, settings=run.settings))


def test_variants_have_a_folder_each(seed_runs: Path, toy_corpus: Path) -> None:
    variants = [(cell, tiny(toy_corpus, f"model.cell={cell}")) for cell in ("gru", "lstm")]
    gru, lstm = wanted_variants(variants, ["model.cell"], 2, seed_runs)
    assert ([run.seed for run in gru.runs], gru.jobs) == ([0, 1], ())
    assert [job.folder for job in lstm.jobs] == [seed_runs / f"lstm-seed-{n}" for n in (0, 1)]


def test_another_comparison_gets_another_folder(
    toy_corpus: Path, seed_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    variants = [(cell, tiny(toy_corpus, f"model.cell={cell}")) for cell in ("gru", "rnn")]
    (first, _) = wanted_variants(variants, ["model.cell"], 1, None)
    base = Path("runs") / f"{toy_corpus.name}-by-cell"
    assert first.jobs[0].folder == base / "gru-seed-0"
    shutil.copytree(seed_runs, base)
    assert all(each.runs for each in wanted_variants(variants, ["model.cell"], 1, None))
    other = [(name, each.model_copy(update={"seed": 1})) for name, each in variants]
    assert all(each.runs for each in wanted_variants(other, ["model.cell"], 1, None))
    faster = [(name, tiny(toy_corpus, "train.lr=0.5")) for name, _ in variants]
    (first, _) = wanted_variants(faster, ["model.cell"], 1, None)
    assert first.jobs[0].folder == Path(f"{base}-2") / "gru-seed-0"


def test_settings_that_cannot_be_are_refused_before_any_training(toy_corpus: Path) -> None:
    with pytest.raises(InputError, match="head: no key 'poling'"):
        wanted_variants([("a", tiny(toy_corpus, "head.poling=max"))], ["model.cell"], 1, None)


@pytest.mark.parametrize(
    ("key", "word"), [("corpus.name", "corpus"), ("seed", "seed"), ("task", "task")]
)
def test_what_is_learned_is_not_varied(key: str, word: str) -> None:
    with pytest.raises(InputError) as caught:
        wanted_variants([("a", Settings())], [key], 1, None)
    assert str(caught.value) == f"--vary {key}: variants are of one {word}"
