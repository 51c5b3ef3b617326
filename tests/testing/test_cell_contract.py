"""The contract of cells: what is right passes it, and each planted fault is caught by its check."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqnlp import registry
from seqnlp.errors import InputError, UnknownNameError
from seqnlp.nn import Cell, State
from seqnlp.testing import Violation, check_cell
from tests.testing import planted_cells as planted

CLASS, OPTIONS, MADE = "is a cell", "options are typed", "is made from its sizes"
SHAPES, IN_PLACE = "shapes are right", "inputs are left alone"
RANDOM, KEPT = "no random numbers in evaluation", "nothing is kept between calls"
SIZES, ORDER = "empty batches, one row and one step", "leaves are returned as they are read"
GRADIENTS, ROWS = "gradients are right", "a row is alone in its batch, in any order"
PADDING, STEPS = "padding is invisible", "one step at a time equals the whole"
CHUNKS, LAYERS = "chunks equal the whole", "stacked, in both directions"
LONG = "long texts overflow nothing"
SEEDS, MODES = "a seed repeats it", "training differs by dropout only"
SAVED, ENGINES = "saved and loaded it is the same", "engines agree"
LEARNS, CHOICES = "it learns to remember", "every choice of an option works"
DOCSTRING, SPEED = "the docstring says what it is", "speed"

# The class, the check that catches it, part of what is wrong and of the remedy.
FAULTS: list[tuple[type, str, str, str]] = [
    (planted.NotACell, CLASS, "the class NotACell is registered, which is no Cell", "derives from seqnlp.GatedCell"),
    (planted.NeedsOption, OPTIONS, "the option 'scale' has no default", "give it one"),
    (planted.OtherNames, OPTIONS, "its signature lacks input_size, hidden_size, which it is called with", "begin it with (input_size, hidden_size, *, ...)"),
    (planted.TakesAnything, OPTIONS, "**options, which would swallow a misspelled option", "name each option"),
    (planted.Untyped, OPTIONS, "the option 'scale' has no type", "annotate it"),
    (planted.WrongDefault, OPTIONS, "the default of the option 'scale', 'one', is none of its type", "correct the annotation or the default"),
    (planted.NoSuper, MADE, "cannot assign parameters before Module.__init__() call", "call super().__init__ first"),
    (planted.LateSuper, MADE, "cannot assign parameters before Module.__init__() call", "call super().__init__ first"),
    (planted.NoSizes, MADE, "missing 2 required positional arguments", "hand them to super().__init__: 'input_size' and 'hidden_size'"),
    (planted.NoGates, MADE, "NoGates must say how many gates it has", "set gates on the class"),
    (planted.NoUpdate, MADE, "abstract", "write what is missing: "),
    (planted.NoForward, MADE, "abstract", "write what is missing: "),
    (planted.NoParameters, MADE, "it has no parameters", "self.weight = nn.Parameter(...)"),
    (planted.OtherSizes, MADE, "hidden_size=4 it has 3 and 8", "give both to super().__init__(input_size, hidden_size)"),
    (planted.NeverFilled, MADE, "the parameter 'slope' begins with whatever lay in memory", "give it values in __init__"),
    (planted.BareState, SHAPES, "BareState.initial_state returned a Tensor", "return (h,), with a comma"),
    (planted.RowsLast, SHAPES, "leaf 0 of initial_state(5) is float32 [4, 5]", "make its first axis the rows"),
    (planted.SharedMemory, SHAPES, "leaf 1 of initial_state(5) is float32 [4, 4]", "make its first axis the rows"),
    (planted.SinglePrecision, SHAPES, "is float32 [5, 4] where the weights are float64", "not torch.zeros(...)"),
    (planted.ConstantPrecision, SHAPES, "same dtype", "make new tensors like those at hand"),
    (planted.BareLeaf, SHAPES, "BareLeaf.update returned a Tensor", "return (h,), with its comma"),
    (planted.NoComma, SHAPES, "NoComma.update returned a list", "return all leaves in a tuple"),
    (planted.LostLeaf, SHAPES, "LostLeaf.update returned a tuple of 1: expected a tuple of 2", "return h, c"),
    (planted.StateOnly, SHAPES, "StateOnly.forward returned (Tensor)", "return output, (h, c)"),
    (planted.OutputOnly, SHAPES, "OutputOnly.forward returned (Tensor)", "return both"),
    (planted.BareNewState, SHAPES, "BareNewState.forward returned (Tensor, Tensor)", "with a comma where there is one"),
    (planted.WrongWidth, SHAPES, "WrongWidth.forward gave the output [5, 7]", "make it [B, 4]"),
    (planted.SwappedShapes, SHAPES, "was given a state of float32 [5, 4], float32 [5, 8] and gave one of float32 [5, 8], float32 [5, 4]", "in the order of initial_state"),
    (planted.TooManyGates, SHAPES, "not enough values to unpack (expected 4, got 3)", "as gates = ... says"),
    (planted.TooFewGates, SHAPES, "too many values to unpack", "as gates = ... says"),
    (planted.GateOutOfRange, SHAPES, "tuple index out of range", "gates = ... and states = ..."),
    (planted.LeafOutOfRange, SHAPES, "tuple index out of range", "gates = ... and states = ..."),
    (planted.UnpacksOneLeaf, SHAPES, "not enough values to unpack (expected 2, got 1)", "as states = ..."),
    (planted.WholeGates, SHAPES, "must be Tensor, not tuple", "x_gates[0], state[0]"),
    (planted.WholeState, SHAPES, "multiply sequence", "x_gates[0], state[0]"),
    (planted.MissingImport, SHAPES, "name 'relu' is not defined", "import or define relu in this file"),
    (planted.MissingModule, SHAPES, "No module named 'my_activations'", "install my_activations, and add it to the dependencies"),
    (planted.Misspelled, SHAPES, "has no attribute 'sigmod'", "correct sigmod"),
    (planted.FewArguments, SHAPES, "takes 3 positional arguments but 4 were given", "update(self, x_gates, h_gates, state)"),
    (planted.UntakenParameter, SHAPES, "unexpected keyword argument 'slope'", "let update take it: add slope to its arguments"),
    (planted.WrongProduct, SHAPES, "shapes cannot be multiplied", "compare the sizes of the weight"),
    (planted.EndsPython, SHAPES, "raised SystemExit: 3", "raise an error that says what is wrong"),
    (planted.ScalesState, IN_PLACE, "a step changes leaf 1 of the state", "h = f * h, not h *= f"),
    (planted.ScalesStateFreely, IN_PLACE, "a step changes leaf 0 of the state", "h = f * h, not h *= f"),
    (planted.ScalesInput, IN_PLACE, "a step changes x", "make a new tensor"),
    (planted.ScalesGate, IN_PLACE, "modified by an inplace operation", "change no tensor in place"),
    (planted.CallsNumpy, IN_PLACE, "Can't call numpy()", "compute on torch tensors alone"),
    (planted.AlwaysDrops, RANDOM, "draws random numbers in evaluation", "training=self.training"),
    (planted.Shakes, RANDOM, "draws random numbers in evaluation", "draw where self.training is set alone"),
    (planted.MakesLayer, RANDOM, "draws random numbers in evaluation", "make layers in __init__, not in a step"),
    (planted.MakesParameter, KEPT, "a step registers the parameter 'slope'", "make self.slope in __init__"),
    (planted.RemembersOnSelf, KEPT, "other outputs after another batch", "in the state that it returns and nothing on self"),
    (planted.CountsOnSelf, KEPT, "other outputs after another batch", "in the state that it returns and nothing on self"),
    (planted.RemembersInDict, KEPT, "a step keeps a tensor on the module: self.memo", "nothing on self"),
    (planted.Squeezes, SIZES, "the output of 1 rows is [4]", "no squeeze()"),
    (planted.Swapped, ORDER, "Swapped.update reads leaf 1 of the state as memory and returns it as leaf 0", "in the order in which they are read"),
    (planted.SwappedMemories, ORDER, "reads leaf 1 of the state as memory and returns it as leaf 2", "in the order in which they are read"),
    (planted.SwappedNames, ORDER, "SwappedNames.forward reads the state as (h, c) and returns (c, h)", "in the order in which they are read"),
    (planted.ReturnsOldMemory, ORDER, "ReturnsOldMemory.update neither changes nor reads leaf 1 of the state", "return its new value"),
    (planted.Detaches, GRADIENTS, "along a direction in which the outputs grow by", "no detach()"),
    (planted.ReadsNumber, GRADIENTS, "the gradient of scale is 0 along", "item()"),
    (planted.ThroughNumpy, GRADIENTS, "nothing that a step gives has a gradient", "numpy()"),
    (planted.Unused, GRADIENTS, "do not depend on the parameter 'slope'", "use self.slope in a step"),
    (planted.RootBelowZero, GRADIENTS, "is nan", "keep the argument of a root"),
    (planted.Centers, ROWS, "of a row alone against the same row in a batch", "compute each row from itself"),
    (planted.Branches, ROWS, "of a row alone against the same row in a batch", "no if on a tensor's values (torch.where)"),
    (planted.Undeclared, ROWS, "more than 1 value per channel", "say rows_interact = True on the class"),
    (planted.Centers, PADDING, "rows that go on depend on one that has ended", "compute each row from itself"),
    (planted.Undeclared, PADDING, "with two steps of padding more the statistic norm.running_mean changes", "compute each row from itself"),
    (planted.LooksAhead, STEPS, "(by the engine 'fused'), the outputs differ", "not on how many steps are given or on later ones"),
    (planted.CountsSteps, STEPS, "(by the engine 'fused'), the outputs differ", "not on how many steps are given or on later ones"),
    (planted.DrawsByNumpy, SEEDS, "two cells made under one seed of torch differ in 'linear.weight'", "draw by torch's own generator"),
    (planted.Seeds, SEEDS, "it seeds torch's generator", "no torch.manual_seed"),
    (planted.Copies, SEEDS, "weight_blocks yields a copy as INPUT", "yield the parameter or a view of it"),
    (planted.AsksMode, MODES, "in training against evaluation", "compute the same in both modes"),
    (planted.ForgottenMask, MODES, "masks names 'candidate_mask', which update does not take", "add the keyword candidate_mask"),
    (planted.IdleMask, MODES, "a candidate_mask of zeros changes nothing", "what a step adds to the memory"),
    (planted.PlainTensor, SAVED, "saved, and loaded into a new cell", "self.register_buffer"),
    (planted.SavesWords, SAVED, "the state dict has '_extra_state', which is no tensor", "keep numbers in buffers"),
    (planted.ForgetsAll, LEARNS, "where guessing gives 1.39", "let the new state depend on the old one"),
    (planted.Explodes, LEARNS, "of a small memory problem becomes", "keep a state from growing"),
    (planted.Grows, LONG, "after 300 steps from its first weights outputs are not finite", "multiplies the state by at 1 or below"),
    (planted.BrokenChoice, CHOICES, "with wide=True a step fails", "make wide=True work"),
    (planted.Wordless, DOCSTRING, "has no docstring of its own", "begin the class with"),
    (planted.Sourceless, DOCSTRING, "does not say where the formula is from", "Source: Cho et al."),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize(
    ("part", "check", "what", "remedy"), FAULTS, ids=[fault[0].__name__ for fault in FAULTS]
)
def test_a_planted_fault_is_caught_with_its_remedy(
    part: type, check: str, what: str, remedy: str
) -> None:
    # Of all checks the first to fail, where it stops the others; elsewhere the whole would take long.
    stops = check in (CLASS, OPTIONS, MADE, SHAPES, IN_PLACE, RANDOM, KEPT)
    report = check_cell.examine(part, only=None if stops else check)
    (found,) = report.failed
    assert found.check == check, report.lines()
    assert what in found.what
    assert remedy in found.remedy
    assert {each.check for each in report.findings if each.untried} == (
        set(check_cell.names[check_cell.names.index(check) + 1 :]) if stops else set()
    )


def test_the_engines_check_catches_a_cell_that_claims_to_be_an_lstm() -> None:
    """Others see it first, since they run what a user would."""
    (finding,) = check_cell.examine(planted.ClaimsToBeLSTM, only=ENGINES).failed
    assert finding.what == (
        "by the engine 'native' against the reference loop, the outputs differ by 0.5"
    )
    assert "native() name a form of torch only where update is that form" in finding.remedy


@pytest.mark.parametrize("check", [CHUNKS, LAYERS, ENGINES])
def test_what_looks_ahead_is_seen_by_other_checks_too(check: str) -> None:
    assert check_cell.examine(planted.LooksAhead, only=check).failed


@pytest.mark.parametrize("part", [planted.Plain, planted.Memory, planted.Free, planted.Blend])
def test_what_is_right_passes(part: type) -> None:
    report = check_cell(part)
    assert [each.check for each in report.findings] == list(check_cell.names)
    assert report.name == part.__name__


@pytest.mark.parametrize(
    "name", [name for name, package in registry.cells.names().items() if package == "seqnlp"]
)
def test_every_registered_cell_keeps_the_contract(name: str) -> None:
    report = check_cell(name)
    skipped = {each.check: each.what for each in report.findings if each.outcome == "skipped"}
    leaves = len(registry.cells.get(name)(3, 4).initial_state(1))
    assert (ORDER in skipped) == (leaves < 2)
    assert (MODES in skipped) == registry.cells.get(name).rows_interact
    assert set(skipped) <= {ORDER, MODES, ENGINES, CHOICES}
    assert re.search(
        r"^[\d.]+ ms by the engine '\w+', ([\d.e+]+ times )?as (fast|slow) as torch.nn.LSTM",
        report.findings[-1].what,
    )


class Odd(Cell):
    """A state of mixed ranks and types: an integer count first, a matrix memory, h last.

    Source: own.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.linear = nn.Linear(input_size + hidden_size, hidden_size)

    def initial_state(self, batch_size: int) -> State:
        weight, size = self.linear.weight, self.hidden_size
        count = torch.zeros(batch_size, dtype=torch.int64, device=weight.device)
        return count, weight.new_zeros(batch_size, size, size), weight.new_zeros(batch_size, size)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        count, memory, h = state
        key = torch.tanh(self.linear(torch.cat([x, h], 1)))
        memory = 0.9 * memory + 0.1 * key.unsqueeze(2) * h.unsqueeze(1)
        h = key + 0.1 * (memory @ key.unsqueeze(2)).squeeze(2) + 0.01 * count.unsqueeze(1)
        return 2 * h, (count + 1, memory, h)


class Delay(Cell):
    """The one before last goes into each step, too: leaves that move are no fault where they rest.

    Source: own.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.linear = nn.Linear(input_size + 2 * hidden_size, hidden_size)

    def initial_state(self, batch_size: int) -> State:
        zeros = self.linear.weight.new_zeros(batch_size, self.hidden_size)
        return zeros, zeros

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        last, before = state
        h = torch.tanh(self.linear(torch.cat([x, last, before], 1)))
        return h, (h, last)


class Dropping(planted.Free):
    """Draws dropout of its own in training.

    Source: own.
    """

    def forward(self, x: Tensor, state: Any) -> Any:
        h, _ = super().forward(x, state)
        h = nn.functional.dropout(h, 0.1, training=self.training)
        return h, (h,)


class NoBias(planted.Memory):
    """Counts upward by a gate that never closes.

    Source: own.
    """

    forget_gate = None


class Reservoir(Cell):
    """Its recurrent weights rest.

    Source: Jaeger 2001.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.input = nn.Linear(input_size, hidden_size)
        self.resting = nn.Parameter(0.9 * torch.eye(hidden_size), requires_grad=False)

    def initial_state(self, batch_size: int) -> State:
        return (self.resting.new_zeros(batch_size, self.hidden_size),)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h = torch.tanh(self.input(x) + state[0] @ self.resting)
        return h, (h,)


class InPairs(planted.Free):
    """Refuses what it cannot pair.

    Source: own.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        if hidden_size % 2:
            raise InputError(f"hidden_size must be even, not {hidden_size}")
        super().__init__(input_size, hidden_size)


@pytest.mark.parametrize("part", [Odd, Delay, Dropping, NoBias, Reservoir, InPairs])
def test_what_is_odd_but_right_passes(part: type) -> None:
    check_cell(part)


def test_the_generator_of_the_caller_is_left_where_it_was() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    check_cell("rnn", only=LEARNS)
    assert torch.equal(torch.rand(3), expected)
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_violation_names_all_that_failed() -> None:
    with pytest.raises(Violation) as caught:
        check_cell(planted.Centers)
    assert str(caught.value).startswith("Centers fails 5 checks:\n- a row is alone in its batch")
    with pytest.raises(Violation) as caught:
        check_cell(planted.Sourceless)
    assert str(caught.value) == (
        "Sourceless: the docstring says what it is: the docstring does not say where the "
        'formula is from; add a line such as "Source: Cho et al. 2014, arXiv:1406.1078", or '
        '"Source: own."'
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: check_cell("lstn"), "no cell is named 'lstn'; did you mean 'lstm'?"),
        (lambda: check_cell("lstm", only="padding is visible"), "no check is named 'padding is visible'; did you mean 'padding is invisible'?"),
    ],
)  # fmt: skip
def test_names_that_do_not_exist_are_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        call()
    assert str(caught.value).startswith(message)
