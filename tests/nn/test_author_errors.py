"""What the author of a cell is told where the cell is run, with no check asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqnlp import registry
from seqnlp.errors import InputError
from seqnlp.missteps import advise, describe, place, remedy
from seqnlp.nn import Cell, GatedCell, GatedLinearCell, RecurrentEncoder, unroll
from seqnlp.nn.initialization import make_cell

B, T, D, H = 2, 3, 3, 4
BOTH = "return both: return output, (h, c), or return h, (h,) with a comma where there is one"


class Free(Cell):
    """Whatever a test lets it return.

    Source: own.
    """

    start: Any = staticmethod(lambda h: (h,))
    result: Any = staticmethod(lambda h: (h, (h,)))

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.linear = nn.Linear(input_size, hidden_size)

    def initial_state(self, batch_size: int) -> Any:
        return self.start(self.linear.weight.new_zeros(batch_size, self.hidden_size))

    def forward(self, x: Tensor, state: Any) -> Any:
        return self.result(torch.tanh(self.linear(x)))


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda h: h, f"Free.forward returned (Tensor), not an output and a tuple of tensors; {BOTH}"),
        (lambda h: (h,), f"Free.forward returned (Tensor), not an output and a tuple of tensors; {BOTH}"),
        (lambda h: (h, h), f"Free.forward returned (Tensor, Tensor), not an output and a tuple of tensors; {BOTH}"),
        (lambda h: (h, [h]), f"Free.forward returned (Tensor, list), not an output and a tuple of tensors; {BOTH}"),
        (lambda h: None, f"Free.forward returned (NoneType), not an output and a tuple of tensors; {BOTH}"),
        (lambda h: (h[:, :2], (h,)), "Free.forward gave the output [2, 2]; make it [B, 4], hidden_size numbers a row"),
        (lambda h: (h[0], (h,)), "Free.forward gave the output [4]; make it [B, 4], hidden_size numbers a row"),
        (lambda h: (h, (h.mean(1, keepdim=True),)), "Free.forward was given a state of float32 [2, 4] and gave one of float32 [2, 1]; return as many leaves as initial_state, of the same shapes and types"),
        (lambda h: (h, (h.double(),)), "Free.forward was given a state of float32 [2, 4] and gave one of float64 [2, 4]; return as many leaves as initial_state, of the same shapes and types"),
        (lambda h: (h, ()), "Free.forward was given a state of float32 [2, 4] and gave one of no leaf; return as many leaves as initial_state, of the same shapes and types"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("lengths", [None, torch.tensor([3, 1])])
def test_what_a_step_returns_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, result: Any, message: str, lengths: Tensor | None
) -> None:
    monkeypatch.setattr(Free, "result", staticmethod(result))
    with pytest.raises(InputError) as caught:
        unroll(Free(D, H), torch.zeros(B, T, D), lengths, engine="reference")
    assert str(caught.value) == message


def test_leaves_in_another_order_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Free, "start", staticmethod(lambda h: (h, h.new_zeros(len(h), 2))))
    monkeypatch.setattr(Free, "result", staticmethod(lambda h: (h, (h[:, :2], h))))
    with pytest.raises(InputError) as caught:
        unroll(Free(D, H), torch.zeros(B, T, D), engine="reference")
    assert str(caught.value) == (
        "Free.forward was given a state of float32 [2, 4], float32 [2, 2] and gave one of "
        "float32 [2, 2], float32 [2, 4]; return the leaves in the order of initial_state, in "
        "which they are read"
    )


def _unroll() -> object:
    return unroll(Free(D, H), torch.zeros(B, T, D), engine="reference")


def _encode() -> object:
    encoder = RecurrentEncoder(D, cell="free-of-tests", hidden_size=H, engine="reference")
    return encoder(torch.zeros(B, T, D), torch.tensor([3, 1]))


@pytest.mark.parametrize("read", [_unroll, _encode])
def test_an_initial_state_that_is_no_tuple_is_named(
    monkeypatch: pytest.MonkeyPatch, registered: None, read: Callable[[], object]
) -> None:
    monkeypatch.setattr(Free, "start", staticmethod(lambda h: h))
    with pytest.raises(InputError) as caught:
        read()
    assert str(caught.value) == (
        "Free.initial_state returned a Tensor; return a tuple of tensors: return (h,), with a "
        "comma where there is one"
    )


@pytest.fixture
def registered() -> Iterator[None]:
    parts = {"free-of-tests": Free, "no-cell-of-tests": _NoCell, "inputs-of-tests": _OtherNames}
    for name, part in parts.items():
        registry.cells.register(name)(part)
    yield
    for name in parts:
        del registry.cells._local[name]


class _NoCell(nn.Module):
    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()


class _OtherNames(Free):
    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__(inputs, hidden)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no-cell-of-tests", "the cell 'no-cell-of-tests' is a _NoCell, which is no Cell; derive it from seqnlp.GatedCell, seqnlp.LinearCell or seqnlp.Cell"),
        ("inputs-of-tests", "model.cell_options: _OtherNames does not take 'input_size', which it is called with; begin its signature with (input_size, hidden_size, *, ...)"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_cell_is_refused(registered: None, name: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        make_cell(name, {}, D, H)
    assert str(caught.value) == message


class _NoImport(GatedCell):
    gates = 1

    def update(self, x_gates: Any, h_gates: Any, state: Any) -> Any:
        return (relu(x_gates[0] + h_gates[0]),)  # type: ignore[name-defined]  # noqa: F821


def test_a_missing_import_is_named_with_its_line() -> None:
    line = _NoImport.update.__code__.co_firstlineno + 1
    with pytest.raises(InputError) as caught:
        unroll(_NoImport(D, H), torch.zeros(B, T, D))
    found = str(caught.value)
    assert found.startswith(
        "_NoImport.update fails on gates and state [3, 4]: raised NameError: name 'relu' is not "
        "defined at "
    )
    assert found.endswith(f"test_author_errors.py:{line}; import or define relu in this file")


def _raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


def test_an_error_in_a_part_is_told_with_place_and_remedy() -> None:
    error = _raised(NameError("name 'tanh' is not defined"))
    where = place(error)
    assert where.endswith(f"test_author_errors.py:{_raised.__code__.co_firstlineno + 2}")
    assert advise(error) == (
        f"NameError: name 'tanh' is not defined at {where}; import or define tanh in this file"
    )
    assert describe(_raised(ValueError("odd"))) == (
        f"raised ValueError: odd at {where}",
        "look at the line named: there it went wrong",
    )
    assert describe(_raised(InputError("no; look there"))) == (f"no at {where}", "look there")


def test_an_error_elsewhere_is_told_as_it_is() -> None:
    def of_this_toolkit() -> Exception:
        try:
            unroll(Free(D, H), torch.zeros(B, D))
        except InputError as error:
            error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
            return error
        raise AssertionError

    assert place(of_this_toolkit()) == ""
    assert advise(KeyError("x")) == "KeyError: 'x'"
    assert advise(NameError("name 'a' is not defined")) == "NameError: name 'a' is not defined"
    # Torch raises this in backward, where no line of the plugin is at work.
    found = RuntimeError("one of the variables has been modified by an inplace operation. Hint: x")
    assert advise(found).endswith(
        "modified by an inplace operation.; change no tensor in place: write h = f * h, not h *= f, "
        "h.mul_(f) or h[:] = ..."
    )
    # Python raises this before a line of the plugin is at work.
    with pytest.raises(TypeError) as caught:
        GatedCell(2, 2)  # type: ignore[abstract]
    assert advise(caught.value.with_traceback(None)) == (
        "TypeError: Can't instantiate abstract class GatedCell with abstract method update; write "
        "what is missing: update"
    )
    assert remedy(ValueError("whatever")) is None


@pytest.mark.parametrize("base", [GatedCell, Cell])
def test_a_constructor_that_calls_no_other_is_named(
    monkeypatch: pytest.MonkeyPatch, base: type[Cell]
) -> None:
    class Unmade(base):  # type: ignore[misc, valid-type]
        gates = 1

        def __init__(self, input_size: int, hidden_size: int, *, beta: float = 1.0) -> None:
            self.beta = beta

        update = forward = initial_state = lambda *_: None

    monkeypatch.setitem(registry.cells._local, "tried", Unmade)
    with pytest.raises(InputError) as caught:
        make_cell("tried", {}, 2, 2)
    assert str(caught.value) == (
        "Unmade.__init__ has made no module of it; call "
        "super().__init__(input_size, hidden_size) first"
    )
    with pytest.raises(AttributeError) as raised:
        list(Unmade(2, 2).parameters())
    assert remedy(raised.value) == (
        "call super().__init__ first in __init__, with the arguments that it takes"
    )


@pytest.mark.parametrize("engine", ["reference", "fused"])
@pytest.mark.parametrize(
    ("result", "kind"),
    [(lambda a, b: b, "a Tensor"), (lambda a, b: (b,), "a tuple of 1"), (lambda a, b: (1.0, b), "a tuple of 2")],
)  # fmt: skip
def test_what_mix_returns_is_looked_at(result: Callable[..., Any], kind: str, engine: str) -> None:
    class Mixed(GatedLinearCell):
        gates = 2

        def mix(self, x_gates: Any) -> Any:
            return result(*x_gates)

    with pytest.raises(InputError) as caught:
        unroll(Mixed(D, H), torch.zeros(B, T, D), engine=engine)
    assert str(caught.value).endswith(
        f"Mixed.mix returned {kind}; return what the state is scaled by and what is added to it, "
        "two tensors: return a, b"
    )


class Widening(GatedCell):
    """Computes a leaf in float64.

    Source: own.
    """

    gates = 1
    states = 2

    def update(self, x_gates: Any, h_gates: Any, state: Any) -> Any:
        h = torch.tanh(x_gates[0] + h_gates[0])
        return h, h * (state[1] > 0).double() + 0.5 * state[1]


def test_an_update_may_give_a_leaf_of_another_precision() -> None:
    torch.manual_seed(0)
    cell, x = Widening(D, H), torch.randn(B, T, D)
    found = unroll(cell, x, engine="fused")
    expected = unroll(cell, x, engine="reference")
    torch.testing.assert_close(found, expected, check_dtype=False)
