"""Reading on: steps and chunks against the run of a whole text, for every registered cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqnlp import registry
from seqnlp.errors import InputError
from seqnlp.nn import Encoder, EncoderState, RecurrentEncoder, dropout_sites, engines
from seqnlp.types import Encoded, lengths_to_mask
from tests.nn.test_engines import OddCell

B, T, D, H = 4, 6, 3, 5
RAGGED = [4, 0, 6, 1]
CELLS = [*sorted(registry.cells.names()), "odd"]
STACK: dict[str, Any] = {"layers": 2, "residual": True, "layer_norm": True}
EXACT = {"rtol": 1e-12, "atol": 1e-12}


@pytest.fixture(autouse=True)
def _odd_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state of mixed ranks and dtypes is a cell like any other."""
    monkeypatch.setattr(registry.cells, "_local", dict(registry.cells._local))
    registry.cells.register("odd")(OddCell)


def make(cell: str, **options: Any) -> RecurrentEncoder:
    torch.manual_seed(0)
    given = {"hidden_size": H, "bidirectional": False, **options}
    return RecurrentEncoder(D, cell=cell, **given).double().eval()


def in_chunks(
    encoder: Encoder, x: Tensor, lengths: Sequence[int], cuts: Sequence[int]
) -> tuple[Tensor, EncoderState]:
    """The states of all chunks side by side, and the state after the last."""
    state = encoder.initial_state(len(x))
    states = [x.new_zeros(len(x), 0, encoder.output_size)]
    for begin, end in pairwise([0, *cuts, x.shape[1]]):
        own = [min(max(length - begin, 0), end - begin) for length in lengths]
        encoded, state = encoder.advance(x[:, begin:end], torch.tensor(own), state)
        assert torch.equal(encoded.mask, lengths_to_mask(torch.tensor(own), end - begin))
        assert torch.equal(encoded.summary, state.summary)
        states.append(encoded.states)
    return torch.cat(states, dim=1), state


def in_steps(encoder: Encoder, x: Tensor) -> tuple[Tensor, EncoderState]:
    state = encoder.initial_state(len(x))
    outputs = []
    for x_t in x.unbind(1):
        output, state = encoder.step(x_t, state)
        outputs.append(output)
    return torch.stack(outputs, dim=1), state


def gradients(states: Tensor, state: EncoderState, wanted: list[Tensor]) -> list[Tensor]:
    """Of a sum that weighs every output and every leaf of the final state differently."""
    generator = torch.Generator().manual_seed(9)
    total = states.new_zeros(())
    for tensor in (states, state.summary, *(leaf for leaves in state.layers for leaf in leaves)):
        if tensor.is_floating_point() and tensor.requires_grad:
            weights = torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
            total = total + (tensor * weights).sum()
    return list(torch.autograd.grad(total, wanted, materialize_grads=True))


def leaves(state: EncoderState) -> Iterator[Tensor]:
    yield state.summary
    for layer in state.layers:
        yield from layer


def assert_same(first: tuple[Tensor, EncoderState], second: tuple[Tensor, EncoderState]) -> None:
    torch.testing.assert_close(first[0], second[0], **EXACT)
    for one, other in zip(leaves(first[1]), leaves(second[1]), strict=True):
        torch.testing.assert_close(one, other, **EXACT)


def engines_of(cell: str) -> list[str]:
    """The engines that run a cell, and the choice among them."""
    made = make(cell).layers[0].forward_cell
    x = torch.zeros(B, T, D, dtype=torch.float64)
    known = sorted(registry.engines.names())
    return ["auto", *(name for name in known if engines.find(name).supports(made, x))]


@pytest.mark.parametrize("options", [{}, STACK], ids=["one", "stack"])
@pytest.mark.parametrize("cell", CELLS)
def test_steps_and_chunks_equal_the_whole_run(cell: str, options: dict[str, Any]) -> None:
    torch.manual_seed(1)
    x = torch.randn(B, T, D, dtype=torch.float64, requires_grad=True)
    for engine in engines_of(cell):
        encoder = make(cell, engine=engine, **options)
        wanted = [x, *encoder.parameters()]
        for lengths in ([T] * B, RAGGED):
            encoded = encoder(x, torch.tensor(lengths))
            whole = in_chunks(encoder, x, lengths, [])
            torch.testing.assert_close(whole[0], encoded.states, **EXACT)
            torch.testing.assert_close(whole[1].summary, encoded.summary, **EXACT)
            expected = gradients(*whole, wanted)
            runs = [in_chunks(encoder, x, lengths, [1, 4]), in_chunks(encoder, x, lengths, [2, 3])]
            if lengths != RAGGED:
                runs.append(in_steps(encoder, x))
            for run in runs:
                assert_same(run, whole)
                for gradient, other in zip(gradients(*run, wanted), expected, strict=True):
                    torch.testing.assert_close(gradient, other, **EXACT)


@pytest.mark.parametrize("cell", CELLS)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_rows_may_end_and_chunks_be_cut_anywhere(cell: str, data: st.DataObject) -> None:
    time = data.draw(st.integers(0, 7))
    lengths = data.draw(st.lists(st.integers(0, time), min_size=1, max_size=4))
    cuts = sorted(data.draw(st.lists(st.integers(0, time), max_size=4)))
    encoder = make(cell, **STACK)
    x = torch.randn(len(lengths), time, D, dtype=torch.float64)
    mask = lengths_to_mask(torch.tensor(lengths), time)
    with torch.no_grad():
        whole = encoder(x, torch.tensor(lengths))
        # What stands on padding is seen by no chunk.
        states, state = in_chunks(encoder, x.masked_fill(~mask.unsqueeze(2), 1e6), lengths, cuts)
        again = in_chunks(encoder, x, lengths, [])
    torch.testing.assert_close(states, whole.states, **EXACT)
    torch.testing.assert_close(state.summary, whole.summary, **EXACT)
    assert_same((states, state), again)


def test_the_summary_is_the_last_output_so_far() -> None:
    encoder = make("gru", layer_norm=True)
    x = torch.randn(3, 4, D, dtype=torch.float64)
    state = encoder.initial_state(3)
    assert torch.equal(state.summary, torch.zeros(3, H, dtype=torch.float64))
    first, state = encoder.advance(x, torch.tensor([0, 2, 4]), state)
    assert torch.equal(
        first.summary,
        torch.stack([torch.zeros(H).double(), first.states[1, 1], first.states[2, 3]]),
    )
    second, after = encoder.advance(x, torch.tensor([0, 0, 1]), state)
    assert torch.equal(second.summary[:2], first.summary[:2])
    assert torch.equal(second.summary[2], second.states[2, 0])
    none, same = encoder.advance(x[:, :0], None, after)
    assert same is after
    assert none.states.shape == (3, 0, H)
    assert torch.equal(none.summary, second.summary)


def test_a_detached_state_ends_the_gradient() -> None:
    encoder = make("lstm", layers=2)
    x = torch.randn(B, T, D, dtype=torch.float64, requires_grad=True)
    for cut in (False, True):
        _, state = encoder.advance(x[:, :3], None, encoder.initial_state(B))
        later = state.detach() if cut else state
        assert all(map(torch.equal, leaves(later), leaves(state)))
        encoded, _ = encoder.advance(x[:, 3:], None, later)
        (gradient,) = torch.autograd.grad(encoded.states.sum(), x)
        assert bool(gradient[:, 3:].any())
        assert bool(gradient[:, :3].any()) is not cut


def test_dropout_stands_between_layers_as_in_the_whole_run() -> None:
    x = torch.randn(B, T, D, dtype=torch.float64)
    for layers, changes in ((1, False), (2, True)):
        encoder = make("lstm", layers=layers)
        before = in_steps(encoder, x)[0]
        (site,) = dropout_sites(encoder)["layer"]
        site.rate = 0.5
        torch.testing.assert_close(in_steps(encoder, x)[0], before, **EXACT)
        encoder.train()
        for states in (in_steps(encoder, x)[0], in_chunks(encoder, x, [T] * B, [3])[0]):
            assert torch.allclose(states, before) is not changes


class RunningSum(Encoder):
    """The least that a streaming encoder of a plugin has to be."""

    def forward(self, x: Tensor, lengths: Tensor) -> Encoded:
        return self.advance(x, lengths, self.initial_state(len(x)))[0]

    def initial_state(self, batch_size: int) -> EncoderState:
        return EncoderState(layers=(), summary=torch.zeros(batch_size, self.output_size))

    def advance(
        self, x: Tensor, lengths: Tensor | None, state: EncoderState
    ) -> tuple[Encoded, EncoderState]:
        assert lengths is None
        states = state.summary.unsqueeze(1) + x.cumsum(1)
        mask = torch.ones(x.shape[:2], dtype=torch.bool)
        encoded = Encoded(states=states, mask=mask, summary=states[:, -1])
        return encoded, EncoderState(layers=(), summary=states[:, -1])


def test_an_encoder_that_reads_chunks_takes_steps() -> None:
    x = torch.tensor([[[1.0], [2.0], [4.0]]])
    outputs, state = in_steps(RunningSum(1, 1), x)
    assert outputs.flatten().tolist() == [1.0, 3.0, 7.0]
    assert state.summary.item() == 7.0


class Whole(Encoder):
    def forward(self, x: Tensor, lengths: Tensor) -> Encoded:
        raise NotImplementedError


def test_what_cannot_stream_says_so() -> None:
    other = Whole(D, H)
    state = EncoderState(layers=(), summary=torch.zeros(1, H))
    message = r"^the encoder Whole cannot stream: it reads whole texts only$"
    with pytest.raises(InputError, match=message):
        other.initial_state(1)
    with pytest.raises(InputError, match=message):
        other.step(torch.zeros(1, D), state)
    with pytest.raises(
        InputError,
        match=r"^a bidirectional encoder cannot stream, since it reads every text from its end "
        r"too; one that can is trained with --set model.bidirectional=false$",
    ):
        RecurrentEncoder(D, hidden_size=H).initial_state(1)


def test_wrong_input_is_named() -> None:
    encoder = make("lstm")
    state = encoder.initial_state(2)
    x = torch.zeros(2, 4, D, dtype=torch.float64)
    with pytest.raises(InputError, match=r"^x must be float \[B, 3\], not \[2, 4, 3\]$"):
        encoder.step(x, state)
    with pytest.raises(InputError, match=r"^x must be float \[B, T, 3\], not \[2, 3\]$"):
        encoder.advance(x[:, 0], None, state)
    with pytest.raises(InputError, match=r"^row 1 has length 5, but x has 4 steps$"):
        encoder.advance(x, torch.tensor([4, 5]), state)
    for call in (
        lambda: encoder.step(x[:1, 0], state),
        lambda: encoder.advance(x[:1], None, state),
    ):
        with pytest.raises(InputError, match=r"^the state is of a batch of 2, but x is of 1$"):
            call()
