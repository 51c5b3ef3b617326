"""The network of an extractor: a score for each sentence of a document."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from seqnlp import registry
from seqnlp.config import Settings, build
from seqnlp.nn.affine import Affine
from seqnlp.nn.dropout import DropoutSite
from seqnlp.tasks.classifier import build_embedding, build_sentence_encoder
from seqnlp.tasks.extraction_rows import ExtractionBatch
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.types import Encoded

PLACES, PARTS = 32, 10
"""How many places from the beginning, and how many equal parts of a document, have weights."""


class Extractor(nn.Module):
    r"""The probability of each sentence to be taken, after those before it.

    With h_j the state of sentence j among the others, and d = tanh(W_d mean(h) + b_d):

        p_j = sigmoid(w h_j + h_j W_s d - h_j W_n tanh(s_j) + a_j + r_j + b)
        s_j = sum over i < j of p_i h_i

    What it is about, how much of the document that is, what has been taken already, and where it
    stands: a_j for its place from the beginning, r_j for the part of the document.
    Source: Nallapati et al. 2017, arXiv:1611.04230 (SummaRuNNer), equations 5 to 7.

    Dropout sites: word, embedding, layer (of both encoders), output.

    Args:
        settings: `model` is the encoder of words, and with one layer that of sentences.
        pipeline: with its vocabulary.
        pooling: makes a vector of a sentence.
        pooling_options: what its constructor takes beside the size.
    """

    def __init__(
        self,
        settings: Settings,
        pipeline: TokenPipeline,
        *,
        pooling: str,
        pooling_options: dict[str, Any],
    ) -> None:
        super().__init__()
        model = settings.model
        self.embedding = build_embedding(settings, pipeline)
        kind, where = registry.poolings.get(pooling), "head.pooling_options"
        make = partial(build, kind, pooling_options, where=where)
        self.encoder = build_sentence_encoder(
            model, model.embedding_size, pooling=lambda size: make(size=size)
        )
        size = self.encoder.output_size
        self.output_dropout = DropoutSite("output")
        self.document = Affine(size, size)
        self.content = Affine(size, 1)
        self.salience = Affine(size, size, bias=False)
        self.novelty = Affine(size, size, bias=False)
        self.place = nn.Parameter(torch.zeros(PLACES))
        self.part = nn.Parameter(torch.zeros(PARTS))

    def forward(self, batch: ExtractionBatch) -> Tensor:
        """Logits float [B, S]; whatever where there is no sentence."""
        tokens = batch.tokens
        encoded = self.encoder(self.embedding(tokens), tokens.lengths, tokens.ends)
        states = self.output_dropout(encoded.states)
        logits = self._score(states, encoded) + self._score_places(batch.numbers, batch.totals)
        return self._subtract_known(logits, states)

    def _score(self, states: Tensor, encoded: Encoded) -> Tensor:
        """Content and salience, float [B, S]."""
        weights = encoded.mask.to(states.dtype)
        weights = weights / weights.sum(1, keepdim=True).clamp_(min=1)
        mean = torch.bmm(weights.unsqueeze(1), states).squeeze(1)
        document = self.salience(torch.tanh(self.document(mean)))
        salience = torch.bmm(states, document.unsqueeze(2)).squeeze(2)
        content: Tensor = self.content(states).squeeze(2)
        return content + salience

    def _score_places(self, numbers: Tensor, totals: Tensor) -> Tensor:
        place = self.place[numbers.clamp(max=PLACES - 1)]
        part = self.part[numbers * PARTS // totals.clamp(min=1)]
        return place + part

    def _subtract_known(self, logits: Tensor, states: Tensor) -> Tensor:
        """Take off how much of a sentence those before it have said, with their probabilities."""
        queries = self.novelty(states)
        taken = states.new_zeros(states.shape[0], states.shape[2])
        found: list[Tensor] = []
        for logit, query, state in zip(
            logits.unbind(1), queries.unbind(1), states.unbind(1), strict=True
        ):
            own = logit - (query * torch.tanh(taken)).sum(1)
            taken = taken + torch.sigmoid(own).unsqueeze(1) * state
            found.append(own)
        return torch.stack(found, dim=1) if found else logits
