"""The network of a classifier: embedding, encoder, pooling, linear layer."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqnlp import registry
from seqnlp.config import ModelSettings, Settings, build
from seqnlp.errors import SettingsError
from seqnlp.nn.dropout import DropoutSite
from seqnlp.nn.embedding import TokenEmbedding
from seqnlp.nn.encoder import Encoder
from seqnlp.nn.hierarchy import SentenceEncoder
from seqnlp.nn.pooling import LastPooling, Pooling
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.types import Encoded, TokenBatch

NOT_OF_ENCODERS = {
    "embedding_size", "embedding_scale", "ngram_pooling", "encoder", "encoder_options",
}  # fmt: skip
"""Settings of the model that are about the embedding, or about which encoder it is."""


class Classifier(nn.Module):
    """Logits of K classes for a batch of texts.

    Dropout sites, all at rate 0 until a hook sets them: word, embedding, layer, output.
    """

    def __init__(
        self,
        settings: Settings,
        pipeline: TokenPipeline,
        *,
        classes: int,
        pooling: tuple[str, ...],
        pooling_options: dict[str, Any],
        evidence: float | None = None,
    ) -> None:
        super().__init__()
        model = settings.model
        self.embedding = build_embedding(settings, pipeline)
        self.encoder = build_encoder(model, model.embedding_size)
        self.poolings = nn.ModuleList(
            build(
                registry.poolings.get(name),
                pooling_options if name == "attention" else {},
                where="head.attention_options",
                size=self.encoder.output_size,
            )
            for name in pooling
        )
        size = sum(layer.output_size for layer in self.poolings)  # type: ignore[misc]
        self.output_dropout = DropoutSite("output")
        self.output = nn.Linear(size, classes)
        # What stands beside the network is added by a learned weight that starts at `evidence`.
        self.evidence_weight = None if evidence is None else nn.Parameter(torch.tensor(evidence))

    def forward(self, tokens: TokenBatch, evidence: Tensor | None = None) -> Tensor:
        """Logits float [B, K]; evidence float [B, K] is added by its learned weight."""
        return self.classify(self.encoder(self.embedding(tokens), tokens.lengths), evidence)

    def classify(self, encoded: Encoded, evidence: Tensor | None = None) -> Tensor:
        """Logits float [B, K] of texts that are encoded already; see `forward`."""
        pooled = [layer(encoded) for layer in self.poolings]
        features = pooled[0] if len(pooled) == 1 else torch.cat(pooled, dim=-1)
        logits: Tensor = self.output(self.output_dropout(features))
        if self.evidence_weight is not None and evidence is not None:
            logits = logits + self.evidence_weight * evidence
        return logits


def mean_log_probabilities(logits: Sequence[Tensor]) -> Tensor:
    """Float [B, K]: logarithms of the mean probabilities of networks with these logits."""
    logs = [functional.log_softmax(each, dim=-1) for each in logits]
    if len(logs) == 1:
        return logs[0]
    return torch.logsumexp(torch.stack(logs), dim=0) - math.log(len(logs))


def build_embedding(settings: Settings, pipeline: TokenPipeline) -> TokenEmbedding:
    """The vectors of a pipeline's tokens, as the settings say."""
    assert pipeline.vocabulary is not None
    model = settings.model
    return TokenEmbedding(
        len(pipeline.vocabulary),
        model.embedding_size,
        buckets=settings.text.ngram_buckets,
        scale=model.embedding_scale,
        ngram_scale=model.embedding_scale,
        ngram_pooling=model.ngram_pooling,
    )


def encoder_keywords(model: ModelSettings) -> frozenset[str]:
    """The keywords of the encoder that the settings name.

    Raises:
        UnknownNameError: no encoder has that name.
    """
    return frozenset(inspect.signature(registry.encoders.get(model.encoder)).parameters)


def unread_by_encoder(model: ModelSettings, others: Collection[str] = ()) -> list[str]:
    """Keys of `model` that were changed and that the encoder does not read.

    Args:
        others: keys that another part of the network reads.
    """
    read = {*NOT_OF_ENCODERS, *encoder_keywords(model), *others}
    return [
        key
        for key, known in type(model).model_fields.items()
        if key not in read and getattr(model, key) != known.default
    ]


def build_encoder(
    model: ModelSettings, input_size: int, *, others: Collection[str] = ()
) -> Encoder:
    """The encoder that the settings name, for inputs of `input_size`.

    An encoder gets those model settings that its signature names, and `encoder_options` on top.

    Args:
        others: keys of the settings that another part of the network reads.

    Raises:
        UnknownNameError: no encoder or cell has that name.
        SettingsError: an option that it does not have, or a setting that it would not read.
    """
    for key in unread_by_encoder(model, others):
        raise SettingsError(f"model.{key}: the encoder {model.encoder!r} does not read it")
    taken = encoder_keywords(model) & type(model).model_fields.keys() - NOT_OF_ENCODERS
    given = {key: getattr(model, key) for key in taken}
    encoder: Encoder = build(
        registry.encoders.get(model.encoder),
        {**given, **model.encoder_options},
        where="model.encoder_options",
        input_size=input_size,
    )
    return encoder


def build_sentence_encoder(
    model: ModelSettings,
    input_size: int,
    *,
    most: int = 0,
    pooling: Callable[[int], Pooling] = LastPooling,
    others: Collection[str] = (),
) -> SentenceEncoder:
    """The encoder that the settings name for words, and one of a single layer for sentences.

    Args:
        model, input_size, others: see `build_encoder`, also for what is raised.
        most: see `SentenceEncoder`.
        pooling: makes one of the size of a state.
    """
    words = build_encoder(model, input_size, others=others)
    pooled = pooling(words.output_size)
    single = model.model_copy(update={"layers": 1})
    sentences = build_encoder(single, pooled.output_size, others=others)
    return SentenceEncoder(words, sentences, most=most, pooling=pooled)
