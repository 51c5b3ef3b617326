"""Networks: cells, the engines that run them, encoders, decoders, attention, pooling, dropout."""

from seqnlp.nn.activations import ACTIVATIONS, Activation, find_activation
from seqnlp.nn.affine import Affine
from seqnlp.nn.attention import (
    AdditiveAttention,
    Attention,
    ConcatAttention,
    DotAttention,
    GeneralAttention,
    LocationAttention,
    MultiHeadAttention,
    ScoredAttention,
)
from seqnlp.nn.bridge import BRIDGES, Bridge
from seqnlp.nn.cells import (
    BatchNormLSTMCell,
    Cell,
    CIFGCell,
    GatedCell,
    GatedLinearCell,
    Gates,
    GRUCell,
    IRNNCell,
    LayerNormGRUCell,
    LayerNormLSTMCell,
    LinearCell,
    LRUCell,
    LSTMCell,
    MGUCell,
    MinGRUCell,
    MinLSTMCell,
    NativeForm,
    PeepholeLSTMCell,
    ProjectedLSTMCell,
    QRNNCell,
    QuantizedCell,
    ResetBeforeGRUCell,
    RNNCell,
    Role,
    SLSTMCell,
    SRUCell,
    State,
)
from seqnlp.nn.decoder import Decoder
from seqnlp.nn.decoder_state import Decoded, DecoderState, RecurrentDecoderState
from seqnlp.nn.dropout import DropoutSite, Site, dropout_sites
from seqnlp.nn.embedding import TokenEmbedding
from seqnlp.nn.encoder import Encoder, EncoderState
from seqnlp.nn.engines import Engine, NativeEngine, Padding, ReferenceEngine
from seqnlp.nn.hierarchy import HierarchicalEncoder, SentenceEncoder
from seqnlp.nn.initialization import INITIALIZERS, initialize
from seqnlp.nn.layer import RecurrentLayer
from seqnlp.nn.noise import Noise
from seqnlp.nn.output import OutputLayer
from seqnlp.nn.pooling import AttentionPooling, LastPooling, MaxPooling, MeanPooling, Pooling
from seqnlp.nn.quantization import quantize
from seqnlp.nn.recurrence import RecurrentEncoder
from seqnlp.nn.recurrent_decoder import RecurrentDecoder
from seqnlp.nn.recurrent_dropout import RecurrentDropout
from seqnlp.nn.unrolling import check_input, unroll, unroll_states

__all__ = [
    "ACTIVATIONS",
    "BRIDGES",
    "INITIALIZERS",
    "Activation",
    "AdditiveAttention",
    "Affine",
    "Attention",
    "AttentionPooling",
    "BatchNormLSTMCell",
    "Bridge",
    "CIFGCell",
    "Cell",
    "ConcatAttention",
    "Decoded",
    "Decoder",
    "DecoderState",
    "DotAttention",
    "DropoutSite",
    "Encoder",
    "EncoderState",
    "Engine",
    "GRUCell",
    "GatedCell",
    "GatedLinearCell",
    "Gates",
    "GeneralAttention",
    "HierarchicalEncoder",
    "IRNNCell",
    "LRUCell",
    "LSTMCell",
    "LastPooling",
    "LayerNormGRUCell",
    "LayerNormLSTMCell",
    "LinearCell",
    "LocationAttention",
    "MGUCell",
    "MaxPooling",
    "MeanPooling",
    "MinGRUCell",
    "MinLSTMCell",
    "MultiHeadAttention",
    "NativeEngine",
    "NativeForm",
    "Noise",
    "OutputLayer",
    "Padding",
    "PeepholeLSTMCell",
    "Pooling",
    "ProjectedLSTMCell",
    "QRNNCell",
    "QuantizedCell",
    "RNNCell",
    "RecurrentDecoder",
    "RecurrentDecoderState",
    "RecurrentDropout",
    "RecurrentEncoder",
    "RecurrentLayer",
    "ReferenceEngine",
    "ResetBeforeGRUCell",
    "Role",
    "SLSTMCell",
    "SRUCell",
    "ScoredAttention",
    "SentenceEncoder",
    "Site",
    "State",
    "TokenEmbedding",
    "check_input",
    "dropout_sites",
    "find_activation",
    "initialize",
    "quantize",
    "unroll",
    "unroll_states",
]
