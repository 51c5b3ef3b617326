"""A whole run: what it trains on, what it measures, what it leaves behind."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

import seqnlp
from seqnlp.data.corpus import open_corpus
from seqnlp.errors import InputError, SettingsError, TrainingError
from seqnlp.tasks.examples import short_example
from seqnlp.tasks.sentiment import SentimentTask
from seqnlp.training.hooks import Hook
from seqnlp.training.hooks.selection import EarlyStoppingHook
from seqnlp.training.preparation import choose_device, make_hooks
from seqnlp.training.trainer import Trainer
from tests.toy import small_settings

QUICK = ("train.epochs=4", "hooks.early_stopping=false")


def test_refitting_is_training_on_everything_up_to_the_chosen_epoch(toy_corpus: Path) -> None:
    settings = small_settings(toy_corpus, *QUICK, "train.refit=true", "hooks.schedule.kind=linear")
    model = seqnlp.train(settings)
    [course] = model.metrics["training"]
    plain = seqnlp.train(small_settings(toy_corpus, *QUICK, "hooks.schedule.kind=linear"))
    assert course["best_epoch"] == plain.metrics["training"][0]["best_epoch"]
    assert model.metrics["validation"] == plain.metrics["validation"]

    corpus = open_corpus(str(toy_corpus), fields=SentimentTask.fields).with_all_in_train()
    torch.manual_seed(0)
    task = SentimentTask.create(model.settings, corpus)
    trainer = Trainer(task, settings.train, make_hooks(settings, None))
    trainer.fit(task.read(corpus.split("train")), None, last_epoch=course["best_epoch"])
    for name, weight in task.state_dict().items():
        assert torch.equal(
            weight, model.task.members[0].state_dict()[name.removeprefix("members.0.")]
        ), name  # type: ignore[union-attr, index, operator]


def test_train_and_validation_together_are_their_rows(toy_corpus: Path) -> None:
    corpus = open_corpus(str(toy_corpus), fields=SentimentTask.fields)
    whole = corpus.with_all_in_train().split("train")
    texts = Counter(whole.column("text"))
    assert texts == Counter([*corpus.split("train").column("text"),
                             *corpus.split("validation").column("text")])  # fmt: skip
    cut = open_corpus(str(toy_corpus / "train.tsv"), fields=SentimentTask.fields)
    again = cut.with_all_in_train().split("train")
    assert Counter(again.column("text")) == Counter(corpus.split("train").column("text"))
    assert again[3] == {
        "text": list(again.column("text"))[3],
        "label": list(again.column("label"))[3],
    }


def test_an_ensemble_is_better_informed_than_its_members_alone(toy_corpus: Path) -> None:
    model = seqnlp.train(small_settings(toy_corpus, *QUICK, "ensemble=2"))
    singles = [seqnlp.train(small_settings(toy_corpus, *QUICK, f"seed={seed}")) for seed in (0, 1)]
    text = "The film was poor and then great ."
    shares = [single(text).probabilities for single in singles]
    expected = np.mean([list((share or {}).values()) for share in shares], axis=0)
    found = model(text).probabilities
    assert list((found or {}).values()) == pytest.approx(expected.tolist(), abs=1e-6)


def test_the_test_split_is_not_looked_at_in_training(
    toy_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    original = SentimentTask.read

    def spy(self: SentimentTask, split: seqnlp.data.Split, **more: bool) -> object:  # type: ignore[name-defined]
        read.append(split.name)
        return original(self, split, **more)

    monkeypatch.setattr(SentimentTask, "read", spy)
    seqnlp.train(small_settings(toy_corpus, *QUICK))
    assert read == ["train", "validation", "validation", "test"]


def test_labels_of_test_do_not_change_what_is_learned(toy_corpus: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for path in toy_corpus.iterdir():
        content = path.read_text()
        if path.name == "test.tsv":
            content = "label\ttext\npositive\tbrand new words\nnegative\tnever seen\n"
        (other / path.name).write_text(content)
    first, second = (seqnlp.train(small_settings(path, *QUICK)) for path in (toy_corpus, other))
    assert first.task.pipeline.vocabulary == second.task.pipeline.vocabulary
    for name, weight in first.task.state_dict().items():
        assert torch.equal(weight, second.task.state_dict()[name])


@pytest.mark.parametrize("name", ["cuda", "cuda:3"])
@pytest.mark.skipif(
    torch.cuda.is_available(), reason="this machine has the GPU that must be absent"
)
def test_a_gpu_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(
        InputError, match=f"the device '{name}' was asked for, but torch finds no GPU"
    ):
        choose_device(name)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_gpu_learns_what_a_cpu_learns(toy_corpus: Path) -> None:
    model = seqnlp.train(small_settings(toy_corpus, "device=cuda"))
    assert model.task.device.type == "cuda"
    assert model.metrics["test"]["accuracy"]["value"] > 0.9


def test_the_same_on_auto_and_cpu_where_there_is_no_gpu() -> None:
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu").type == "cpu"


def test_a_folder_in_use_is_refused_before_work_begins(toy_run: Path, toy_corpus: Path) -> None:
    before = {path.name: path.read_bytes() for path in toy_run.iterdir()}
    with pytest.raises(InputError, match="is in use: it holds a model"):
        seqnlp.train(small_settings(toy_corpus), toy_run)
    assert {path.name: path.read_bytes() for path in toy_run.iterdir()} == before


def test_an_unknown_hook_option_names_its_hook(toy_corpus: Path) -> None:
    with pytest.raises(SettingsError, match="hooks.clip: no key 'nrom'; did you mean 'norm'"):
        seqnlp.train(small_settings(toy_corpus, "hooks.clip.nrom=1"))


def test_predictions_are_values(toy_run: Path) -> None:
    answer = seqnlp.load(toy_run)("fine")
    with pytest.raises(dataclasses.FrozenInstanceError):
        answer.output = "x"  # type: ignore[misc]


def test_without_best_checkpoint_the_last_weights_are_kept(
    toy_corpus: Path, tmp_path: Path
) -> None:
    settings = small_settings(toy_corpus, *QUICK, "hooks.best_checkpoint=false")
    model = seqnlp.train(settings, tmp_path / "run")
    assert model.metrics["training"][0]["best_epoch"] is None
    assert seqnlp.load(tmp_path / "run")("fine") == model("fine")


@pytest.mark.parametrize(
    ("texts", "example"),
    [
        (["many " * 13 + "words", "two\n words", "one"], "two words"),
        (["", "many " * 13 + "words"], ("many " * 12).strip()),
        (["x" * 70], "x" * 60),
        ([], ""),
    ],
)
def test_an_example_to_try_ends_at_a_whole_word(texts: list[str], example: str) -> None:
    assert short_example(texts) == example


def test_threads_are_set(toy_corpus: Path) -> None:
    before = torch.get_num_threads()
    try:
        seqnlp.train(small_settings(toy_corpus, "train.epochs=1", "threads=2"))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


class Breaker(Hook):
    """Raises in the fit of that number."""

    def __init__(self, fit: int, error: BaseException) -> None:
        self.left, self.error = fit, error

    def on_fit_start(self, trainer: Trainer) -> None:
        self.left -= 1

    def on_step_end(self, trainer: Trainer) -> None:
        if self.left == 0:
            raise self.error


def test_a_member_that_fails_does_not_take_the_others_with_it(
    toy_corpus: Path, tmp_path: Path
) -> None:
    settings = small_settings(toy_corpus, *QUICK, "ensemble=2")
    with pytest.raises(TrainingError, match="boom"):
        seqnlp.train(settings, tmp_path / "run", hooks=[Breaker(2, TrainingError("boom"))])
    kept = seqnlp.load(tmp_path / "run")
    assert kept.task.state()["members"] == 1
    assert kept.settings.ensemble == 1


@pytest.mark.parametrize("fit", [2, 3, 4])
def test_ctrl_c_in_a_refitted_ensemble_mixes_no_vocabularies(
    toy_corpus: Path, tmp_path: Path, fit: int
) -> None:
    settings = small_settings(toy_corpus, *QUICK, "ensemble=2", "train.refit=true")
    hooks = [Breaker(fit, KeyboardInterrupt())]
    model = seqnlp.train(settings, tmp_path / "run", hooks=hooks)
    assert model.metrics["interrupted"]
    assert seqnlp.load(tmp_path / "run")("The film was fine .") == model("The film was fine .")


def test_what_is_saved_survives_a_failure_in_measuring(
    toy_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SentimentTask, "report", fail)
    with pytest.raises(KeyboardInterrupt):
        seqnlp.train(small_settings(toy_corpus, *QUICK), tmp_path / "run")
    assert seqnlp.load(tmp_path / "run")("fine").output


def test_a_failed_save_leaves_the_old_model(
    toy_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = seqnlp.train(small_settings(toy_corpus, *QUICK), tmp_path / "run")
    new = seqnlp.train(small_settings(toy_corpus, *QUICK, "model.cell=gru"))
    monkeypatch.setattr("seqnlp.bundle.pack", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        new.save(tmp_path / "run")
    assert seqnlp.load(tmp_path / "run")("fine") == old("fine")


def test_a_refused_run_leaves_a_folder_as_it_was(toy_corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError):
        seqnlp.train(small_settings(tmp_path / "none" / "x"), tmp_path / "mine")
    assert (tmp_path / "mine").is_dir()
    model = seqnlp.train(small_settings(toy_corpus, *QUICK), tmp_path / "run")
    log = (tmp_path / "run" / "log.jsonl").read_bytes()
    with pytest.raises(InputError):
        seqnlp.train(small_settings(tmp_path / "none" / "x"), tmp_path / "run", force=True)
    assert (tmp_path / "run" / "log.jsonl").read_bytes() == log
    assert seqnlp.load(tmp_path / "run")("fine") == model("fine")


def test_hooks_given_to_a_run_begin_anew_with_each_member(toy_corpus: Path) -> None:
    settings = small_settings(
        toy_corpus, "train.epochs=6", "ensemble=2", "hooks.early_stopping=false"
    )
    alone = seqnlp.train(
        small_settings(toy_corpus, "train.epochs=6", "seed=1", "hooks.early_stopping=false"),
        hooks=[EarlyStoppingHook(patience=0)],
    )
    both = seqnlp.train(settings, hooks=[EarlyStoppingHook(patience=0)])
    assert both.metrics["training"][1]["steps"] == alone.metrics["training"][0]["steps"]


def test_plateau_and_refitting_exclude_each_other(toy_corpus: Path) -> None:
    with pytest.raises(
        SettingsError, match="train.refit: the schedule 'plateau' needs a validation"
    ):
        seqnlp.train(small_settings(toy_corpus, "train.refit=true", "hooks.schedule.kind=plateau"))


def test_settings_without_default_hooks_are_saved_so(toy_corpus: Path, tmp_path: Path) -> None:
    settings = small_settings(toy_corpus, *QUICK).model_copy(
        update={"hooks": {"best_checkpoint": {}}}
    )
    model = seqnlp.train(settings, tmp_path / "run")
    again = seqnlp.train(seqnlp.load_settings(tmp_path / "run" / "config.toml"))
    assert again.settings == model.settings
    assert again("fine") == model("fine")


def test_a_language_is_for_tasks_that_read_one(toy_corpus: Path) -> None:
    with pytest.raises(
        SettingsError,
        match="corpus.source: the task 'sentiment' reads no source, so no language 'de'; it reads text and label",
    ):
        seqnlp.train(small_settings(toy_corpus, "corpus.source=de"))
