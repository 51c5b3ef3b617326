"""From rows of sources to texts: batches are searched, what is found becomes predictions."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from seqnlp.errors import InputError
from seqnlp.tasks.alignment import words_of
from seqnlp.tasks.choosing import Chooser, Draft
from seqnlp.tasks.decoding import EnsembleStepper, Found, replace_unknown, search
from seqnlp.tasks.neighbors import Near
from seqnlp.tasks.network_stepper import NetworkStepper
from seqnlp.tasks.rows import Ints
from seqnlp.tasks.sequence import EncoderDecoder
from seqnlp.tasks.sequence_rows import SourceRows
from seqnlp.text.normalize import capitalize
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.vocabulary import BOS, EOS, Vocabulary
from seqnlp.types import Hypothesis, Prediction, TokenBatch

Floats: TypeAlias = NDArray[np.float32]
_Named: TypeAlias = tuple[Found, tuple[str, ...]]
NOTHING = Prediction(output="")
"""The answer to an empty text."""


class Writer:
    """Answers sources with what networks find together, by the mean of their probabilities.

    A prefix, and phrases that must occur, are for the first part of a text that is read in parts.

    Args:
        networks: in evaluation mode, of one vocabulary.
        source: the pipeline of what is read.
        pipeline: of the target.
        chooser: how to search, and what to give of what is found.
        sentence_case: whether the first letter of an answer is written in upper case.
        want_weights: whether hypotheses have their attention.
    """

    def __init__(
        self,
        networks: Sequence[EncoderDecoder],
        source: TokenPipeline,
        pipeline: TokenPipeline,
        chooser: Chooser,
        *,
        sentence_case: bool,
        want_weights: bool,
    ) -> None:
        self.networks, self.chooser = networks, chooser
        decoding = self.decoding = chooser.search
        self.source, self.pipeline = source, pipeline
        self.sentence_case = sentence_case
        self.want_weights = want_weights or decoding.replace_unknown == "attention"
        assert pipeline.vocabulary is not None
        self._vocabulary: Vocabulary = pipeline.vocabulary
        self._prefix = self._ids(pipeline.tokens(decoding.prefix), "prefix", decoding.prefix)
        self._constraints = [self._phrase(phrase) for phrase in decoding.constraints]

    def write(self, rows: SourceRows, *, batch_size: int) -> list[Prediction]:
        """Predictions for the documents behind the rows, in their order."""
        documents = rows.source.documents
        found: list[list[_Named]] = [[] for _ in documents]
        asked = np.flatnonzero(~rows.blank[documents])
        # The longest first: a batch too large for the memory fails at once.
        order = asked[np.argsort(-rows.lengths[asked], kind="stable")]
        for begin in range(0, len(order), batch_size):
            indices = order[begin : begin + batch_size]
            for index, one in zip(indices, self._search(rows, indices), strict=True):
                found[index] = one
        ends = np.searchsorted(documents, np.arange(len(rows.blank) + 1))
        near = self._near(rows)
        return [
            NOTHING
            if rows.blank[number]
            else self._compose(rows, found, range(*ends[number:][:2]), near[number])
            for number in range(len(rows.blank))
        ]

    def _near(self, rows: SourceRows) -> Sequence[Near]:
        """For each document, what is nearest to it in train, as the model would write it."""
        if not self.decoding.neighbors:
            return [[]] * len(rows.blank)
        pipeline = self.pipeline
        return [
            [(pipeline.tokenizer.detokenize(pipeline.tokens(text)), near) for text, near in found]
            for found in self.chooser.near(rows.texts())
        ]

    def _search(self, rows: SourceRows, indices: Ints) -> list[list[_Named]]:
        """What is found for rows, each output with its tokens."""
        read = rows.batch(indices)
        batch = read.to(self.networks[0].output.weight.device)
        source, copies = batch.source, batch.copies
        steppers = [NetworkStepper(each, each.encode(source), copies) for each in self.networks]
        vocabulary, documents = self._vocabulary, rows.source.documents
        parts = (indices - np.searchsorted(documents, documents[indices])).tolist()
        forbidden = [vocabulary.pad, vocabulary.special(BOS)]
        if self.pipeline.tokenizer.lossless or copies is not None:
            forbidden.append(vocabulary.unk)  # every text can be written without
        found = search(
            steppers[0] if len(steppers) == 1 else EnsembleStepper(steppers),
            self.decoding,
            bos=vocabulary.special(BOS),
            eos=vocabulary.special(EOS),
            source_lengths=source.lengths,
            forbidden=forbidden,
            prefixes=[() if part else self._prefix for part in parts],
            constraints=[() if part else self._constraints for part in parts],
            numbers=_numbers(read.source, parts) if self.decoding.sample else None,
            want_weights=self.want_weights,
        )
        size = len(vocabulary) if rows.copies is None else rows.copies.outputs

        def tokens(ids: Sequence[int], slots: Sequence[str]) -> tuple[str, ...]:
            return tuple(vocabulary.token(id) if id < size else slots[id - size] for id in ids)

        return [
            [(one, tokens(one.ids, slots)) for one in own]
            for own, slots in zip(found, rows.slot_names(indices), strict=True)
        ]

    def _compose(
        self, rows: SourceRows, found: Sequence[Sequence[_Named]], parts: range, near: Near
    ) -> Prediction:
        """The prediction for a document of one row or more.

        Each part is chosen for itself; neighbors are of whole documents.
        """
        names = [rows.source.names(part) for part in parts]
        drafts = [
            self.chooser.order(
                [self._draft(one, names[number]) for one in found[part]],
                near if len(parts) == 1 else [],
            )
            for number, part in enumerate(parts)
        ]
        most = max(map(len, drafts))
        hypotheses = tuple(
            self._join([each[min(rank, len(each) - 1)] for each in drafts]) for rank in range(most)
        )
        return Prediction(
            output=hypotheses[0].text,
            hypotheses=hypotheses,
            source_tokens=tuple(name for each in names for name in each),
        )

    def _draft(self, named: _Named, source: Sequence[str]) -> Draft:
        found, tokens = named
        weights = None
        if found.weights is not None:
            weights = np.asarray(found.weights[:, : len(source)], dtype=np.float32)
        unknown = [id == self._vocabulary.unk for id in found.ids]
        replaces = self.decoding.replace_unknown == "attention" and any(unknown)
        if weights is not None and replaces:
            # Not the end of the source, which is no word.
            words = words_of(source[:-1], self.source.tokenizer)
            tokens = tuple(replace_unknown(tokens, unknown, weights, words))
        return Draft(
            text=self.pipeline.tokenizer.detokenize(tokens).strip(),
            tokens=tokens,
            score=found.score,
            log_probability=found.log_probability,
            weights=weights,
        )

    def _join(self, drafts: Sequence[Draft]) -> Hypothesis:
        text = " ".join(filter(None, (draft.text for draft in drafts)))
        logs = [draft.log_probability for draft in drafts]
        return Hypothesis(
            text=capitalize(text) if self.sentence_case else text,
            score=sum(draft.score for draft in drafts),
            log_probability=None if None in logs else sum(filter(None, logs)),
            tokens=tuple(token for draft in drafts for token in draft.tokens),
            attention=_blocks([draft.weights for draft in drafts]),
        )

    def _phrase(self, phrase: str) -> list[int]:
        """The ids of a phrase within a text, where its first word is not the first of all."""
        tokens = self.pipeline.tokens
        before = tokens("a")
        inside = tokens(f"a {phrase}")
        cut = inside[len(before) :] if inside[: len(before)] == before else tokens(phrase)
        return self._ids(cut, "constraints", phrase)

    def _ids(self, tokens: Sequence[str], key: str, text: str) -> list[int]:
        for token in tokens:
            if token not in self._vocabulary:
                raise InputError(
                    f"decoding.{key}: {text!r} has {token!r}, which the model cannot write: it is "
                    "not in its vocabulary"
                )
        return self._vocabulary.ids(tokens)


def _numbers(source: TokenBatch, parts: Sequence[int]) -> list[int]:
    """A number for each row that depends on nothing but what stands in it and which part it is.

    So draws for a text are the same alone, in a file, and through a pipe.
    """
    ids = source.ids.numpy().astype("<i8")
    rows = zip(ids, source.lengths.tolist(), parts, strict=True)
    digests = (blake2b(row[:size].tobytes() + b"%d" % n, digest_size=7) for row, size, n in rows)
    return [int.from_bytes(digest.digest(), "little") for digest in digests]


def _blocks(weights: Sequence[Floats | None]) -> Floats | None:
    """The attention of parts one after another: [T + 1, S], each part's rows over its own columns.

    The ends of all parts but the last have no row.
    """
    found = [each for each in weights if each is not None]
    if len(found) != len(weights):
        return None
    if len(found) == 1:
        return found[0]
    rows = [len(each) - 1 for each in found[:-1]] + [len(found[-1])]
    whole = np.zeros((sum(rows), sum(each.shape[1] for each in found)), dtype=np.float32)
    row = column = 0
    for each, count in zip(found, rows, strict=True):
        whole[row : row + count, column : column + each.shape[1]] = each[:count]
        row, column = row + count, column + each.shape[1]
    return whole
