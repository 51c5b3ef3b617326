"""The compiled loop of a decoder with input feeding against the loop in Python."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqnlp.nn import RecurrentDecoder, RecurrentDecoderState, dropout_sites, feeding
from seqnlp.nn.attention import AdditiveAttention
from seqnlp.nn.engines import VARIABLE, build, call
from seqnlp.nn.layer import set_engine
from seqnlp.types import Encoded, Memory
from tests.nn.gated import GATED, assert_equal, weigh

pytestmark = pytest.mark.skipif(build.toolchain() is None, reason="no kernel can be compiled")

EXACT, SINGLE = 1e-12, 5e-6
E, C, H = 7, 5, 10
LENGTHS = [3, 6, 0, 4, 6]
SOURCES = [8, 2, 5, 0, 7]
FORMS: dict[str, dict[str, Any]] = {
    "additive": {"attention": "additive", "attention_options": {"size": 11}},
    "concat": {"attention": "concat", "attention_options": {"size": 19}},
    "dot": {"attention": "dot"},
    "scaled dot": {"attention": "dot", "attention_options": {"scaled": True}},
    "general": {"attention": "general"},
}
SOME = ["gru", "lstm", "peephole", "layer_norm_lstm"]


@pytest.fixture(autouse=True)
def fused(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each call with input feeding, whether the compiled loop ran it."""
    calls = []
    run = feeding._run_fused

    def spy(*args: Any) -> Any:
        found = run(*args)
        calls.append(found is not None)
        return found

    monkeypatch.setattr(feeding, "_run_fused", spy)
    return calls


def make(
    dtype: torch.dtype = torch.float64, rates: Mapping[str, float] = {}, **options: Any
) -> RecurrentDecoder:
    torch.manual_seed(0)
    options = {"output_size": 9, "hidden_size": H, "cell": "gru", **options}
    if options.get("attention", "additive") == "additive":
        options = FORMS["additive"] | options
    memory_size = H if options.get("attention") == "dot" else 14
    decoder = RecurrentDecoder(E, memory_size, C, input_feeding=True, **options)
    for name, rate in rates.items():
        for site in dropout_sites(decoder)[name]:
            site.rate = rate
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(0.2 * torch.rand_like(parameter))
    return decoder.to(dtype)


def make_leaves(
    decoder: RecurrentDecoder, rows: int = 5, time: int = 6, positions: int = 8
) -> list[Tensor]:
    """x, the memory's states and the summary."""
    generator = torch.Generator().manual_seed(2)
    shapes = (rows, time, E), (rows, positions, decoder.memory_size), (rows, C)
    drawn = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    dtype = next(decoder.parameters()).dtype
    return [leaf.to(dtype).requires_grad_() for leaf in drawn]


def encode(leaves: list[Tensor], sources: list[int]) -> Encoded:
    _, states, summary = leaves
    mask = torch.arange(states.shape[1]) < torch.tensor(sources)[:, None]
    return Encoded(states=states * mask.unsqueeze(2), mask=mask, summary=summary)


def results(
    decoder: RecurrentDecoder,
    leaves: list[Tensor],
    engine: str = "fused",
    lengths: list[int] | None = LENGTHS,
    sources: list[int] = SOURCES,
) -> list[Tensor]:
    """Outputs and weights, and the gradients of leaves and parameters; dropout is the same."""
    set_engine(decoder, engine)
    torch.manual_seed(3)
    encoded = encode(leaves, sources)
    ends = None if lengths is None else torch.tensor(lengths)
    decoded = decoder(
        leaves[0], ends, decoder.prepare(encoded), decoder.initial_state(encoded),
        want_weights=True,
    )  # fmt: skip
    values = [decoded.outputs, decoded.weights]
    wanted = [*leaves, *decoder.parameters()]
    found = torch.autograd.grad(weigh(values), wanted, allow_unused=True, materialize_grads=True)
    return [*(value.detach() for value in values), *found]


def check(
    decoder: RecurrentDecoder, calls: list[bool], tolerance: float = EXACT, leaves: list[Tensor] | None = None,
    **options: Any,
) -> None:  # fmt: skip
    leaves = make_leaves(decoder) if leaves is None else leaves
    found = results(decoder, leaves, **options)
    assert calls == [True]
    expected = results(decoder, leaves, "reference", **options)
    assert calls == [True, False]
    assert_equal(found, expected, tolerance)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "cell", [n if n in SOME else pytest.param(n, marks=pytest.mark.slow) for n in GATED]
)
def test_equals_the_loop_in_python(cell: str, form: str, fused: list[bool]) -> None:
    check(make(cell=cell, **FORMS[form]), fused)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_equals_it_in_float32(cell: str, form: str, fused: list[bool]) -> None:
    decoder = make(torch.float32, {"context": 0.3}, cell=cell, **FORMS[form])
    check(decoder, fused, SINGLE)


@pytest.mark.parametrize("kind", ["locked", "weight", "candidate", "locked_candidate"])
@pytest.mark.parametrize("form", ["additive", "dot"])
def test_dropout_is_that_of_the_loop(form: str, kind: str, fused: list[bool]) -> None:
    decoder = make(rates={"context": 0.3, "output": 0.2}, cell="lstm", **FORMS[form])
    for site in dropout_sites(decoder)["recurrent"]:
        site.rate, site.kind = 0.3, kind
    check(decoder, fused)
    plain = results(decoder.eval(), make_leaves(decoder))
    assert not torch.allclose(plain[0], results(decoder.train(), make_leaves(decoder))[0])


@pytest.mark.parametrize(
    "options",
    [
        {"zoneout_output": 0.3, "zoneout_memory": 0.2, "cell": "lstm"},
        {"deep_output": False},
        {"bridge": "none"},
        {"hidden_size": 1, "output_size": 1},
        {"hidden_size": 33, "output_size": 70},
    ],
)
def test_options(options: dict[str, Any], fused: list[bool]) -> None:
    check(make(**options), fused)


@pytest.mark.parametrize("kind", ["standard", "locked"])
def test_masks_of_any_layout(kind: str, fused: list[bool]) -> None:
    decoder = make(rates={"context": 0.3})
    for site in dropout_sites(decoder)["context"]:
        site.kind = kind
    check(decoder, fused)


@pytest.mark.parametrize(
    ("lengths", "sources"),
    [(None, SOURCES), ([6] * 5, [8] * 5), ([1, 0, 0, 0, 0], SOURCES), ([1, 2, 3, 4, 5], [0] * 5)],
)
def test_any_lengths(lengths: list[int] | None, sources: list[int], fused: list[bool]) -> None:
    for form in ("additive", "dot"):
        fused.clear()
        check(make(**FORMS[form]), fused, lengths=lengths, sources=sources)


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_threads_change_nothing(
    threads: int, fused: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call, "_PRODUCTS_A_THREAD", 1)
    monkeypatch.setattr(call, "_ROWS_A_THREAD", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    for form in ("additive", "general"):
        decoder = make(rates={"context": 0.3}, cell="peephole", **FORMS[form])
        fused.clear()
        check(decoder, fused)
        one, other = (results(decoder, make_leaves(decoder)) for _ in range(2))
        assert all(map(torch.equal, one, other))


def test_sums_of_many_steps_keep_their_digits(fused: list[bool]) -> None:
    single = make(torch.float32)
    leaves = make_leaves(single, rows=70, time=50, positions=9)
    options: dict[str, Any] = {"lengths": None, "sources": [9] * 70}
    found = results(single, leaves, **options)
    assert fused == [True]
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    assert_equal(found, results(single.double(), exact, "reference", **options), SINGLE)


def test_inference_equals_training(fused: list[bool]) -> None:
    decoder = make().eval()
    leaves = make_leaves(decoder)
    expected = results(decoder, leaves)[:2]
    encoded = encode(leaves, SOURCES)
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            decoded = decoder(
                leaves[0], torch.tensor(LENGTHS), decoder.prepare(encoded),
                decoder.initial_state(encoded), want_weights=True,
            )  # fmt: skip
        assert_equal([decoded.outputs, decoded.weights], expected, EXACT)
    assert fused == [True, True, True]


def test_only_wanted_gradients(fused: list[bool]) -> None:
    decoder = make()
    expected = results(decoder, make_leaves(decoder))
    names = [name for name, _ in decoder.named_parameters()]
    for wanted in ("readout.map.bias", "layers.0.forward_cell.weight_h", "attention.vector"):
        for name, parameter in decoder.named_parameters():
            parameter.requires_grad_(name == wanted)
        leaves = [leaf.detach() for leaf in make_leaves(decoder)]
        encoded = encode(leaves, SOURCES)
        torch.manual_seed(3)
        decoded = decoder(
            leaves[0], torch.tensor(LENGTHS), decoder.prepare(encoded),
            decoder.initial_state(encoded), want_weights=True,
        )  # fmt: skip
        parameter = dict(decoder.named_parameters())[wanted]
        (found,) = torch.autograd.grad(weigh([decoded.outputs, decoded.weights]), parameter)
        assert_equal([found], [expected[5 + names.index(wanted)]], EXACT)
    assert all(fused)


def test_a_state_in_the_middle(fused: list[bool]) -> None:
    """What is fed before the first step need not be zero."""
    decoder = make()
    leaves = make_leaves(decoder)
    encoded = encode(leaves, SOURCES)
    found = []
    feed = torch.randn(5, 9, dtype=torch.float64, requires_grad=True)
    for engine in ("fused", "reference"):
        set_engine(decoder, engine)
        first = decoder.initial_state(encoded)
        state = RecurrentDecoderState(layers=first.layers, feed=feed, history=None)
        decoded = decoder(leaves[0], torch.tensor(LENGTHS), decoder.prepare(encoded), state)
        found.append([decoded.outputs, *torch.autograd.grad(weigh([decoded.outputs]), [feed])])
    assert fused == [True, False]
    assert_equal(found[0], found[1], EXACT)


class Halved(AdditiveAttention):
    """An attention that is another one than its ancestor."""

    def score(self, queries: Tensor, memory: Memory, history: Tensor | None) -> Tensor:
        return super().score(queries, memory, history) / 2


class Doubled(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input)


def test_what_is_another_computation_is_left_to_the_loop(fused: list[bool]) -> None:
    halved = make()
    halved.attention.__class__ = Halved
    doubled, projected = make(), make()
    doubled.readout.map.__class__ = Doubled
    assert isinstance(projected.attention, AdditiveAttention)
    projected.attention.query_projection.__class__ = Doubled
    others = [
        halved,
        doubled,
        projected,
        make(layer_norm=True),
        make(attention="multi_head", attention_options={"heads": 2}),
        make(attention_options={"coverage": True}),
        make(attention="location", attention_options={}),
        make(layers=2),
        make(cell="min_gru"),
    ]
    for decoder in others:
        assert_equal(
            results(decoder, make_leaves(decoder)) if decoder is not others[-1] else
            results(decoder, make_leaves(decoder), "auto"),
            results(decoder, make_leaves(decoder), "reference"),
            EXACT,
        )  # fmt: skip
    assert not any(fused)


def test_positions_that_are_hidden_in_the_middle_are_left_to_the_loop(fused: list[bool]) -> None:
    decoder = make()
    leaves = make_leaves(decoder)
    encoded = encode(leaves, [8] * 5)
    encoded.mask[1, 3] = False
    outputs = []
    for engine in ("fused", "reference"):
        set_engine(decoder, engine)
        decoded = decoder(leaves[0], None, decoder.prepare(encoded), decoder.initial_state(encoded))
        outputs.append(decoded.outputs)
    assert fused == [False, False]
    assert_equal(outputs[:1], outputs[1:], EXACT)


def test_the_engine_is_the_users_choice(fused: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = make()
    results(decoder, make_leaves(decoder), "auto")
    results(decoder, make_leaves(decoder), "reference")
    monkeypatch.setenv(VARIABLE, "reference")
    results(decoder, make_leaves(decoder), "auto")
    monkeypatch.setenv(VARIABLE, "fused")
    results(decoder, make_leaves(decoder), "auto")
    assert fused == [True, False, False, True]


def test_without_a_compiler_there_is_the_loop(
    fused: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = make()
    expected = results(decoder, make_leaves(decoder))
    monkeypatch.setattr(build, "load", lambda source: None)
    assert_equal(results(deepcopy(decoder), make_leaves(decoder)), expected, EXACT)
    assert fused == [True, False]


def test_second_derivatives_are_refused() -> None:
    decoder = make()
    leaves = make_leaves(decoder)
    encoded = encode(leaves, SOURCES)
    decoded = decoder(leaves[0], None, decoder.prepare(encoded), decoder.initial_state(encoded))
    with pytest.raises(RuntimeError, match="take the engine 'reference'"):
        torch.autograd.grad(weigh([decoded.outputs]), leaves[:1], create_graph=True)
