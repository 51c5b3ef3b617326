"""A run that was broken off ends as if it had not been: the same weights to the bit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import seqnlp
from seqnlp.config import Settings
from seqnlp.errors import InputError, TrainingError
from seqnlp.tasks.sentiment import SentimentTask
from seqnlp.training import Hook, Trainer
from seqnlp.training.checkpoints import FOLDER
from seqnlp.training.record import settings_of
from tests.toy import small_settings, write_corpus
from tests.toy_summarization import small_summarization
from tests.toy_translation import small_translation
from tests.training.resuming import Killed, Killer, checkpoints, outcome

OFTEN = ("hooks.checkpoint.steps=1", "train.epochs=3")


def kill(settings: Settings, folder: Path, steps: int, *, resume: bool = False) -> list[str]:
    """Run until a number of steps is done in this process; the notes on the way."""
    notes: list[str] = []
    with pytest.raises(Killed):
        seqnlp.train(settings, folder, resume=resume, hooks=[Killer(steps)], notify=notes.append)
    return notes


def go_on(settings: Settings, folder: Path) -> list[str]:
    notes: list[str] = []
    seqnlp.train(settings, folder, resume=True, notify=notes.append)
    return notes


KINDS: dict[str, tuple[str, ...]] = {
    "default": (),
    "averages": ("hooks.average.decay=0.9", "hooks.best_checkpoint=false"),
    "last checkpoints": ("hooks.average.last=3", "hooks.average.every=4"),
    "plateau": ("hooks.schedule.kind=plateau", "hooks.schedule.patience=0", "train.lr=0.2"),
    "early stop": ("hooks.early_stopping.patience=0", "train.lr=0.5", "train.epochs=8"),
    "sgd": ("train.optimizer=SGD", "train.optimizer_options={momentum = 0.9}", "train.lr=0.5"),
    "nadam": ("train.optimizer=NAdam", "hooks.penalty.l2=0.001"),
    "dropout": ("hooks.dropout.recurrent=0.2", "hooks.dropout.kind=fast", "hooks.dropout.word=0.2"),
    "zoneout": ("model.zoneout_output=0.1", "model.cell=gru"),
    "batch norm": ("model.cell=batch_norm_lstm",),
    "parts": ("train.accumulate=3",),
    "log": ("hooks.log.every=2",),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_goes_on_to_the_same_bits(toy_corpus: Path, tmp_path: Path, kind: str) -> None:
    settings = small_settings(toy_corpus, *OFTEN, *KINDS[kind])
    seqnlp.train(settings, tmp_path / "whole")
    folder = tmp_path / "broken"
    kill(settings, folder, 5)
    kill(settings, folder, 7, resume=True)
    kill(settings, folder, 1, resume=True)
    assert go_on(settings, folder)[-1] == "going on in epoch 2 after step 10"
    assert outcome(folder) == outcome(tmp_path / "whole")


@pytest.mark.parametrize("steps", [1, 12, 20, 30, 40, 50])
def test_ensembles_and_refitted_models_go_on_too(
    toy_corpus: Path, tmp_path: Path, steps: int
) -> None:
    settings = small_settings(
        toy_corpus, *OFTEN, "train.epochs=2", "train.refit=true", "ensemble=2",
        "hooks.checkpoint.steps=7",
    )  # fmt: skip
    seqnlp.train(settings, tmp_path / "whole")
    kill(settings, tmp_path / "broken", steps)
    go_on(settings, tmp_path / "broken")
    assert outcome(tmp_path / "broken") == outcome(tmp_path / "whole")


TASKS: dict[str, Callable[..., Settings]] = {
    "pairs": small_translation,
    "reports": small_summarization,
}


@pytest.mark.parametrize("task", TASKS)
def test_writing_tasks_go_on(request: pytest.FixtureRequest, tmp_path: Path, task: str) -> None:
    more = ["train.epochs=2", "hooks.checkpoint.steps=3", "head.scheduled_sampling=0.3"]
    settings = TASKS[task](request.getfixturevalue(f"{task}_corpus"), *more)
    seqnlp.train(settings, tmp_path / "whole")
    kill(settings, tmp_path / "broken", 4)
    go_on(settings, tmp_path / "broken")
    assert outcome(tmp_path / "broken") == outcome(tmp_path / "whole")


def test_checkpoints_change_no_bit(toy_corpus: Path, tmp_path: Path) -> None:
    for name, option in (
        ("with", "hooks.checkpoint.steps=1"),
        ("without", "hooks.checkpoint=false"),
    ):
        seqnlp.train(small_settings(toy_corpus, "train.epochs=2", option), tmp_path / name)
    one, other = (
        (tmp_path / name / "weights.safetensors").read_bytes() for name in ("with", "without")
    )
    assert one == other


def test_a_run_is_begun_where_none_was(toy_corpus: Path, tmp_path: Path) -> None:
    settings = small_settings(toy_corpus, "train.epochs=2")
    seqnlp.train(settings, tmp_path / "whole")
    assert go_on(settings, tmp_path / "new") == []
    assert outcome(tmp_path / "new") == outcome(tmp_path / "whole")


def test_a_run_without_a_checkpoint_begins_again(toy_corpus: Path, tmp_path: Path) -> None:
    settings = small_settings(toy_corpus, "train.epochs=2")
    seqnlp.train(settings, tmp_path / "whole")
    kill(settings, tmp_path / "broken", 3)
    assert not checkpoints(tmp_path / "broken")
    go_on(settings, tmp_path / "broken")
    assert outcome(tmp_path / "broken") == outcome(tmp_path / "whole")


def test_what_was_killed_while_measuring_is_measured(
    toy_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = small_settings(toy_corpus, "train.epochs=2")
    seqnlp.train(settings, tmp_path / "whole")

    def fail(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(SentimentTask, "report", fail)
        with pytest.raises(Killed):
            seqnlp.train(settings, tmp_path / "broken")
    kill_none = Killer(1)
    seqnlp.train(settings, tmp_path / "broken", resume=True, hooks=[kill_none])
    assert kill_none.left == 1, "it was trained again"
    assert outcome(tmp_path / "broken") == outcome(tmp_path / "whole")


def test_the_newest_are_kept_and_all_go_when_the_run_is_complete(
    toy_corpus: Path, tmp_path: Path
) -> None:
    settings = small_settings(toy_corpus, *OFTEN, "hooks.checkpoint.keep=3")
    kill(settings, tmp_path / "x", 9)
    assert [path.name for path in checkpoints(tmp_path / "x")] == [
        f"step-00000000{step}.checkpoint" for step in (6, 7, 8)
    ]
    go_on(settings, tmp_path / "x")
    assert not (tmp_path / "x" / FOLDER).exists()


def damage_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [damage_bit, cut_short, empty])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    toy_corpus: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    settings = small_settings(toy_corpus, *OFTEN)
    seqnlp.train(settings, tmp_path / "whole")
    folder = tmp_path / "broken"
    kill(settings, folder, 9)
    newest = checkpoints(folder)[-1]
    damage(newest)
    notes = go_on(settings, folder)
    assert notes[0].startswith(f"{newest} is damaged (")
    assert notes[0].endswith("); going on from the one before, if there is one")
    assert notes[1] == "going on in epoch 1 after step 7"
    assert outcome(folder) == outcome(tmp_path / "whole")


def test_a_full_disk_stops_no_training(
    toy_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = small_settings(toy_corpus, *OFTEN)
    seqnlp.train(settings, tmp_path / "whole")
    real, full = seqnlp.training.checkpoints.new_file, [False]

    def new_file(path: Path, *, durable: bool) -> object:
        if full[0]:
            raise InputError(f"cannot write {path}: No space left on device")
        return real(path, durable=durable)

    class Filler(Hook):
        def on_step_end(self, trainer: Trainer) -> None:
            full[0] = trainer.steps > 5

    monkeypatch.setattr(seqnlp.training.checkpoints, "new_file", new_file)
    notes: list[str] = []
    with pytest.raises(Killed):
        seqnlp.train(settings, tmp_path / "x", hooks=[Filler(), Killer(9)], notify=notes.append)
    path = tmp_path / "x" / FOLDER / "seed-0" / "step-000000006.checkpoint"
    assert notes[0] == (
        f"no checkpoint at step 6: cannot write {path}: No space left on device; training goes on"
    )
    full[0] = False
    assert "going on in epoch 1 after step 5" in go_on(settings, tmp_path / "x")
    assert outcome(tmp_path / "x") == outcome(tmp_path / "whole")


def test_half_written_files_are_swept_away(toy_corpus: Path, tmp_path: Path) -> None:
    settings = small_settings(toy_corpus, *OFTEN)
    kill(settings, tmp_path / "x", 4)
    left = [
        tmp_path / "x" / FOLDER / "seed-0" / ".step-000000004.checkpoint.abcdefgh.half",
        tmp_path / "x" / ".metrics.json.abcdefgh.half",
    ]
    for path in left:
        path.write_bytes(b"half")
    kill(settings, tmp_path / "x", 1, resume=True)
    assert not any(path.exists() for path in left)


def refused(settings: Settings, folder: Path) -> str:
    before = sorted(folder.rglob("*"))
    with pytest.raises(InputError) as caught:
        seqnlp.train(settings, folder, resume=True)
    assert sorted(folder.rglob("*")) == before
    return str(caught.value)


def test_other_settings_are_refused(toy_corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "x"
    kill(small_settings(toy_corpus, *OFTEN), folder, 3)
    other = small_settings(toy_corpus, *OFTEN, "train.lr=0.1", "model.cell=gru")
    assert refused(other, folder) == (
        f'{folder} was begun with other settings: model.cell was "lstm" and is "gru"; train.lr was '
        f"0.02 and is 0.1; go on with --resume {folder}, or begin anew with --force"
    )
    assert settings_of(folder).train.lr == 0.02


def test_another_corpus_is_refused(tmp_path: Path) -> None:
    corpus, folder = write_corpus(tmp_path / "corpus"), tmp_path / "x"
    settings = small_settings(corpus, *OFTEN)
    kill(settings, folder, 3)
    path = corpus / "train.tsv"
    text = path.read_text()
    path.write_text(text.replace("room was", "hall was", 1))
    told = (
        f"{folder} was begun on another train split of {corpus} ({{}}); to go on, put back what it "
        "was, or begin anew with --force"
    )
    assert refused(settings, folder) == told.format("114 rows, of which some have changed")
    path.write_text(text + "positive\tThe film was fine .\n")
    assert refused(settings, folder) == told.format("114 rows then, 115 now")
    # A copy of the same rows is the same corpus, whenever it was written.
    path.write_text(text)
    assert "going on in epoch 1 after step 2" in go_on(settings, folder)


def edit_record(folder: Path, **values: object) -> None:
    path = folder / FOLDER / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_another_number_of_processes_is_refused(toy_corpus: Path, tmp_path: Path) -> None:
    settings, folder = small_settings(toy_corpus, *OFTEN), tmp_path / "x"
    kill(settings, folder, 3)
    edit_record(folder, processes=2)
    assert refused(settings, folder) == (
        f"{folder} was begun by 2 processes, and 1 would go on; start it by torchrun "
        "--nproc-per-node 2"
    )


def test_other_versions_are_told(toy_corpus: Path, tmp_path: Path) -> None:
    settings, folder = small_settings(toy_corpus, *OFTEN), tmp_path / "x"
    kill(settings, folder, 3)
    edit_record(folder, torch="1.0")
    assert go_on(settings, folder)[0].startswith("torch 1.0 then, ")


def test_records_of_the_future_and_damaged_ones_are_told(toy_corpus: Path, tmp_path: Path) -> None:
    settings, folder = small_settings(toy_corpus, *OFTEN), tmp_path / "x"
    kill(settings, folder, 3)
    path = folder / FOLDER / "run.json"
    edit_record(folder, format=2)
    assert refused(settings, folder) == f"{path}: format 2 is of a newer seqnlp; upgrade it"
    path.write_text("{")
    assert refused(settings, folder) == f"{path}: damaged; begin the run anew with --force"


def test_hooks_of_the_caller_are_remembered(toy_corpus: Path, tmp_path: Path) -> None:
    class Counter(Hook):
        def __init__(self) -> None:
            self.count = 0

        def on_step_end(self, trainer: Trainer) -> None:
            self.count += 1

        def state_dict(self) -> dict[str, int]:
            return {"count": self.count}

        def load_state_dict(self, state: dict[str, int]) -> None:
            self.count = state["count"]

    settings, folder = small_settings(toy_corpus, *OFTEN), tmp_path / "x"
    with pytest.raises(Killed):
        seqnlp.train(settings, folder, hooks=[Counter(), Counter(), Killer(5)])
    assert refused(settings, folder) == (
        "the checkpoint has the state of Counter, Counter 2, which this run does not have; give it "
        "the hooks that it was begun with"
    )
    one, other = Counter(), Counter()
    model = seqnlp.train(settings, folder, resume=True, hooks=[one, other])
    assert one.count == other.count == model.metrics["training"][0]["steps"]


def test_a_run_that_failed_for_good_leaves_nothing_to_go_on_with(
    toy_corpus: Path, tmp_path: Path
) -> None:
    settings, folder = small_settings(toy_corpus, *OFTEN, "train.lr=1e38"), tmp_path / "x"
    with pytest.raises(TrainingError, match="the loss became"):
        seqnlp.train(settings, folder)
    assert [path.name for path in folder.iterdir()] == ["log.jsonl"]
    seqnlp.train(small_settings(toy_corpus, "train.epochs=1"), folder)


def test_an_unfinished_run_is_in_use(toy_corpus: Path, tmp_path: Path) -> None:
    settings, folder = small_settings(toy_corpus, *OFTEN), tmp_path / "x"
    kill(settings, folder, 3)
    with pytest.raises(InputError) as caught:
        seqnlp.train(settings, folder)
    assert str(caught.value) == (
        f"{folder} is in use: it holds a run that is not complete; --resume {folder} goes on with "
        "it, --force begins anew"
    )
    other = small_settings(toy_corpus, "train.epochs=1")
    seqnlp.train(other, folder, force=True)
    assert seqnlp.load(folder).settings.train.epochs == 1


def test_a_folder_without_a_run_has_none_to_go_on_with(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run was begun here, so there is none to resume"):
        settings_of(tmp_path)


def test_the_seconds_of_a_run_are_those_of_all_its_parts(toy_corpus: Path, tmp_path: Path) -> None:
    settings, folder = small_settings(toy_corpus, *OFTEN), tmp_path / "x"
    kill(settings, folder, 20)
    state = folder / FOLDER / "seed-0"
    shutil.copytree(state, tmp_path / "kept")
    saved = seqnlp.training.checkpoints.Checkpoints(tmp_path / "kept", print).load()
    assert saved is not None
    earlier = sum(saved["meter"]["past"]["seconds"].values())
    go_on(settings, folder)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["seconds"] > earlier > 0


def test_a_training_that_was_to_stop_at_once_does_so_when_it_is_gone_on_with(
    toy_corpus: Path, tmp_path: Path
) -> None:
    settings = small_settings(toy_corpus, *OFTEN)

    class Stopper(Hook):
        def on_step_end(self, trainer: Trainer) -> None:
            if trainer.steps == 10:
                trainer.stop_now("enough")

    seqnlp.train(settings, tmp_path / "whole", hooks=[Stopper()])
    folder = tmp_path / "x"
    with pytest.raises(Killed):
        seqnlp.train(settings, folder, hooks=[Stopper(), Dying()])
    seqnlp.train(settings, folder, resume=True, hooks=[Stopper()])
    assert outcome(folder) == outcome(tmp_path / "whole")


class Dying(Hook):
    """Breaks off at the end of the second epoch."""

    def on_epoch_end(self, trainer: Trainer) -> None:
        if trainer.epoch == 2:
            raise Killed
