"""Which settings a decoder reads: those that its signature names."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from seqnlp import registry
from seqnlp.config import ModelSettings, build
from seqnlp.nn.decoder import Decoder

HEAD: Mapping[str, str] = MappingProxyType(
    {
        **{
            key: key
            for key in (
                "attention",
                "attention_options",
                "input_feeding",
                "bridge",
                "deep_output",
                "intra_attention",
            )
        },
        **{
            key: f"decoder_{key}"
            for key in ("cell", "cell_options", "hidden_size", "layers", "layers_after")
        },
    }
)
"""Keywords of decoders to the keys of `head` that fill them."""
INHERITED: Mapping[str, str] = MappingProxyType(
    {"cell": "decoder_cell", "cell_options": "decoder_cell", "hidden_size": "decoder_hidden_size"}
)
"""Keywords that `model` fills, too, to the key of `head` without which it does."""
MODEL = (
    "residual", "layer_norm", "engine", "input_init", "recurrent_init", "forget_bias",
    "zoneout_output", "zoneout_memory",
)  # fmt: skip
"""Keywords that `model` alone fills."""


@dataclass(frozen=True, kw_only=True)
class DecoderOptions:
    """What a decoder is made of beside the model settings; see `WritingOptions`.

    model_keys: the keys of `model` that it reads.
    """

    decoder: str = "recurrent"
    decoder_options: Mapping[str, Any] = field(default_factory=dict)
    model_keys: frozenset[str] = frozenset()
    attention: str
    attention_options: Mapping[str, Any]
    input_feeding: bool
    bridge: str
    deep_output: bool
    cell: str
    cell_options: Mapping[str, Any]
    hidden_size: int
    layers: int
    layers_after: int
    tie_embeddings: bool
    tie_all: bool
    sentence_tokens: int = 0
    copying: bool = False
    coverage_loss: float = 0.0
    intra_attention: bool = False
    selection_gate: bool = False


def keywords_of(decoder: str) -> frozenset[str]:
    """The keywords of a registered decoder.

    Raises:
        UnknownNameError: no decoder has that name.
    """
    return frozenset(inspect.signature(registry.decoders.get(decoder)).parameters)


def build_decoder(
    model: ModelSettings, options: DecoderOptions, *, input_size: int, memory_size: int
) -> Decoder[Any]:
    """The decoder that the options name, whose outputs have the size of its inputs.

    It gets those settings that its signature names, and `decoder_options` on top.

    Raises:
        UnknownNameError: no decoder, cell or attention has that name.
        SettingsError: an option that it does not have or cannot use.
    """
    factory = registry.decoders.get(options.decoder)
    own = options.decoder_options
    filled = {
        **{key: getattr(options, key) for key in HEAD},
        **{key: getattr(model, key) for key in MODEL},
    }
    taken = keywords_of(options.decoder) - own.keys()
    decoder: Decoder[Any] = build(
        factory,
        own,
        where="head.decoder_options" if own else "head",
        input_size=input_size,
        memory_size=memory_size,
        summary_size=memory_size,
        output_size=input_size,
        **{key: value for key, value in filled.items() if key in taken},
    )
    return decoder
