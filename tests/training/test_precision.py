"""Lower precision: where it is on, why it is not, and what scaling a loss does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from seqnlp.training.precision import Precision
from tests.training.test_trainer import fit

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_a_cpu_stays_at_float32_and_says_why(name: str) -> None:
    chosen, reason = Precision.choose(name, CPU)  # type: ignore[arg-type]
    assert chosen.dtype == torch.float32
    assert reason == (
        f"train.precision {name} is off: the kernels for a CPU compute in float32, which is faster"
    )


def test_float32_needs_no_reason() -> None:
    assert Precision.choose("float32", CPU)[1] is None


@pytest.mark.parametrize(("name", "capability", "off"),
                         [("bf16", (7, 5), True), ("bf16", (8, 0), False),
                          ("fp16", (7, 5), False)])  # fmt: skip
def test_a_gpu_without_units_for_bf16_stays_at_float32(
    monkeypatch: pytest.MonkeyPatch, name: str, capability: tuple[int, int], off: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla T4")
    monkeypatch.setattr(torch.amp, "GradScaler", lambda _: None)
    chosen, reason = Precision.choose(name, GPU)  # type: ignore[arg-type]
    assert (chosen.dtype == torch.float32) == off
    assert reason == (
        "train.precision bf16 is off: Tesla T4 has no units for it, and float32 is faster; it has "
        "some for fp16" if off else None
    )  # fmt: skip


def test_a_run_on_a_cpu_says_so_and_is_that_of_float32(toy_corpus: Path) -> None:
    plain = fit(toy_corpus, "train.epochs=1", "device=cpu")
    asked = fit(toy_corpus, "train.epochs=1", "device=cpu", "train.precision=bf16")
    for one, other in zip(plain.task.parameters(), asked.task.parameters(), strict=True):
        assert torch.equal(one, other)


def test_autocast_computes_in_the_numbers_asked_for() -> None:
    with Precision("bf16", CPU).autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    with Precision("float32", CPU).autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def step(precision: Precision, weight: torch.Tensor, factor: float) -> None:
    optimizer = torch.optim.SGD([weight], lr=0.5)
    precision.scale((weight * factor).sum()).backward()  # type: ignore[no-untyped-call]
    precision.unscale(optimizer)
    precision.step(optimizer)
    optimizer.zero_grad()


def test_a_scaled_loss_gives_the_same_step() -> None:
    weight = torch.ones(2, requires_grad=True)
    step(Precision("fp16", CPU), weight, 4.0)
    assert weight.tolist() == [-1.0, -1.0]


def test_a_step_that_overflows_is_left_out_and_the_scale_is_lowered() -> None:
    precision = Precision("fp16", CPU)
    before = precision.state_dict()["scale"]
    weight = torch.ones(2, requires_grad=True)
    step(precision, weight, float("inf"))
    assert weight.tolist() == [1.0, 1.0]
    assert precision.state_dict()["scale"] == before / 2


def test_the_scale_is_remembered_as_plain_values() -> None:
    precision = Precision("fp16", CPU)
    step(precision, torch.ones(2, requires_grad=True), float("inf"))
    step(precision, torch.ones(2, requires_grad=True), 1.0)
    state = json.loads(json.dumps(precision.state_dict()))
    again = Precision("fp16", CPU)
    again.scale(torch.ones(1))
    again.load_state_dict(state)
    assert again.state_dict() == precision.state_dict()
    assert again.scale(torch.ones(1)).item() == state["scale"]
    assert Precision("float32", CPU).state_dict() == {}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU")
@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_a_gpu_trains_at_lower_precision(toy_corpus: Path, name: str) -> None:
    trainer = fit(toy_corpus, "device=cuda", f"train.precision={name}")
    assert trainer.figures["accuracy"] > 0.9
