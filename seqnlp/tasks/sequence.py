"""The network of tasks that write a sequence: encoder, decoder with attention, output layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from seqnlp.config import ModelSettings
from seqnlp.nn.decoder import Decoder, DecoderState
from seqnlp.nn.dropout import DropoutSite
from seqnlp.nn.embedding import TokenEmbedding
from seqnlp.nn.output import OutputLayer
from seqnlp.tasks.classifier import build_encoder
from seqnlp.tasks.decoding import Stepper, StepScores
from seqnlp.types import Copies, Encoded, Loss, Memory, TokenBatch

BLOCK = 512
"""Rows whose next tokens are drawn at once: what bounds the memory of scheduled sampling."""


@dataclass(frozen=True, kw_only=True)
class DecoderOptions:
    """What a decoder is made of beside the model settings; see `TranslationOptions`."""

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


class EncoderDecoder(nn.Module):
    """The probability of a target sequence, token by token, given a source sequence.

    Dropout sites: word, embedding (of both sides), memory (the states that the attention reads),
    and those of encoder and decoder. The linear maps of the decoder begin as Glorot and Bengio
    2010 have it, with biases of zero.

    Args:
        model: sizes and the encoder.
        options: the decoder.
        source_size, target_size: of both vocabularies; padding has the id 0.
        outputs: V, how many tokens of the target's vocabulary can be generated, the first; None
            for all.
        buckets: n-gram vectors of the source.
    """

    def __init__(
        self,
        model: ModelSettings,
        options: DecoderOptions,
        *,
        source_size: int,
        target_size: int,
        outputs: int | None = None,
        buckets: int = 0,
    ) -> None:
        super().__init__()
        size = model.embedding_size
        # A tied matrix is an output layer too: its rows begin with unit length.
        scale = size**-0.5 if options.tie_embeddings or options.tie_all else model.embedding_scale
        self.source_embedding = TokenEmbedding(
            source_size,
            size,
            buckets=buckets,
            scale=scale if options.tie_all else model.embedding_scale,
            ngram_scale=model.embedding_scale,
            ngram_pooling=model.ngram_pooling,
        )
        self.target_embedding = TokenEmbedding(target_size, size, scale=scale)
        if options.tie_all:
            self.target_embedding.words = self.source_embedding.words
        self.encoder = build_encoder(model, size)
        self.memory_dropout = DropoutSite("memory")
        memory_size = self.encoder.output_size
        self.decoder = Decoder(
            size,
            memory_size,
            memory_size,
            output_size=size,
            cell=options.cell,
            cell_options=options.cell_options,
            hidden_size=options.hidden_size,
            layers=options.layers,
            layers_after=options.layers_after,
            attention=options.attention,
            attention_options=options.attention_options,
            input_feeding=options.input_feeding,
            bridge=options.bridge,
            deep_output=options.deep_output,
            residual=model.residual,
            layer_norm=model.layer_norm,
            engine=model.engine,
            input_init=model.input_init,
            recurrent_init=model.recurrent_init,
            forget_bias=model.forget_bias,
            zoneout_output=model.zoneout_output,
            zoneout_memory=model.zoneout_memory,
        )
        for part in (self.decoder.attention, self.decoder.readout, self.decoder.bridges):
            _initialize(part)
        tied = options.tie_embeddings or options.tie_all
        self.output = OutputLayer(
            size, target_size, weight=self.target_embedding.words if tied else None
        )

    def encode(self, source: TokenBatch) -> Encoded:
        """Read sources."""
        encoded: Encoded = self.encoder(self.source_embedding(source), source.lengths)
        return replace(encoded, states=self.memory_dropout(encoded.states))

    def begin(self, encoded: Encoded) -> tuple[Memory, DecoderState]:
        """What `step` starts from, a hypothesis for each source."""
        return self.decoder.prepare(encoded), self.decoder.initial_state(encoded)

    def step(
        self, ids: Tensor, memory: Memory, state: DecoderState
    ) -> tuple[Tensor, Tensor | None, DecoderState]:
        """Read a token of each hypothesis, int64 [N].

        Returns:
            Logits of the next, float [N, V]; weights float [N, S]; the new state.
        """
        outputs, weights, state = self.decoder.step(self._embed(ids), memory, state)
        return self.output(outputs), weights, state

    def loss(
        self,
        source: TokenBatch,
        target: TokenBatch,
        *,
        copies: Copies | None = None,
        goals: Tensor | None = None,
        smoothing: float = 0.0,
        own_share: float = 0.0,
    ) -> Loss:
        """The cross-entropy of targets, in nats over their tokens, each read after the ones before.

        Args:
            source: B rows.
            target: B rows from <bos> to <eos>; what follows <bos> is predicted.
            smoothing: of labels, see `OutputLayer.loss`.
            own_share: of the tokens read, those in whose place stands one that the network has
                drawn itself: scheduled sampling (Bengio et al. 2015, arXiv:1506.03099).
        """
        encoded = self.encode(source)
        memory, state = self.begin(encoded)
        read, lengths = target.ids[:, :-1], target.lengths - 1
        steps = torch.arange(read.shape[1], device=read.device)
        real = (steps < lengths.unsqueeze(1)).flatten().nonzero().squeeze(1)
        if own_share > 0:
            outputs = self._run_on_own(read, lengths, real, memory, state, own_share)
        else:
            outputs = self._run(read, lengths, memory, state)
        goals = target.ids[:, 1:].flatten().index_select(0, real)
        total = self.output.loss(
            outputs.flatten(0, 1).index_select(0, real), goals, smoothing=smoothing
        )
        return Loss(total=total, units=len(goals))

    def _run(self, ids: Tensor, lengths: Tensor, memory: Memory, state: DecoderState) -> Tensor:
        """Outputs float [B, T, D] after the tokens int64 [B, T]."""
        x = self.target_embedding(TokenBatch(ids=ids, lengths=lengths))
        outputs: Tensor = self.decoder(x, lengths, memory, state).outputs
        return outputs

    def _run_on_own(
        self,
        ids: Tensor,
        lengths: Tensor,
        real: Tensor,
        memory: Memory,
        state: DecoderState,
        share: float,
    ) -> Tensor:
        """`_run`, where each token but the first is, with probability `share`, one drawn by itself.

        A decoder that reads its own outputs takes step after step. Another runs twice: what it
        predicts after the true tokens is mixed in, and it runs again over the mixture (Mihaylova
        and Martins 2019, arXiv:1906.07651).
        """
        chosen = torch.rand(ids.shape, device=ids.device) < share
        chosen[:, 0] = False
        if not self.decoder.input_feeding:
            with torch.no_grad():
                outputs = self._run(ids, lengths, memory, state)
                drawn = torch.zeros_like(ids)
                drawn.view(-1)[real] = self._draw(outputs.flatten(0, 1).index_select(0, real))
            before = torch.cat([ids[:, :1], drawn[:, :-1]], dim=1)
            return self._run(torch.where(chosen, before, ids), lengths, memory, state)
        steps: list[Tensor] = []
        for time in range(ids.shape[1]):
            read = ids[:, time]
            if time and bool(chosen[:, time].any()):
                read = torch.where(chosen[:, time], self._draw(steps[-1].detach()), read)
            output, _, state = self.decoder.step(self._embed(read), memory, state)
            steps.append(output)
        return torch.stack(steps, dim=1)

    def _embed(self, ids: Tensor) -> Tensor:
        """Float [N, D] of int64 [N]."""
        batch = TokenBatch(ids=ids.unsqueeze(1), lengths=torch.ones_like(ids))
        embedded: Tensor = self.target_embedding(batch)
        return embedded.squeeze(1)

    @torch.no_grad()
    def _draw(self, outputs: Tensor) -> Tensor:
        """Next tokens int64 [N] after outputs float [N, D], by their probabilities."""
        drawn = [
            torch.multinomial(torch.softmax(self.output(block), dim=1), 1).squeeze(1)
            for block in torch.split(outputs, BLOCK)
        ]
        return torch.cat(drawn)


def _initialize(module: nn.Module) -> None:
    """Draw its linear maps as Glorot and Bengio 2010 do, with biases of zero."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


class NetworkStepper(Stepper):
    """The search's view of one network. See `Stepper`.

    Args:
        encoded: the sources, B rows.
    """

    def __init__(
        self, network: EncoderDecoder, encoded: Encoded, copies: Copies | None = None
    ) -> None:
        self.network = network
        self.vocabulary_size = network.output.vocabulary_size
        self.sources = len(encoded.mask)
        self._rows = self.sources
        self._memory, self._state = network.begin(encoded)

    def step(self, ids: Tensor) -> StepScores:
        """See `Stepper`."""
        logits, weights, self._state = self.network.step(ids, self._memory, self._state)
        return StepScores(logits=logits, weights=weights)

    def select(self, rows: Tensor) -> None:
        """See `Stepper`."""
        self._state, self._rows = self._state.select(rows), len(rows)

    def keep(self, sources: Tensor) -> None:
        """See `Stepper`."""
        each = self._rows // self.sources
        hypotheses = torch.arange(each, device=sources.device)
        self.select((sources.unsqueeze(1) * each + hypotheses).flatten())
        self._memory, self.sources = self._memory.select(sources), len(sources)
