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


class SentenceEncoder(nn.Module):
    """Reads the words of each sentence by themselves, then the vectors of a document's sentences.

    Args:
        words: reads sentences.
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
        super().__init__()
        pooling = LastPooling(words.output_size) if pooling is None else pooling
        if sentences.input_size != pooling.output_size:
            raise InputError(
                f"the encoder of sentences reads {sentences.input_size} features, but a sentence "
                f"is {pooling.output_size}"
            )
        if most < 0:
            raise InputError(f"most must be at least 0, not {most}")
        self.words, self.pooling, self.sentences, self.most = words, pooling, sentences, most
        self.input_size, self.output_size = words.input_size, sentences.output_size

    def forward(self, x: Tensor, lengths: Tensor, ends: Tensor | None = None) -> Encoded:
        """What is made of documents of up to S sentences: states float [B, S, output_size].

        Without a gradient, no more is held of the words than those of one group of sentences.

        Args:
            x: float [B, T, input_size], see `Encoder.forward`.
            lengths: int64 [B], each in 0..T.
            ends: bool [B, T], see `Sentences.of`.

        Raises:
            InputError: `x`, `lengths` or `ends` has another shape, or a length is not in 0..T.
        """
        layout = self.find(x, lengths, ends)
        read = self.read(x, layout)
        return self.read_document(
            layout, [(group, self.pooling(encoded)) for group, encoded in read], x
        )

    def find(self, x: Tensor, lengths: Tensor, ends: Tensor | None) -> Sentences:
        """Where the sentences are; see `forward`."""
        check_input(x, self.input_size)
        Padding.of(lengths.cpu(), x)  # refuses what is no length
        return Sentences.of(lengths, ends, x.shape[1], most=self.most)

    def read(self, x: Tensor, layout: Sentences) -> Iterator[tuple[Ints, Encoded]]:
        """Groups of sentences, and what the first encoder makes of each."""
        rows = x.flatten(0, 1)
        for group in layout.groups():
            sources, places, longest = layout.tokens(group)
            own = move(rows, sources, places, len(group) * longest)
            lengths = torch.from_numpy(layout.sizes[group]).to(x.device)
            yield group, self.words(own.view(len(group), longest, -1), lengths)

    def read_document(
        self, layout: Sentences, vectors: list[tuple[Ints, Tensor]], like: Tensor
    ) -> Encoded:
        """The second encoder over the vectors of groups of sentences, of the type of `like`."""
        rows = like.new_zeros(len(layout.counts) * layout.width, self.sentences.input_size)
        if vectors:
            order = np.concatenate([group for group, _ in vectors])
            found = torch.cat([each for _, each in vectors])
            rows = move(found, np.arange(len(order)), layout.slots(order), len(rows))
        counts = torch.from_numpy(layout.counts).to(rows.device)
        encoded: Encoded = self.sentences(
            rows.view(len(counts), layout.width, self.sentences.input_size), counts
        )
        return encoded

    def extra_repr(self) -> str:
        """The limit, for printing."""
        return f"most={self.most}"


class HierarchicalEncoder(Encoder):
    r"""States of words that know their sentence, and by it the whole document.

    With h_t the state of a word in its sentence, and s_k that of sentence k among the others:

        states_t = h_t + W s_k(t) + b        summary = that of the sentences, mapped to H

    Work and memory grow with the number of words, and no gradient passes more steps than a
    sentence has words and the document has sentences. The first levels of Nallapati et al. 2016,
    arXiv:1602.06023, section 2.3, and of Yang et al. 2016, "Hierarchical Attention Networks".

    Args:
        reader: its encoder of words has the `output_size` of the whole, H.
    """

    def __init__(self, reader: SentenceEncoder) -> None:
        super().__init__(reader.input_size, reader.words.output_size)
        self.reader = reader
        self.context = Affine(reader.output_size, self.output_size)
        same = reader.output_size == self.output_size
        self.summary = nn.Identity() if same else Affine(reader.output_size, self.output_size)

    def forward(self, x: Tensor, lengths: Tensor, ends: Tensor | None = None) -> Encoded:
        """Encode float [B, T, input_size], of int64 [B] real steps; see `SentenceEncoder.forward`.

        Raises:
            InputError: `x`, `lengths` or `ends` has another shape, or a length is not in 0..T.
        """
        reader = self.reader
        layout = reader.find(x, lengths, ends)
        read = list(reader.read(x, layout))
        document = reader.read_document(
            layout, [(group, reader.pooling(encoded)) for group, encoded in read], x
        )
        contexts = self.context(document.states.flatten(0, 1))
        states = self._add(layout, read, contexts, x.shape[0] * x.shape[1])
        return Encoded(
            states=states.view(*x.shape[:2], self.output_size),
            mask=lengths_to_mask(lengths, x.shape[1]),
            summary=self.summary(document.summary),
        )

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
