"""Recurrent cells: one step each, one file a family."""

from seqnlp.nn.cells.base import Cell, GatedCell, Gates, NativeForm, State
from seqnlp.nn.cells.gru import GRUCell
from seqnlp.nn.cells.lstm import LSTMCell
from seqnlp.nn.cells.rnn import RNNCell

__all__ = [
    "Cell",
    "GRUCell",
    "GatedCell",
    "Gates",
    "LSTMCell",
    "NativeForm",
    "RNNCell",
    "State",
]
