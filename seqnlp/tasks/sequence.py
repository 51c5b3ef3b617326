"""The network of tasks that write a sequence: encoder, decoder with attention, output layer."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from seqnlp.config import ModelSettings
from seqnlp.errors import InputError, SettingsError
from seqnlp.nn.decoder import DecoderState
from seqnlp.nn.dropout import DropoutSite
from seqnlp.nn.embedding import TokenEmbedding
from seqnlp.nn.hierarchy import HierarchicalEncoder
from seqnlp.nn.initialization import glorot
from seqnlp.nn.output import OutputLayer
from seqnlp.nn.pointer import Pointer, copied, coverage_loss, mix
from seqnlp.nn.selection import SelectionGate
from seqnlp.tasks.classifier import build_encoder, build_sentence_encoder
from seqnlp.tasks.decoders import DecoderOptions, build_decoder
from seqnlp.tasks.own_tokens import Run, run_on_own
from seqnlp.types import Copies, Encoded, Loss, Memory, TokenBatch, lengths_to_mask

UNKNOWN = 1
"""The id of the unknown token in every vocabulary."""


class EncoderDecoder(nn.Module):
    """The probability of a target sequence, token by token, given a source sequence.

    Dropout sites: word, embedding (of both sides), memory (the states that the attention reads),
    and those of encoder and decoder.

    Args:
        model: sizes and the encoder.
        options: the decoder.
        source_size, target_size: of both vocabularies; padding has the id 0, what is unknown 1.
        outputs: V, how many tokens of the target's vocabulary can be generated, the first; None
            for all.
        buckets: n-gram vectors of the source.

    Raises:
        SettingsError: copying or coverage, and a decoder that gives no weights.
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
        most = options.sentence_tokens
        others = options.model_keys
        self.encoder = (
            HierarchicalEncoder(build_sentence_encoder(model, size, most=most, others=others))
            if most
            else build_encoder(model, size, others=others)
        )
        self.reads_sentences = most > 0
        self.memory_dropout = DropoutSite("memory")
        memory_size = self.encoder.output_size
        self.decoder = build_decoder(model, options, input_size=size, memory_size=memory_size)
        if not self.decoder.gives_weights:
            _refuse_without_weights(options)
        tied = options.tie_embeddings or options.tie_all
        self.output = OutputLayer(
            size,
            target_size,
            weight=self.target_embedding.words if tied else None,
            classes=outputs,
        )
        self.pointer = Pointer(size, size) if options.copying else None
        self.selection = SelectionGate(memory_size, memory_size) if options.selection_gate else None
        glorot(self.pointer, self.selection)
        self.coverage_factor = options.coverage_loss

    def encode(self, source: TokenBatch) -> Encoded:
        """Read sources."""
        ends = (source.ends,) if self.reads_sentences else ()
        encoded: Encoded = self.encoder(self.source_embedding(source), source.lengths, *ends)
        if self.selection is not None:
            encoded = self.selection(encoded)
        return replace(encoded, states=self.memory_dropout(encoded.states))

    def begin(self, encoded: Encoded) -> tuple[Memory, DecoderState]:
        """What the decoder starts from, a hypothesis for each source."""
        return self.decoder.prepare(encoded), self.decoder.initial_state(encoded)

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

        In training the coverage loss is added to it, times its factor.

        Args:
            source: B rows.
            target: B rows from <bos> to <eos>; what follows <bos> is predicted.
            copies: what can be copied, for a network that does.
            goals: int64 [B, T], the extended ids (see `Copies`) of what is predicted, where the
                target's own are not. Where there is copying, the unknown token counts nowhere.
            smoothing: of labels, see `OutputLayer.loss`; of what is generated alone.
            own_share: of the tokens read, those in whose place stands one that the network has
                drawn itself: scheduled sampling (Bengio et al. 2015, arXiv:1506.03099).

        Raises:
            InputError: the network copies, and is not told what.
        """
        copies = self.check_copies(copies)
        encoded = self.encode(source)
        memory, state = self.begin(encoded)
        read, lengths = target.ids[:, :-1], target.lengths - 1
        real = lengths_to_mask(lengths, read.shape[1])
        if own_share > 0:
            run = run_on_own(self, read, real, memory, state, copies, own_share)
        else:
            run = self.run(read, lengths, memory, state)
        counted = real if goals is None or copies is None else real & (goals != UNKNOWN)
        goals = target.ids[:, 1:] if goals is None else goals
        places = counted.flatten().nonzero().squeeze(1)
        if copies is None:
            total = self.output.loss(
                _take(run.outputs, places), _take(goals, places), smoothing=smoothing
            )
        else:
            found, means = self._log_probabilities(run, copies, goals, places)
            total = -(1 - smoothing) * found.sum()
            if smoothing:
                total = total - smoothing * means.sum()
        if self.coverage_factor and self.training:
            assert run.weights is not None
            total = total + self.coverage_factor * coverage_loss(run.weights, real)
        return Loss(total=total, units=len(places))

    def explain(
        self, source: TokenBatch, target: TokenBatch, copies: Copies, goals: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Which tokens of given targets were copied, and from where.

        Args:
            source: B rows.
            target: see `loss`, and so are `copies` and `goals`.

        Returns:
            g, the share of what is generated at each step, float [B, T]; and float [B, T, S], the
            probability that the goal was copied from a source position, given that it is the goal:
            0 where the goal is unknown. Both are 0 on padding.

        Raises:
            InputError: the network copies nothing.
        """
        if self.pointer is None:
            raise InputError("this network copies nothing, so that there is nothing to explain")
        read, lengths = target.ids[:, :-1], target.lengths - 1
        run = self.run(read, lengths, *self.begin(self.encode(source)))
        assert run.weights is not None
        real = lengths_to_mask(lengths, read.shape[1])
        places = (real & (goals != UNKNOWN)).flatten().nonzero().squeeze(1)
        found, _ = self._log_probabilities(run, copies, goals, places)
        log_p = torch.full_like(real, torch.inf, dtype=found.dtype)
        log_p.view(-1)[places] = found
        log_g, log_copied = self.pointer(run.outputs, run.inputs)
        shares = (log_copied - log_p).exp().unsqueeze(2)
        return log_g.exp() * real, copied(run.weights, copies.ids, goals) * shares

    def check_copies(self, copies: Copies | None) -> Copies | None:
        """What can be copied, None for a network that copies nothing.

        Raises:
            InputError: the network copies, and is not told what.
        """
        if self.pointer is None:
            return None
        if copies is None:
            raise InputError("this network copies, so that it must be told what: give `copies`")
        return copies

    def run(self, ids: Tensor, lengths: Tensor, memory: Memory, state: DecoderState) -> Run:
        """What the decoder says after each of the tokens int64 [B, T]."""
        x = self.target_embedding(TokenBatch(ids=ids, lengths=lengths))
        wanted = self.pointer is not None or self.coverage_factor > 0
        decoded = self.decoder(x, lengths, memory, state, want_weights=wanted)
        return Run(outputs=decoded.outputs, inputs=x, weights=decoded.weights)

    def embed(self, ids: Tensor) -> Tensor:
        """Float [N, D] of int64 [N]."""
        batch = TokenBatch(ids=ids.unsqueeze(1), lengths=torch.ones_like(ids))
        embedded: Tensor = self.target_embedding(batch)
        return embedded.squeeze(1)

    def _log_probabilities(
        self, run: Run, copies: Copies, goals: Tensor, places: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Of the goals [B, T] at N places; of those M that can be generated the classes' mean."""
        assert self.pointer is not None
        assert run.weights is not None
        attention = _take(copied(run.weights, copies.ids, goals).sum(2), places)
        outputs, wanted = _take(run.outputs, places), _take(goals, places)
        shares = self.pointer(outputs, _take(run.inputs, places))
        able = (wanted < self.output.classes).nonzero().squeeze(1)
        if len(able) == len(wanted):
            generated, means = self.output.log_probabilities(outputs, wanted)
        else:
            own, means = self.output.log_probabilities(outputs[able], wanted[able])
            never = torch.full_like(attention, -torch.inf, dtype=own.dtype)
            generated = never.index_copy(0, able, own)
        return mix(shares, generated, attention), means


def _take(x: Tensor, places: Tensor) -> Tensor:
    """Steps [N, ...] of [B, T, ...]."""
    return x.flatten(0, 1).index_select(0, places)


def _refuse_without_weights(options: DecoderOptions) -> None:
    for key in ("copying", "coverage_loss"):
        if getattr(options, key):
            raise SettingsError(
                f"head.{key}: needs weights over the source, and the decoder {options.decoder!r} "
                "gives none"
            )
