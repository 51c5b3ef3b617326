"""Int8 weights: exact products, bounded errors, every cell, and a network that is left alone."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seqnlp import registry
from seqnlp.errors import InputError
from seqnlp.nn import (
    GatedCell,
    Gates,
    LSTMCell,
    Padding,
    QuantizedCell,
    RecurrentEncoder,
    State,
    quantize,
    unroll,
)
from seqnlp.nn.cells.quantized import QuantizedWeight, quantize_rows
from seqnlp.nn.engines import build, inference_program, plans
from seqnlp.nn.engines import inference as engine
from seqnlp.nn.engines.emit import sources

B, T, D, H = 5, 7, 9, 20
RAGGED = torch.tensor([7, 2, 0, 7, 4])


class Sums(GatedCell):
    """Hands its products out: two that are added to the input's, and one that is not."""

    gates, states, recurrent_bias = 3, 3, True

    def update(self, x_gates: Gates, h_gates: Gates, state: State) -> State:
        return x_gates[0] + h_gates[0], x_gates[1] + h_gates[1], x_gates[2] - h_gates[2]


def whole(rows: int, columns: int, seed: int) -> Tensor:
    """Whole numbers whose scales are 1: from -127 to 127, which one of each row reaches."""
    generator = torch.Generator().manual_seed(seed)
    made = torch.randint(-127, 128, (rows, columns), generator=generator)
    made[:, seed % columns] = 127 if seed % 2 else -127
    return made


GATED = ["cifg", "gru", "irnn", "layer_norm_gru", "layer_norm_lstm", "lstm", "mgu", "peephole",
         "rnn", "slstm"]  # fmt: skip


@pytest.fixture
def fresh_programs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Kernels are looked up anew, now and afterwards."""
    monkeypatch.setattr(plans, "_KNOWN", {})
    build.forget()
    yield
    monkeypatch.undo()
    build.forget()


@given(
    rows=st.integers(1, 4),
    columns=st.integers(1, 40),
    size=st.sampled_from([1e-20, 1e-3, 1.0, 1e20]),
    seed=st.integers(0, 9),
)
def test_a_number_is_at_most_half_a_scale_from_its_code(
    rows: int, columns: int, size: float, seed: int
) -> None:
    x = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * size
    codes, scales = quantize_rows(x)
    assert codes.abs().amax(1).tolist() == [127] * rows
    error = (codes * scales.unsqueeze(1) - x).abs()
    assert bool((error <= 0.5001 * scales.unsqueeze(1)).all())


def test_rows_of_zeros_and_rows_that_are_not_finite() -> None:
    x = torch.tensor([[0.0, 0.0], [1.0, torch.nan], [torch.inf, 1.0], [1e-42, 0.0]])
    codes, scales = quantize_rows(x)
    assert codes[0].tolist() == codes[3].tolist() == [0, 0]
    assert scales.isnan().tolist() == [False, True, True, False]


@given(
    gates=st.integers(1, 4), rows=st.integers(1, 40), columns=st.integers(1, 40),
    seed=st.integers(0, 9),
)  # fmt: skip
def test_a_packed_weight_unpacks_to_its_codes(
    gates: int, rows: int, columns: int, seed: int
) -> None:
    weight = whole(gates * rows, columns, seed)
    packed = QuantizedWeight(weight.float(), gates)
    codes, scales = packed.unpack()
    assert torch.equal(codes.long(), weight)
    assert torch.equal(scales, torch.ones(gates * rows))
    assert torch.equal(packed.sums[:, :rows].flatten().long(), weight.sum(1))


def products(batch: int, inputs: int, hidden: int, seed: int) -> None:
    """Hold the products of `Sums`, by whatever engine, to those of whole numbers."""
    cell = Sums(inputs, hidden)
    x, h = whole(batch, inputs, seed), whole(batch, hidden, seed + 1)
    weight_x, weight_h = whole(3 * hidden, inputs, seed + 2), whole(3 * hidden, hidden, seed + 3)
    with torch.no_grad():
        cell.weight_x.copy_(weight_x)
        cell.weight_h.copy_(weight_h)
        cell.bias.copy_(torch.arange(3 * hidden))
        assert cell.bias_h is not None
        cell.bias_h.copy_(-2 * torch.arange(3 * hidden))
        state = (h.float(), torch.zeros(batch, hidden), torch.zeros(batch, hidden))
        _, found = unroll(quantize(cell), x.float().unsqueeze(1), state=state)
    from_x = (x @ weight_x.t() + torch.arange(3 * hidden)).chunk(3, 1)
    from_h = (h @ weight_h.t() - 2 * torch.arange(3 * hidden)).chunk(3, 1)
    expected = (from_x[0] + from_h[0], from_x[1] + from_h[1], from_x[2] - from_h[2])
    for own, sums in zip(found, expected, strict=True):
        assert torch.equal(own.long(), sums)


SIZES = {
    "batch": st.integers(1, 70), "inputs": st.integers(1, 70), "hidden": st.integers(1, 50),
    "seed": st.integers(0, 9),
}  # fmt: skip


@settings(max_examples=30)
@given(**SIZES)
def test_products_are_exact(batch: int, inputs: int, hidden: int, seed: int) -> None:
    products(batch, inputs, hidden, seed)


def test_products_of_many_columns_are_exact_without_a_compiler_too(
    fresh_programs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    products(3, 1500, 17, 4)
    monkeypatch.setenv("SEQNLP_COMPILER", "none")
    monkeypatch.setattr(plans, "_KNOWN", {})
    build.forget()
    products(3, 1500, 17, 4)
    products(30, 7, 33, 5)


@pytest.mark.slow
@pytest.mark.parametrize("missing", [
    ["AVX512VNNI"], ["AVX512VNNI", "AVXVNNI"], ["AVX512VNNI", "AVXVNNI", "AVX512F", "AVX2"],
], ids=["no avx512", "avx2", "neither"])  # fmt: skip
def test_products_are_exact_on_lesser_processors(
    missing: list[str], fresh_programs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacks = "".join(f"#undef __{name}__\n" for name in missing)
    monkeypatch.setattr(inference_program, "sources", lambda *args: lacks + sources(*args))
    for seed, (batch, inputs, hidden) in enumerate([(1, 64, 64), (13, 70, 33), (70, 5, 16)]):
        products(batch, inputs, hidden, seed)


def test_a_step_errs_no_more_than_its_scales_say() -> None:
    torch.manual_seed(0)
    cell = Sums(D, H)
    x, state = torch.randn(B, 1, D), tuple(torch.randn(3, B, H))
    with torch.no_grad():
        exact, near = (unroll(each, x, state=state)[1] for each in (cell, quantize(cell)))
        bound = torch.zeros(B, 3 * H)
        for weight, rows in ((cell.weight_x, x[:, 0]), (cell.weight_h, state[0])):
            ours, theirs = (quantize_rows(each)[1] / 2 for each in (rows, weight))
            bound += ours[:, None] * weight.abs().sum(1) + rows.abs().sum(1)[:, None] * theirs
            bound += ours[:, None] * theirs * rows.shape[1]
    for a, b, most in zip(exact, near, bound.chunk(3, 1), strict=True):
        error = (a - b).abs()
        assert bool((error <= 1.001 * most).all())
        assert error.max() > 0.01 * most.max()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", GATED)
def test_the_kernel_computes_what_the_loop_over_steps_does(
    name: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(1)
    monkeypatch.setitem(engine.PRODUCTS_A_THREAD, "int8", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    cell = quantize(registry.cells.get(name)(D, H))
    x = torch.randn(B, T, D)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.add_(0.1 * torch.rand_like(parameter))
        start = unroll(cell, torch.randn(B, 2, D), engine="reference")[1]
        for reverse in (False, True):
            loop, kernel = (
                unroll(cell, x, RAGGED, start, reverse=reverse, engine=each)
                for each in ("reference", "fused")
            )
            for a, b in zip((loop[0], *loop[1]), (kernel[0], *kernel[1]), strict=True):
                # A last digit may tip a code over; the products of all others are equal.
                torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-2)
                assert float((a - b).abs().median()) < 1e-6
            assert bool((kernel[0][~Padding(lengths=RAGGED, time=T).mask] == 0).all())


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_is_seen_in_every_column(bad: float) -> None:
    cell = quantize(LSTMCell(37, 5))
    for column in range(37):
        x = torch.randn(1, 2, 37)
        x[0, 0, column] = bad
        with torch.no_grad():
            assert bool(unroll(cell, x, engine="fused")[0].isnan().all())


def test_rows_that_are_not_finite_stay_so_and_leave_others_alone() -> None:
    torch.manual_seed(0)
    cell = quantize(LSTMCell(D, H))
    x = torch.randn(B, T, D)
    bad = x.clone()
    bad[1, 3, 0], bad[4, 0, 2] = torch.nan, torch.inf
    with torch.no_grad():
        for name in ("fused", "reference"):
            clean, found = (unroll(cell, each, engine=name)[0] for each in (x, bad))
            assert bool(found[1, 3:].isnan().all())
            assert bool(found[4].isnan().all())
            assert torch.equal(found[1, :3], clean[1, :3])
            assert torch.equal(found[[0, 2, 3]], clean[[0, 2, 3]])


def encoder(**options: object) -> RecurrentEncoder:
    torch.manual_seed(0)
    return RecurrentEncoder(D, **{"hidden_size": H, "layers": 2, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cell", "runs"), [("lstm", "native"), ("gru", "reference"), ("peephole", "auto")]
)
def test_an_encoder_changes_little_and_the_original_not_at_all(cell: str, runs: str) -> None:
    float_one = encoder(cell=cell, residual=True, layer_norm=True, engine=runs)
    before = copy.deepcopy(float_one.state_dict())
    quantized = quantize(float_one)
    x = torch.randn(B, T, D)
    with torch.no_grad():
        near, again = (each(x, RAGGED) for each in (quantized, copy.deepcopy(quantized)))
        exact = float_one.eval()(x, RAGGED)
    assert torch.equal(near.states, again.states)
    assert bool((near.states[~near.mask] == 0).all())
    error = (near.states - exact.states).norm() / exact.states.norm()
    assert 1e-4 < float(error) < 0.05
    assert not any(isinstance(part, QuantizedCell) for part in float_one.modules())
    for name, tensor in float_one.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert all(parameter.requires_grad for parameter in float_one.parameters())
    assert not any(parameter.requires_grad for parameter in quantized.parameters())


def test_chunks_and_steps_equal_the_whole() -> None:
    made = quantize(encoder(bidirectional=False))
    x = torch.randn(B, T, D)
    with torch.no_grad():
        whole_run = made(x, torch.full((B,), T))
        state = made.initial_state(B)
        first, state = made.advance(x[:, :3], None, state)
        rest = [first.states]
        for t in range(3, T):
            output, state = made.step(x[:, t], state)
            rest.append(output.unsqueeze(1))
    torch.testing.assert_close(torch.cat(rest, 1), whole_run.states)
    torch.testing.assert_close(state.summary, whole_run.summary)


def test_int8_weights_are_not_trained() -> None:
    made = quantize(encoder())
    with pytest.raises(InputError, match=r"^int8 weights cannot be trained: train the float model"):
        made.train()
    x = torch.randn(B, T, D, requires_grad=True)
    for name in ("fused", "reference"):
        with pytest.raises(InputError, match=r"^int8 weights give no gradients: .*no_grad"):
            unroll(quantize(LSTMCell(D, H)), x, engine=name)


@pytest.mark.parametrize(("make", "kind", "message"), [
    (lambda: encoder(), "int4", r"weights cannot be quantized as 'int4'; .*known: int8"),
    (lambda: nn.Linear(2, 2), "int8", "nothing here can be int8: there is no recurrent layer"),
    (lambda: encoder(cell="min_gru"), "int8",
     "nothing here can be int8: MinGRUCell is not a GatedCell"),
    (lambda: LSTMCell(2, 2).double(), "int8",
     "this cell cannot be int8: LSTMCell is float64, not float32"),
    (lambda: registry.cells.get("batch_norm_lstm")(2, 2), "int8",
     "this cell cannot be int8: BatchNormLSTMCell is not a GatedCell"),
    (lambda: encoder(zoneout_output=0.1), "int8",
     "nothing here can be int8: LSTMCell zones out"),
])  # fmt: skip
def test_what_cannot_be_quantized_is_one_clear_line(
    make: Callable[[], nn.Module], kind: str, message: str
) -> None:
    with pytest.raises(InputError, match=f"^{message}$"):
        quantize(make(), kind)


def test_quantizing_leaves_every_part_in_its_mode() -> None:
    cell = LSTMCell(D, H)
    cell.add_module("frozen", nn.Dropout().eval())
    quantize(cell)
    assert [part.training for part in cell.modules()] == [True, False]


def test_cells_that_stay_float_are_named_once(caplog: pytest.LogCaptureFixture) -> None:
    pair = nn.ModuleList([encoder(cell="min_gru"), encoder()])
    with caplog.at_level(logging.WARNING):
        made = quantize(pair)
    assert caplog.messages == ["not all cells became int8: MinGRUCell is not a GatedCell"]
    assert sum(isinstance(part, QuantizedCell) for part in made.modules()) == 4
