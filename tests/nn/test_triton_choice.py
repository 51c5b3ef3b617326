"""Engine `triton`: when it is chosen, what it says where it can't run, and what Triton compiles."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

from seqnlp.errors import InputError
from seqnlp.nn import (
    GRUCell,
    LayerNormLSTMCell,
    LSTMCell,
    MinGRUCell,
    PeepholeLSTMCell,
    engines,
    unroll,
)
from seqnlp.nn.engines.triton import engine as module
from seqnlp.nn.engines.triton import machine
from seqnlp.nn.noise import Noise
from tests.nn.test_engines import OddCell

ENGINE = engines.find("triton")
X = torch.zeros(2, 3, 4, device="meta")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose device "meta" runs Triton's kernels: nothing is computed there."""
    monkeypatch.setattr(module, "find_obstacle_on", lambda device: None)


@pytest.mark.usefixtures("gpu")
def test_auto_takes_cudnn_where_it_computes_the_same_then_triton_then_the_loop() -> None:
    def chosen(cell: torch.nn.Module, noise: Noise | None = None) -> str:
        return engines.select("auto", cell.to("meta"), X, noise).name  # type: ignore[arg-type]

    assert chosen(LSTMCell(4, 5)) == chosen(GRUCell(4, 5)) == "native"
    assert chosen(LSTMCell(4, 5), Noise(hidden=torch.ones(2, 5))) == "triton"
    assert chosen(PeepholeLSTMCell(4, 5)) == chosen(MinGRUCell(4, 5)) == "triton"
    assert chosen(OddCell(4, 5)) == "reference"


def test_auto_without_triton_is_the_loop_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_obstacle_on", lambda device: "Triton is not there")
    cell = PeepholeLSTMCell(4, 5).to("meta")
    engine, why = engines.explain("auto", cell, X)
    assert (engine.name, why) == ("reference", "Triton is not there")


@pytest.mark.usefixtures("gpu")
def test_what_it_cannot_run() -> None:
    def obstacle(cell: torch.nn.Module, x: torch.Tensor = X, noise: Noise | None = None) -> str:
        found = ENGINE.obstacle(cell.to(x), x, noise)  # type: ignore[arg-type]
        assert found is not None
        return found

    half = X.half()
    for cell in (PeepholeLSTMCell(4, 5), MinGRUCell(4, 5)):
        assert obstacle(cell, half) == "it computes float32 and float64, not float16"
    assert obstacle(OddCell(4, 5)) == "OddCell is not a GatedCell"
    noise = Noise(hidden=torch.ones(2, 5))
    assert obstacle(MinGRUCell(4, 5), noise=noise) == (
        "dropout inside a recurrence needs a GatedCell"
    )
    assert obstacle(LayerNormLSTMCell(4, 4100)) == (
        "it sums over rows of at most 4096 features, not 4100"
    )
    assert ENGINE.supports(LayerNormLSTMCell(4, 4096).to("meta"), X)


def test_where_it_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    here = "it runs on CUDA devices, and the input is on cpu"
    with pytest.raises(InputError, match=here):
        unroll(PeepholeLSTMCell(4, 5), torch.zeros(2, 3, 4), engine="triton")

    def found() -> str | None:
        machine._find_obstacle.cache_clear()
        return machine.find_obstacle_on(torch.device("meta"))

    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr(machine, "find_spec", lambda name: None)
    assert found() == "Triton is not installed: builds of PyTorch for GPUs bring it on Linux"
    monkeypatch.setattr(machine, "find_spec", importlib.util.find_spec)
    monkeypatch.setattr(machine, "find_spec", lambda name: object())
    triton = types.ModuleType("triton")
    triton.__dict__["__version__"] = "3.3.1"
    monkeypatch.setitem(sys.modules, "triton", triton)
    assert found() == "Triton 3.3.1 is too old: it needs 3.4, as PyTorch 2.8 brings it"
    triton.__dict__["__version__"] = "3.10.0+git1"

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("Failed to find C compiler.\nPlease say where it is.")

    from seqnlp.nn.engines.triton import scan

    monkeypatch.setattr(scan, "forward", fail)
    assert found() == ("Triton cannot build a kernel on this machine: Failed to find C compiler.")
    monkeypatch.setattr(scan, "forward", lambda *_, **__: None)
    assert found() is None
    machine._find_obstacle.cache_clear()


COMPILE = """
import sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from seqnlp.nn import LayerNormLSTMCell, PeepholeLSTMCell
from seqnlp.nn.engines.plans import find_plan
from seqnlp.nn.engines.triton.gated import GatedLoop
from seqnlp.nn.engines.triton.kernels.pointwise import run_program
from seqnlp.nn.engines.triton.kernels.scan import scan_backward, scan_forward

def compile(kernel, arguments, constants, options):
    names = kernel.arg_names
    signature = arguments | dict.fromkeys(constants, "constexpr")
    values = {(names.index(name),): value for name, value in constants.items()}
    made = triton.compile(
        ASTSource(kernel, signature, values), target=GPUTarget("cuda", 90, 32), options=options
    )
    assert "ld.global" in made.asm["ptx"] and made.asm["cubin"]
    print(kernel.__name__)

for kind in ("fp32", "fp64"):
    for cell in (PeepholeLSTMCell(4, 40), LayerNormLSTMCell(4, 40)):
        plan = find_plan(cell, None)
        loop = GatedLoop(plan, 40)
        for step in (plan.inference, plan.forward, plan.backward):
            made = loop.kernel(step, (0,) if step is plan.backward else ())
            numbers = dict.fromkeys(run_program.arg_names[1:5], "i32")
            arrays = {"arrays": ("*" + kind,) * len(made.program.arrays)}
            constants = dict(zip(run_program.arg_names[5:], made.constants, strict=True))
            compile(run_program, arrays | numbers, constants, made.options)
    for kernel in (scan_forward, scan_backward):
        names = kernel.arg_names
        first = names.index("lengths")
        for parts, same in ((1, False), (2, True)):
            arguments = dict.fromkeys(names[:first], "*" + kind)
            arguments |= {"lengths": "*i64", "time": "i32", "width": "i32"}
            constants = dict(zip(names[first + 3:], (same, True, parts, 32, 32), strict=True))
            compile(kernel, arguments, constants, {"enable_fp_fusion": True})
"""


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
def test_triton_compiles_for_a_gpu_that_need_not_be_there(tmp_path: Path) -> None:
    """The interpreter takes what the compiler does not, such as a variable of two types."""
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    environment.pop("TRITON_INTERPRET", None)
    done = subprocess.run(
        [sys.executable, "-c", COMPILE],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 20
