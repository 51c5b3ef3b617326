"""Recurrent cells: one step each, one file a family."""

from seqnlp.nn.cells.base import Cell, GatedCell, Gates, NativeForm, Role, State, gate_blocks
from seqnlp.nn.cells.batch_norm import BatchNormLSTMCell
from seqnlp.nn.cells.cifg import CIFGCell
from seqnlp.nn.cells.gru import GRUCell
from seqnlp.nn.cells.irnn import IRNNCell
from seqnlp.nn.cells.layer_norm import LayerNormGRUCell, LayerNormLSTMCell
from seqnlp.nn.cells.linear import GatedLinearCell, LinearCell
from seqnlp.nn.cells.lru import LRUCell
from seqnlp.nn.cells.lstm import LSTMCell
from seqnlp.nn.cells.mgu import MGUCell
from seqnlp.nn.cells.minimal import MinGRUCell, MinLSTMCell
from seqnlp.nn.cells.peephole import PeepholeLSTMCell
from seqnlp.nn.cells.projected import ProjectedLSTMCell
from seqnlp.nn.cells.qrnn import QRNNCell
from seqnlp.nn.cells.quantized import QuantizedCell
from seqnlp.nn.cells.reset_before import ResetBeforeGRUCell
from seqnlp.nn.cells.rnn import RNNCell
from seqnlp.nn.cells.slstm import SLSTMCell
from seqnlp.nn.cells.sru import SRUCell

__all__ = [
    "BatchNormLSTMCell",
    "CIFGCell",
    "Cell",
    "GRUCell",
    "GatedCell",
    "GatedLinearCell",
    "Gates",
    "IRNNCell",
    "LRUCell",
    "LSTMCell",
    "LayerNormGRUCell",
    "LayerNormLSTMCell",
    "LinearCell",
    "MGUCell",
    "MinGRUCell",
    "MinLSTMCell",
    "NativeForm",
    "PeepholeLSTMCell",
    "ProjectedLSTMCell",
    "QRNNCell",
    "QuantizedCell",
    "RNNCell",
    "ResetBeforeGRUCell",
    "Role",
    "SLSTMCell",
    "SRUCell",
    "State",
    "gate_blocks",
]
