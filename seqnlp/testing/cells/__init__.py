"""The contract of recurrent cells."""

from __future__ import annotations

from seqnlp.testing.cells import learning, order, running, sequences, steps, writing
from seqnlp.testing.cells.subject import CellSubject
from seqnlp.testing.contract import Contract
from seqnlp.testing.seeding import seeded

__all__ = ["CellSubject", "check_cell"]

check_cell: Contract[CellSubject] = Contract("cells", CellSubject, around=seeded)
"""What every cell owes: any `Cell`, gated and linear ones among them."""

# After those that are required the others mean nothing where one fails.
check_cell.check("made from its sizes", required=True)(steps.check_made)
check_cell.check("shapes and dtypes", required=True)(steps.check_shapes)
check_cell.check("changes nothing in place", required=True)(steps.check_in_place)
check_cell.check("keeps nothing between calls", required=True)(steps.check_forgets)
check_cell.check("no random numbers in evaluation")(steps.check_certain)
check_cell.check("no row, one row, one step")(steps.check_sizes)
check_cell.check("state in one order")(order.check_order)
check_cell.check("rows apart, in any order")(sequences.check_rows)
check_cell.check("padding is invisible")(sequences.check_padding)
check_cell.check("one step at a time equals the whole")(sequences.check_steps)
check_cell.check("chunks equal the whole")(sequences.check_chunks)
check_cell.check("stacked, in both directions")(sequences.check_layers)
check_cell.check("gradients")(learning.check_gradients)
check_cell.check("repeats under a seed")(learning.check_seeds)
check_cell.check("training differs by dropout alone")(learning.check_modes)
check_cell.check("saved and loaded")(learning.check_saving)
check_cell.check("engines agree")(running.check_engines)
check_cell.check("trains")(learning.check_training)
check_cell.check("docstring")(writing.check_docstring)
check_cell.check("options")(writing.check_options)
check_cell.check("speed")(running.measure_speed)
