"""Networks: recurrent cells, the engines that run them, encoders, attention, pooling, dropout."""

from seqnlp.nn.activations import ACTIVATIONS, Activation, find_activation
from seqnlp.nn.attention import (
    AdditiveAttention,
    Attention,
    DotAttention,
    GeneralAttention,
    MultiHeadAttention,
)
from seqnlp.nn.cells import (
    Cell,
    GatedCell,
    Gates,
    GRUCell,
    LSTMCell,
    NativeForm,
    RNNCell,
    State,
)
from seqnlp.nn.dropout import DropoutSite, dropout_sites
from seqnlp.nn.embedding import TokenEmbedding
from seqnlp.nn.encoder import Encoder, EncoderState
from seqnlp.nn.engines import Engine, NativeEngine, Padding, ReferenceEngine
from seqnlp.nn.initialization import INITIALIZERS, initialize
from seqnlp.nn.layer import RecurrentLayer
from seqnlp.nn.pooling import AttentionPooling, LastPooling, MaxPooling, MeanPooling, Pooling
from seqnlp.nn.recurrence import RecurrentEncoder, unroll

__all__ = [
    "ACTIVATIONS",
    "INITIALIZERS",
    "Activation",
    "AdditiveAttention",
    "Attention",
    "AttentionPooling",
    "Cell",
    "DotAttention",
    "DropoutSite",
    "Encoder",
    "EncoderState",
    "Engine",
    "GRUCell",
    "GatedCell",
    "Gates",
    "GeneralAttention",
    "LSTMCell",
    "LastPooling",
    "MaxPooling",
    "MeanPooling",
    "MultiHeadAttention",
    "NativeEngine",
    "NativeForm",
    "Padding",
    "Pooling",
    "RNNCell",
    "RecurrentEncoder",
    "RecurrentLayer",
    "ReferenceEngine",
    "State",
    "TokenEmbedding",
    "dropout_sites",
    "find_activation",
    "initialize",
    "unroll",
]
