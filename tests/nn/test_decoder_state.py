"""What every decoder's state can do, whatever it holds; and what an abstract decoder refuses."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from seqnlp import registry
from seqnlp.errors import InputError
from seqnlp.nn import Decoder, DecoderState, RecurrentDecoder
from seqnlp.types import Encoded, Memory
from tests.toy_decoder import ToyDecoder, ToyState


@dataclass(frozen=True, kw_only=True)
class ListState(DecoderState):
    cache: list[Tensor]


def state() -> ToyState:
    total = torch.arange(6.0).view(3, 2)
    return ToyState(total=total, sides=(total[:, :1] + 10, None), steps=4)


def test_rows_are_chosen_in_all_that_is_a_tensor() -> None:
    found = state().select(torch.tensor([2, 0, 0, 1]))
    assert found.total.tolist() == [[4, 5], [0, 1], [0, 1], [2, 3]]
    assert found.sides[0].flatten().tolist() == [14, 10, 10, 12]
    assert found.sides[1] is None
    assert found.steps == 4
    assert state().first(2).total.tolist() == [[0, 1], [2, 3]]
    whole = state()
    assert whole.first(2).total.data_ptr() == whole.total.data_ptr()


def test_a_state_knows_how_many_rows_it_is_of() -> None:
    state().check(3)
    with pytest.raises(InputError, match="^x has 4 rows, but the state is of 3$"):
        state().check(4)
    uneven = ToyState(total=torch.zeros(3, 2), sides=(torch.zeros(2, 1), None))
    with pytest.raises(InputError, match="^x has 3 rows, but the state is of 2$"):
        uneven.check(3)
    DecoderState().check(7)  # nothing to remember suits any number


def test_what_no_row_can_be_chosen_of_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        ListState(cache=[torch.zeros(3)]).select(torch.tensor([0]))
    assert str(caught.value) == (
        "ListState.cache holds a list, of which no row can be chosen: a state is made of tensors "
        "[N, ...], tuples of them, numbers and None"
    )


def test_the_recurrent_decoder_is_registered_as_the_first() -> None:
    assert registry.decoders.get("recurrent") is RecurrentDecoder
    assert issubclass(RecurrentDecoder, Decoder)
    assert RecurrentDecoder(2, 3, 3, output_size=4, input_feeding=True).sequential
    assert not RecurrentDecoder(2, 3, 3, output_size=4).sequential


def test_sizes_and_shapes_are_refused_by_all() -> None:
    with pytest.raises(InputError, match="^memory_size must be at least 1, not 0$"):
        ToyDecoder(2, 0, 3, output_size=4)
    decoder = ToyDecoder(2, 3, 3, output_size=4)
    states, mask = torch.zeros(2, 5, 3), torch.ones(2, 5, dtype=torch.bool)
    encoded = Encoded(states=states, mask=mask, summary=states[:, 0])
    memory, begin = decoder.prepare(encoded), decoder.initial_state(encoded)
    more = Memory(keys=states[:1], values=states[:1], mask=mask[:1])
    for call, message in (
        (lambda: decoder(torch.zeros(2, 3), None, memory, begin), "x must be float [B, T, 2], not [2, 3]"),
        (lambda: decoder(torch.zeros(2, 1, 2), None, more, begin), "x has 2 rows, but the memory has 1"),
        (lambda: decoder.step(torch.zeros(2, 3), memory, begin), "x must be float [N, 2], not [2, 3]"),
        (lambda: decoder.step(torch.zeros(3, 2), memory, begin), "x has 3 rows, but the state is of 2"),
        (
            lambda: decoder.step(torch.zeros(3, 2), memory, begin.select(torch.tensor([0, 0, 1]))),
            "x has 3 rows, which are no multiple of the memory's 2: every row of the memory has the "
            "same number of hypotheses",
        ),
    ):  # fmt: skip
        with pytest.raises(InputError) as caught:
            call()
        assert str(caught.value) == message
