"""Hierarchical reading: the words of each sentence, and then the sentences of the document."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from seqnlp.errors import InputError
from seqnlp.nn.affine import Affine
from seqnlp.nn.encoder import Encoder
from seqnlp.nn.engines.padding import Padding
from seqnlp.nn.pooling import LastPooling, Pooling
from seqnlp.nn.sentences import Ints, Sentences, move
from seqnlp.nn.unrolling import check_input
from seqnlp.types import Encoded, lengths_to_mask


class HierarchicalEncoder(Encoder):
    r"""Reads the words of each sentence by themselves, then the vectors of a document's sentences.

    With h_t the state of a word in its sentence, v_k the pooled states of sentence k and s_k what
    the second encoder makes of v_1, v_2, ...:

        states_t = h_t + W s_k(t) + b        summary = that of the second encoder, mapped to H

    Work and memory grow with the number of words, and no gradient passes more steps than a
    sentence has words and the document has sentences. The first levels of Nallapati et al. 2016,
    arXiv:1602.06023, section 2.3, and of Yang et al. 2016, "Hierarchical Attention Networks".

    Args:
        words: reads sentences. Its `output_size` is that of the whole, H.
        sentences: reads what `pooling` makes of them.
        most: tokens of a sentence. A document with no more is read as one, a longer sentence in
            pieces of nearly equal size; 0 for no limit.
        pooling: makes a vector of each sentence; its encoder's summary by default.

    Raises:
        InputError: an encoder that does not fit what it is to read.
    """

    def __init__(
        self, words: Encoder, sentences: Encoder, *, most: int = 0, pooling: Pooling | None = None
    ) -> None:
        super().__init__(words.input_size, words.output_size)
        pooling = LastPooling(words.output_size) if pooling is None else pooling
        if sentences.input_size != pooling.output_size:
            raise InputError(
                f"the encoder of sentences reads {sentences.input_size} features, but a sentence "
                f"is {pooling.output_size}"
            )
        if most < 0:
            raise InputError(f"most must be at least 0, not {most}")
        self.words, self.pooling, self.sentences, self.most = words, pooling, sentences, most
        self.context = Affine(sentences.output_size, self.output_size)
        same = sentences.output_size == self.output_size
        self.summary = nn.Identity() if same else Affine(sentences.output_size, self.output_size)

    def forward(self, x: Tensor, lengths: Tensor, ends: Tensor | None = None) -> Encoded:
        """Encode float [B, T, input_size], of int64 [B] real steps.

        Args:
            x: see `Encoder.forward`.
            lengths: each in 0..T.
            ends: bool [B, T], see `Sentences.of`.

        Raises:
            InputError: `x`, `lengths` or `ends` has another shape, or a length is not in 0..T.
        """
        layout = self._find(x, lengths, ends)
        read = list(self._read(x, layout))
        document = self._read_document(
            layout, [(group, self.pooling(encoded)) for group, encoded in read]
        )
        contexts = self.context(document.states.flatten(0, 1))
        states = self._add(layout, read, contexts, x.shape[0] * x.shape[1])
        return Encoded(
            states=states.view(*x.shape[:2], self.output_size),
            mask=lengths_to_mask(lengths, x.shape[1]),
            summary=self.summary(document.summary),
        )

    def read_sentences(self, x: Tensor, lengths: Tensor, ends: Tensor | None = None) -> Encoded:
        """What the second encoder makes of documents of up to S sentences: states [B, S, ...].

        Without a gradient, no more is held of the words than those of one group of sentences.
        For the arguments see `forward`.
        """
        layout = self._find(x, lengths, ends)
        read = self._read(x, layout)
        return self._read_document(
            layout, [(group, self.pooling(encoded)) for group, encoded in read]
        )

    def _find(self, x: Tensor, lengths: Tensor, ends: Tensor | None) -> Sentences:
        check_input(x, self.input_size)
        Padding.of(lengths.cpu(), x)  # refuses what is no length
        return Sentences.of(lengths, ends, x.shape[1], most=self.most)

    def _read(self, x: Tensor, layout: Sentences) -> Iterator[tuple[Ints, Encoded]]:
        """Groups of sentences, and what the first encoder makes of each."""
        rows = x.flatten(0, 1)
        for group in layout.groups():
            sources, places, longest = layout.tokens(group)
            own = move(rows, sources, places, len(group) * longest)
            lengths = torch.from_numpy(layout.sizes[group]).to(x.device)
            yield group, self.words(own.view(len(group), longest, -1), lengths)

    def _read_document(self, layout: Sentences, vectors: list[tuple[Ints, Tensor]]) -> Encoded:
        """The second encoder over the vectors of groups of sentences."""
        weight = self.context.weight
        rows = weight.new_zeros(len(layout.counts) * layout.width, self.sentences.input_size)
        if vectors:
            order = np.concatenate([group for group, _ in vectors])
            found = torch.cat([each for _, each in vectors])
            rows = move(found, np.arange(len(order)), layout.slots(order), len(rows))
        counts = torch.from_numpy(layout.counts).to(weight.device)
        encoded: Encoded = self.sentences(
            rows.view(len(counts), layout.width, self.sentences.input_size), counts
        )
        return encoded

    def _add(
        self, layout: Sentences, read: list[tuple[Ints, Encoded]], contexts: Tensor, size: int
    ) -> Tensor:
        """The states of words, each with the context of its sentence, at their places in B * T."""
        if not read:
            return contexts.new_zeros(size, self.output_size)
        parts, sources, places, begin = [], [], [], 0
        for group, encoded in read:
            own = move(contexts, layout.slots(group), np.arange(len(group)), len(group))
            parts.append((encoded.states + own.unsqueeze(1)).flatten(0, 1))
            found, at, _ = layout.tokens(group)
            sources.append(begin + at)
            places.append(found)
            begin += len(parts[-1])
        return move(torch.cat(parts), np.concatenate(sources), np.concatenate(places), size)

    def extra_repr(self) -> str:
        """The limit, for printing."""
        return f"most={self.most}"
