"""Engine `triton`: on a GPU where there is one, else in Triton's interpreter where that is there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor

from seqnlp.nn import (
    GatedCell,
    GRUCell,
    LSTMCell,
    Padding,
    PeepholeLSTMCell,
    State,
    engines,
    unroll,
)
from seqnlp.nn.cells import LinearCell
from seqnlp.nn.engines.graph import Graph
from seqnlp.nn.engines.operations import OPERATIONS
from seqnlp.nn.engines.scan import scan
from seqnlp.nn.engines.triton import scan as scanner
from seqnlp.nn.engines.triton.program import CODES, Instruction, Load, Store
from seqnlp.nn.noise import Noise
from tests.nn.test_contract import CELLS, RAGGED, B, D, H, T, differentiable, make, start_of

ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"
EXACT = {"rtol": 1e-10, "atol": 1e-11}
pytestmark = [
    pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed"),
    # The interpreter computes in places that are masked out, too.
    pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning"),
]
needs_gpu = pytest.mark.skipif(not ON_GPU, reason="no GPU on this machine")
NAMES = [n for n in CELLS if isinstance(make(n), GatedCell | LinearCell)]


@pytest.fixture(autouse=True, scope="module")
def _interpreter() -> Iterator[None]:
    """What is compiled and what is interpreted is settled when a module of kernels is imported."""
    if ON_GPU:
        yield
        return

    def forget() -> None:
        for name in [n for n in sys.modules if n.startswith("seqnlp.nn.engines.triton.kernels")]:
            del sys.modules[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        forget()
        import triton.language as tl
        from triton.runtime import JITFunction

        if isinstance(tl.sum, JITFunction):
            pytest.skip("Triton has been imported to compile: run this file by itself")
        yield
    forget()


def runs(name: str) -> bool:
    """Whether the engine takes the cell: what can be traced for a CPU can be for a GPU."""
    cell = make(name)
    x = torch.zeros(1, 1, D, dtype=torch.float64)
    return engines.find("fused").supports(cell, x)


def gradients(outputs: Tensor, state: State, wanted: list[Tensor]) -> list[Tensor]:
    """Of a sum that weighs every output and every leaf differently."""
    generator = torch.Generator().manual_seed(9)
    total = torch.zeros((), dtype=torch.float64, device=DEVICE)
    for leaf in (outputs, *state):
        real = torch.view_as_real(leaf) if leaf.is_complex() else leaf
        weights = torch.rand(real.shape, generator=generator, dtype=torch.float64)
        total = total + (real * weights.to(real)).sum()
    return list(torch.autograd.grad(total, wanted, materialize_grads=True))


@pytest.mark.parametrize(("lengths", "reverse"), [(None, False), (RAGGED, False), (RAGGED, True)])
@pytest.mark.parametrize("name", NAMES)
def test_every_cell_equals_the_reference(
    name: str, lengths: list[int] | None, reverse: bool
) -> None:
    cell = make(name).eval()
    x = torch.randn(B, T, D, dtype=torch.float64, device=DEVICE, requires_grad=True)
    engine = engines.find("triton")
    assert engine.supports(cell.to(DEVICE), x) == runs(name), engine.obstacle(cell, x)
    if runs(name):
        ends = None if lengths is None else torch.tensor(lengths, device=DEVICE)
        start = tuple(leaf.detach().to(DEVICE).requires_grad_() for leaf in start_of(cell.cpu(), B))
        wanted = differentiable(x, *start, *cell.to(DEVICE).parameters())
        found, expected = (
            unroll(cell, x, ends, start, reverse=reverse, engine=engine)
            for engine in ("triton", "reference")
        )
        torch.testing.assert_close(found, expected, **EXACT)
        for one, other in zip(gradients(*found, wanted), gradients(*expected, wanted), strict=True):
            torch.testing.assert_close(one, other, **EXACT)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", ["lstm", "gru", "peephole", "layer_norm_lstm"])
def test_dropout_inside(name: str, reverse: bool) -> None:
    cell = make(name).to(DEVICE)
    assert isinstance(cell, GatedCell)

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, dtype=torch.float64, device=DEVICE)

    noise = Noise(
        hidden=draw(B, H),
        weight=draw(*cell.weight_h.shape),
        masks={mask: draw(B, T, H) for mask in cell.masks},
        keep=(draw(B, T, H), *(None for _ in range(cell.states - 1))),
    )
    x = draw(B, T, D)
    padding = Padding.of(torch.tensor(RAGGED, device=DEVICE), x)
    assert padding is not None
    x = padding.zero(x).requires_grad_()
    results = []
    for engine in map(engines.find, ("triton", "reference")):
        assert engine.supports(cell, x, noise)
        outputs, state = engine.run(
            cell, x, padding, cell.initial_state(B), reverse=reverse, want_state=True, noise=noise
        )
        assert state is not None
        results.append([outputs, *state, *gradients(outputs, state, [x, *cell.parameters()])])
    torch.testing.assert_close(*results, **EXACT)


@pytest.mark.parametrize("name", ["peephole", "layer_norm_gru", "rnn prelu"])
def test_more_features_and_rows_than_one_instance_takes(name: str) -> None:
    torch.manual_seed(0)
    cell = CELLS[name](3, 130)
    x = torch.randn(9, 2, 3, device=DEVICE, requires_grad=True)
    lengths = torch.tensor([2, 1, 2, 2, 0, 2, 2, 2, 1], device=DEVICE)
    start = tuple(leaf.to(DEVICE) for leaf in cell.initial_state(9))
    cell.to(DEVICE)
    wanted = [x, *cell.parameters()]
    found, expected = (
        unroll(cell, x, lengths, start, engine=engine) for engine in ("triton", "reference")
    )
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    for one, other in zip(gradients(*found, wanted), gradients(*expected, wanted), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("ends", [None, [70, 0, 33]])
@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_a_scan_of_more_steps_than_are_taken_at_once(
    dtype: torch.dtype, constant: bool, ends: list[int] | None, reverse: bool
) -> None:
    torch.manual_seed(0)
    shape = (3, 70, 2)
    a = torch.randn(*(shape[2:] if constant else shape), dtype=dtype, device=DEVICE) / 2
    b = torch.randn(*shape, dtype=dtype, device=DEVICE)
    first = torch.randn(3, 2, dtype=dtype, device=DEVICE)
    inputs = [each.requires_grad_() for each in (a, b, first)]
    padding = None
    if ends is not None:
        padding = Padding.of(torch.tensor(ends, device=DEVICE), b)
    found, expected = (
        scan(*inputs, padding, reverse=reverse, scanner=each) for each in (scanner, None)
    )
    torch.testing.assert_close(found, expected, **EXACT)
    for one, other in zip(
        gradients(found[0], found[1:], inputs),
        gradients(expected[0], expected[1:], inputs),
        strict=True,
    ):
        torch.testing.assert_close(one, other, **EXACT)


def test_a_scan_can_be_differentiated_twice() -> None:
    torch.manual_seed(0)
    inputs = [
        torch.randn(*shape, dtype=torch.float64, device=DEVICE, requires_grad=True)
        for shape in ((2, 3, 2), (2, 3, 2), (2, 2))
    ]
    assert torch.autograd.gradgradcheck(
        lambda *each: scan(*each, None, reverse=False, scanner=scanner), inputs
    )


SPECIAL = [0.0, 1e-8, -1e-8, 1e-3, 0.3, -0.3, 1.0, -1.0, 2.5, 30.0, -30.0, 100.0, -100.0]
SPECIAL += [float("inf"), float("-inf"), float("nan")]

SINGLE = "neg abs sign sqrt exp expm1 log log1p sin cos erf sigmoid tanh not real sum largest"
ARGUMENTS = {**dict.fromkeys(SINGLE.split(), 1), "where": 3}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_equals_torchs(operation: str, dtype: torch.dtype) -> None:
    from seqnlp.nn.engines.triton.kernels.pointwise import run_program

    # Sums of what is infinite are no matter; the largest of what is none of the numbers neither.
    numbers = torch.tensor(SPECIAL[:13] if OPERATIONS[operation].reduces else SPECIAL)
    a = numbers.to(dtype).repeat(2, 1)
    b, c = a.flip(1).contiguous(), (a + 1).contiguous()
    size = a.shape[1]
    graph = Graph()
    values = [graph.add_input(name, wide=True) for name in "abc"]
    zero = graph.add_constant(0.0)
    logical = [graph.add("gt", value, zero) for value in values]
    if operation in ("and", "or", "not", "real", "where"):
        inputs = [*logical[:1], *(values[1:] if operation == "where" else logical[1:2])]
    else:
        inputs = values
    value = graph.add(operation, *inputs[: ARGUMENTS.get(operation, 2)])
    if OPERATIONS[operation].logical:
        value = graph.add("real", value)
    (expected,) = graph.evaluate(dict(zip(values, (a, b, c), strict=True)), [value])

    instructions = []
    numbering = {v: i for i, v in enumerate([*values, zero])}
    for node in sorted(graph.reachable([value]) - set(numbering)):
        arguments = [numbering[x] for x in graph.nodes[node].arguments]
        instructions.append(Instruction(CODES[graph.nodes[node].operation], *arguments))
        numbering[node] = 3 + len(instructions)
    arrays = tuple(each.to(DEVICE) for each in (a, b, c, torch.empty_like(a)))
    run_program[(1, 1)](
        arrays, 2, 0, 0, 0,
        tuple(Load(i, 0, size, 0, True) for i in range(3)), (0.0,), tuple(instructions),
        (Store(3, 0, size, 0, True, numbering[value], False),), size, 2, 16,
    )  # fmt: skip
    exact = {"rtol": 2e-6, "atol": 1e-38} if dtype == torch.float32 else {"rtol": 1e-13, "atol": 0}
    torch.testing.assert_close(
        arrays[3].cpu(), expected.to(dtype).expand(2, size), equal_nan=True, **exact
    )


@needs_gpu
@pytest.mark.parametrize("kind", [LSTMCell, GRUCell])
def test_cudnn_computes_the_same(kind: type[GatedCell]) -> None:
    torch.manual_seed(0)
    cell = kind(64, 256).to(DEVICE)
    x = torch.randn(16, 50, 64, device=DEVICE, requires_grad=True)
    lengths = torch.randint(1, 51, (16,), device=DEVICE)
    wanted = [x, *cell.parameters()]
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        found, expected = (
            unroll(cell, x, lengths, engine=engine) for engine in ("triton", "native")
        )
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        for one, other in zip(gradients(*found, wanted), gradients(*expected, wanted), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


@needs_gpu
def test_no_length_or_batch_compiles_again() -> None:
    from seqnlp.nn.engines.triton.kernels.pointwise import run_program

    cell = PeepholeLSTMCell(8, 32).to(DEVICE)

    def run(batch: int, time: int) -> int:
        x = torch.randn(batch, time, 8, device=DEVICE, requires_grad=True)
        unroll(cell, x, engine="triton")[0].sum().backward()
        return sum(len(caches[0]) for caches in run_program.device_caches.values())

    compiled = run(4, 3)
    assert [run(1, 1), run(16, 16), run(33, 2)] == [compiled] * 3
