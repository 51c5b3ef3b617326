"""The contract of recurrent cells."""

from __future__ import annotations

from seqnlp.testing.cells import learning, order, running, sequences, steps, writing
from seqnlp.testing.cells.subject import CellSubject
from seqnlp.testing.contract import Contract
from seqnlp.testing.seeding import seeded

__all__ = ["CellSubject", "check_cell"]

check_cell: Contract[CellSubject] = Contract("cells", CellSubject, around=seeded)
"""What every cell owes: any `Cell`, gated and linear ones among them."""

for name, check, required in (
    ("is a cell", steps.check_class, True),
    ("options are typed", writing.check_typed, True),
    ("is made from its sizes", steps.check_made, True),
    ("shapes are right", steps.check_shapes, True),
    ("inputs are left alone", steps.check_in_place, True),
    ("no random numbers in evaluation", steps.check_certain, True),
    ("nothing is kept between calls", steps.check_forgets, True),
    ("empty batches, one row and one step", steps.check_sizes, False),
    ("leaves are returned as they are read", order.check_order, False),
    ("gradients are right", learning.check_gradients, False),
    ("a row is alone in its batch, in any order", sequences.check_rows, False),
    ("padding is invisible", sequences.check_padding, False),
    ("one step at a time equals the whole", sequences.check_steps, False),
    ("chunks equal the whole", sequences.check_chunks, False),
    ("long texts overflow nothing", sequences.check_long, False),
    ("stacked, in both directions", sequences.check_layers, False),
    ("a seed repeats it", learning.check_seeds, False),
    ("training differs by dropout only", learning.check_modes, False),
    ("saved and loaded it is the same", learning.check_saving, False),
    ("engines agree", running.check_engines, False),
    ("it learns to remember", learning.check_training, False),
    ("every choice of an option works", writing.check_choices, False),
    ("the docstring says what it is", writing.check_docstring, False),
    ("speed", running.measure_speed, False),
):
    check_cell.check(name, required=required)(check)
