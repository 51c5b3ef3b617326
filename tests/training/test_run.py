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
from seqnlp.errors import InputError, SettingsError
from seqnlp.tasks.sentiment import SentimentTask
from seqnlp.training.run import choose_device, make_hooks
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
