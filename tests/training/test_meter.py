"""The meter's arithmetic, by a clock that is set by hand, and what a training says of itself."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqnlp.training import meter
from seqnlp.training.hooks import Hook
from seqnlp.training.meter import PARTS, Meter, peak_memory
from seqnlp.training.trainer import Trainer
from tests.training.test_trainer import fit, prepare


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def seconds(meter: Meter) -> dict[str, float]:
    parts: dict[str, float] = meter.record()["seconds_by_part"]
    return parts


def test_every_second_is_some_parts() -> None:
    clock = Clock()
    meter = Meter(clock=clock)
    clock.now += 50  # before the first epoch: nobody's
    meter.start_epoch()
    clock.now += 1
    with meter.part("forward"):
        clock.now += 4
    with meter.part("hooks"):
        clock.now += 2
        with meter.part("checkpoint"):
            clock.now += 16
        clock.now += 8
    with meter.part("forward"):
        clock.now += 32
    assert seconds(meter) == {"forward": 36, "hooks": 10, "checkpoint": 16, "other": 1}
    with meter.part("validation"):
        clock.now += 64
        # The part that is going on counts up to now.
        assert seconds(meter)["validation"] == 64
    assert list(seconds(meter)) == ["forward", "hooks", "checkpoint", "validation", "other"]


def test_a_part_that_fails_is_left() -> None:
    clock = Clock()
    meter = Meter(clock=clock)
    meter.start_epoch()
    with contextlib.suppress(KeyError), meter.part("forward"):
        clock.now += 2
        raise KeyError
    clock.now += 4
    assert seconds(meter) == {"forward": 2, "other": 4}


def test_speed_is_of_the_time_without_validation() -> None:
    clock = Clock()
    meter = Meter(clock=clock)
    meter.start_epoch()
    with meter.part("forward"):
        meter.count([3, 5])
        clock.now += 4
    with meter.part("validation"):
        clock.now += 100
    record = meter.record()
    assert record["examples_per_second"] == 2 / 4
    assert record["tokens_per_second"] == 8 / 4
    assert record["padding"] == 1 - 8 / 10


def test_an_epoch_is_measured_by_itself_and_the_whole_too() -> None:
    clock = Clock()
    meter = Meter(clock=clock)
    for rows, spent in ((1, 2.0), (3, 8.0)):
        meter.start_epoch()
        with meter.part("data"):
            meter.count(np.full(rows, 7))
            clock.now += spent
    assert meter.record()["examples_per_second"] == 3 / 8
    assert meter.total()["examples_per_second"] == 4 / 10
    assert meter.total()["seconds_by_part"] == {"data": 10, "other": 0}
    assert meter.seconds == 10


def test_nothing_measured_is_nothing() -> None:
    record = Meter(clock=Clock()).record()
    assert record["examples_per_second"] == record["tokens_per_second"] == record["padding"] == 0
    assert record["seconds_by_part"] == {}


@given(
    st.lists(st.lists(st.lists(st.integers(0, 30), min_size=2, max_size=2), max_size=6), max_size=6)
)
def test_padding_is_counted_as_batches_are_padded(batches: list[list[list[int]]]) -> None:
    meter = Meter(clock=Clock())
    tokens = slots = 0
    for batch in batches:
        meter.count(np.array(batch, dtype=np.int64).reshape(-1, 2))
        for side in zip(*batch, strict=True):
            padded = torch.nn.utils.rnn.pad_sequence([torch.ones(size) for size in side])
            tokens, slots = tokens + int(padded.sum()), slots + padded.numel()
    assert meter.record()["padding"] == pytest.approx(1 - tokens / slots if slots else 0)


def test_a_resumed_meter_goes_on_as_if_it_had_never_stopped() -> None:
    clock = Clock()
    meter = Meter(clock=clock)
    meter.start_epoch()
    meter.count([1, 2])
    with meter.part("forward"):
        clock.now += 3
    meter.start_epoch()
    meter.count([2, 4])
    clock.now += 5
    with meter.part("hooks"):
        clock.now += 1
        state = json.loads(json.dumps(meter.state_dict()))
    clock.now += 1000
    again = Meter(clock=clock)
    again.load_state_dict(state)
    with again.part("forward"):
        clock.now += 7
    assert seconds(again) == {"forward": 7, "hooks": 1, "other": 5}
    total = again.total()
    assert total["seconds_by_part"] == {"forward": 10, "hooks": 1, "other": 5}
    assert total["examples_per_second"] == 4 / 16
    assert again.record()["padding"] == 1 - 6 / 8
    # What is taken back is not shared with whoever gave it.
    assert state["epoch"]["seconds"] == {"other": 5, "hooks": 1}


def test_peak_memory_grows_with_what_is_held() -> None:
    script = (
        "from seqnlp.training.meter import peak_memory; "
        "before = peak_memory()['peak_memory_mb']; held = b'.' * 200_000_000; "
        "print(peak_memory()['peak_memory_mb'] - before)"
    )
    out = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    # What importing has given back may be used again.
    assert 100 < float(out.stdout) < 210


def test_where_a_system_has_no_proc_it_is_asked_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nowhere(type(Path())):  # type: ignore[misc]
        def open(self, *_: object, **__: object) -> None:
            raise FileNotFoundError

    exact = peak_memory()["peak_memory_mb"]
    monkeypatch.setattr(meter, "Path", Nowhere)
    # Rounded otherwise, and perhaps of the process that started this one.
    assert peak_memory()["peak_memory_mb"] > 0.9 * exact


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_the_memory_of_a_gpu_is_that_of_its_tensors() -> None:
    meter = Meter(torch.device("cuda"), clock=Clock())
    before = meter.record()["peak_gpu_memory_mb"]
    held = torch.ones(50_000_000, device="cuda")
    del held
    assert meter.record()["peak_gpu_memory_mb"] >= max(before, 200)


def test_the_peak_is_the_highest_of_all_processes_that_trained() -> None:
    meter = Meter(clock=Clock())
    state = meter.state_dict()
    state["peaks"]["peak_memory_mb"] = 1e9
    meter.load_state_dict(state)
    assert meter.record()["peak_memory_mb"] == 1e9


def test_a_trainings_record_adds_up(toy_corpus: Path) -> None:
    trainer = fit(toy_corpus, "train.epochs=2", "train.batch_size=50", "train.accumulate=2")
    task, corpus, _ = prepare(toy_corpus)
    rows = task.read(corpus.split("train"))
    for record in trainer.history:
        parts = record["seconds_by_part"]
        assert set(parts) <= set(PARTS)
        assert {"data", "forward", "backward", "optimizer", "hooks", "validation"} <= set(parts)
        training = sum(parts.values()) - parts["validation"]
        assert training >= record["train_seconds"]
        assert record["examples_per_second"] * training == pytest.approx(len(rows.lengths))
        assert record["tokens_per_second"] * training == pytest.approx(rows.lengths.sum())
        # Texts of the corpus are all of one length.
        assert record["padding"] == 0
        assert record["peak_memory_mb"] > 10


class Save(Hook):
    order = 99

    def __init__(self) -> None:
        self.states: list[dict[str, object]] = []

    def on_step_end(self, trainer: Trainer) -> None:
        self.states.append(json.loads(json.dumps(trainer.meter.state_dict())))


def test_a_checkpoint_within_an_epoch_has_its_counts(toy_corpus: Path) -> None:
    save = Save()
    trainer = fit(toy_corpus, "train.epochs=2", "train.batch_size=50", hooks=(save,))
    sizes = [state["epoch"]["rows"] for state in save.states]  # type: ignore[index]
    assert sizes[: trainer.steps_per_epoch] == sizes[trainer.steps_per_epoch :]
    assert sizes[0] == 50
    assert save.states[-1]["past"]["rows"] == sizes[trainer.steps_per_epoch - 1]  # type: ignore[index]
