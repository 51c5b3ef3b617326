"""The table `head` of a recipe for a task that writes texts."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field as Limit

from seqnlp.config import Section, Settings, TextSettings, validate_section
from seqnlp.errors import SettingsError
from seqnlp.tasks.classifier import unread_by_encoder
from seqnlp.tasks.decoders import HEAD, INHERITED, MODEL, DecoderOptions, keywords_of
from seqnlp.tasks.decoding import Decoding
from seqnlp.text.truecase import lowers


class WritingOptions(Section):
    """The table `head` of a recipe."""

    target: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies it
    """Keys of `text` that are others for what is written than for what is read."""
    joint: bool = False
    """One tokenizer and one vocabulary, learned from both sides."""
    outputs: Literal["all", "targets"] = "all"
    """What of a joint vocabulary can be generated: all, or what targets of train have, min_count
    times; the rest is read, and may be copied."""
    sentence_case: bool = False
    """Learn targets with their first letter in lower case, and write it in upper case."""
    truecase: bool = False
    """Write answers of a target that is learned in lower case as their sources have each word, and
    as targets of train usually do."""
    subword_sampling: float = Limit(default=0.0, ge=0, lt=1)
    """How much at random training texts are cut, anew for each epoch: 0.1 is usual with `bpe`, 0.67
    to 0.83 with `unigram`; see `SegmentSampler`."""
    tie_embeddings: bool = True
    """One matrix for the vectors of target tokens and the output layer."""
    tie_all: bool = False
    """The same matrix for source tokens too; needs `joint`."""
    decoder: str = "recurrent"
    """A name of `seqnlp list decoders`."""
    decoder_options: dict[str, Any] = {}  # noqa: RUF012
    """Options of a decoder other than `recurrent`, whose options are keys below."""
    attention: str = "multi_head"
    attention_options: dict[str, Any] = {}  # noqa: RUF012
    input_feeding: bool = False
    """The decoder reads its last output beside each token (Luong et al. 2015)."""
    bridge: Literal["none", "tanh", "linear", "copy"] = "tanh"
    """How the decoder's first state comes from the encoder's summary."""
    deep_output: bool = True
    """A tanh between decoder and output layer."""
    copying: bool = False
    """A token may be copied from the source, known or not (See, Liu and Manning 2017)."""
    coverage_loss: float = Limit(default=0.0, ge=0, le=100)
    """Factor of what attention costs where there was attention before (the same)."""
    intra_attention: bool = False
    """The decoder looks at its own states before, too (Paulus, Xiong and Socher 2018)."""
    selection_gate: bool = False
    """The encoder's states pass a gate that knows the summary (Zhou et al. 2017)."""
    sentence_tokens: int = Limit(default=0, ge=0)
    """A source of more tokens is read as sentences, and these as a document; 0 is never."""
    decoder_cell: str | None = None
    """The encoder's, unless named."""
    decoder_cell_options: dict[str, Any] = {}  # noqa: RUF012
    decoder_hidden_size: int | None = Limit(default=None, ge=1, le=65_536)
    """That of one direction of the encoder, unless named."""
    decoder_layers: int = Limit(default=1, ge=1, le=256)
    """Layers up to the one that asks the attention."""
    decoder_layers_after: int | None = Limit(default=None, ge=0, le=256)
    """Layers that read what the attention found; by default 1, and with `input_feeding` none."""
    label_smoothing: float = Limit(default=0.1, ge=0, lt=1)
    scheduled_sampling: float = Limit(default=0.0, ge=0, le=1)
    """The share of target tokens read that the decoder has drawn itself, at its highest. With
    `input_feeding` the decoder then learns step by step, and locked dropout is that of a step."""
    scheduled_sampling_epochs: int = Limit(default=0, ge=0)
    """Epochs over which that share rises, from 0; without, it is there at once."""
    neighbors: bool = False
    """The model keeps its training examples, which `decoding.neighbors` asks for."""
    decoding: Decoding = Decoding()
    """How answers are searched for, unless a call says otherwise."""

    def own_share(self, epoch: int) -> float:
        """The share of scheduled sampling in an epoch, from 1."""
        rise = self.scheduled_sampling_epochs
        return self.scheduled_sampling * (min(1.0, (epoch - 1) / rise) if rise else 1.0)


def options_of(settings: Settings) -> WritingOptions:
    """The validated table `head`.

    Raises:
        SettingsError: an unknown key, a value of the wrong type, keys that exclude each other.
    """
    options = validate_section(WritingOptions, settings.head, "head")
    if options.tie_all and not options.joint:
        raise SettingsError(
            "head.tie_all: source and target have a vocabulary each; set head.joint = true"
        )
    if options.outputs == "targets" and not options.joint:
        raise SettingsError(
            'head.outputs: "targets" chooses from a vocabulary of both sides; set head.joint = true'
        )
    if options.truecase and options.sentence_case:
        raise SettingsError(
            "head.truecase: gives texts their first capital, too; set head.sentence_case = false"
        )
    shared = ("tokenizer", "tokenizer_options", "min_count", "max_size")
    if options.joint and (own := next((key for key in shared if key in options.target), None)):
        raise SettingsError(f"head.target.{own}: one for both with head.joint; set text.{own}")
    for key in ("ngram_buckets", "ngram_sizes", "vectors", "vectors_options", "long_documents"):
        if key in options.target:
            raise SettingsError(f"head.target.{key}: of the source alone; set text.{key}")
    if options.input_feeding and options.decoder_layers_after:
        raise SettingsError(
            f"head.decoder_layers_after: 0 with head.input_feeding, not "
            f"{options.decoder_layers_after}"
        )
    if options.decoding.neighbors and not options.neighbors:
        raise SettingsError(
            "head.decoding.neighbors: the model keeps no training examples; set head.neighbors = "
            "true"
        )
    if options.truecase and not lowers(target_text(settings, options).normalizers):
        raise SettingsError(
            "head.truecase: nothing to restore where targets are learned with their letter case; "
            'text.normalizers or head.target.normalizers must have "lowercase"'
        )
    return options


def target_text(settings: Settings, options: WritingOptions) -> TextSettings:
    """The settings of `text` as they hold for targets.

    Raises:
        SettingsError: an unknown key or a value of the wrong type.
    """
    own = dict(options.target)
    # Another tokenizer has other options.
    base = settings.text.model_dump(exclude={"tokenizer_options"} if "tokenizer" in own else None)
    text = validate_section(TextSettings, {**base, "ngram_buckets": 0, **own}, "head.target")
    if not options.sentence_case:
        return text
    return text.model_copy(update={"normalizers": (*text.normalizers, "uncapitalize")})


def read_of_model(options: WritingOptions) -> frozenset[str]:
    """The keys of `model` that the decoder reads."""
    taken = keywords_of(options.decoder)
    inherited = {key for key, own in INHERITED.items() if getattr(options, own) is None}
    return taken & {*MODEL, *inherited}


def unread_by_decoder(options: WritingOptions) -> list[str]:
    """Keys of `head` that were changed and that the decoder does not read."""
    taken, known = keywords_of(options.decoder), type(options).model_fields
    return [
        key
        for keyword, key in HEAD.items()
        if keyword not in taken and getattr(options, key) != known[key].default
    ]


def decoder_options(settings: Settings, options: WritingOptions) -> DecoderOptions:
    """What the decoder is made of.

    Raises:
        SettingsError: a key that is set, and that the decoder does not read.
    """
    for key in unread_by_decoder(options):
        raise SettingsError(f"head.{key}: the decoder {options.decoder!r} does not read it")
    model = settings.model
    after = options.decoder_layers_after
    own_cell = options.decoder_cell is not None
    return DecoderOptions(
        decoder=options.decoder,
        decoder_options=options.decoder_options,
        model_keys=read_of_model(options),
        attention=options.attention,
        attention_options=options.attention_options,
        input_feeding=options.input_feeding,
        bridge=options.bridge,
        deep_output=options.deep_output,
        cell=options.decoder_cell or model.cell,
        cell_options=options.decoder_cell_options if own_cell else model.cell_options,
        hidden_size=options.decoder_hidden_size or model.hidden_size,
        layers=options.decoder_layers,
        layers_after=int(not options.input_feeding) if after is None else after,
        tie_embeddings=options.tie_embeddings,
        tie_all=options.tie_all,
        sentence_tokens=options.sentence_tokens,
        copying=options.copying,
        coverage_loss=options.coverage_loss,
        intra_attention=options.intra_attention,
        selection_gate=options.selection_gate,
    )


def parts_of_writer(settings: Settings) -> list[tuple[str, str]]:
    """The registered parts of the side that writes; see `Task.named_parts`."""
    options = options_of(settings)
    target, taken = target_text(settings, options), keywords_of(options.decoder)
    return [
        ("decoders", options.decoder),
        *([("cells", decoder_options(settings, options).cell)] if "cell" in taken else []),
        *([("attentions", options.attention)] if "attention" in taken else []),
        ("tokenizers", target.tokenizer.partition(":")[0]),
        *(("normalizers", name) for name in target.normalizers),
    ]


def unread_keys(settings: Settings) -> list[str]:
    """The keys that no part of a writing model reads; see `Task.unread`."""
    options = validate_section(WritingOptions, settings.head, "head")
    model = unread_by_encoder(settings.model, read_of_model(options))
    head = unread_by_decoder(options)
    return [f"model.{key}" for key in model] + [f"head.{key}" for key in head]
