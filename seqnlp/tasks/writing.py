"""From rows of sources to texts: batches are searched, what is found becomes predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from seqnlp.tasks.alignment import words_of
from seqnlp.tasks.choosing import Chooser, Draft, within
from seqnlp.tasks.copying import copy_probabilities
from seqnlp.tasks.decoding import EnsembleStepper, Found, UsualLength, replace_unknown, search
from seqnlp.tasks.demands import Demands
from seqnlp.tasks.neighbors import Near
from seqnlp.tasks.network_stepper import NetworkStepper
from seqnlp.tasks.rows import Ints
from seqnlp.tasks.sequence import EncoderDecoder
from seqnlp.tasks.sequence_rows import SourceRows
from seqnlp.tasks.written_words import first_words, whole_words
from seqnlp.text.normalize import capitalize
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.tidy import balance
from seqnlp.text.truecase import Truecaser
from seqnlp.text.vocabulary import BOS, EOS, Vocabulary
from seqnlp.types import Hypothesis, Prediction, TokenBatch

Floats: TypeAlias = NDArray[np.float32]
_Named: TypeAlias = tuple[Found, tuple[str, ...]]
NOTHING = Prediction(output="")
"""The answer to an empty text."""
MOST_WEIGHTS = 1 << 27
"""Of the attention to a text that is read in parts: it grows with the square of their number."""


class Writer:
    """Answers sources with what networks find together, by the mean of their probabilities.

    A prefix, and phrases that must occur, are for the first part of a text that is read in parts.

    Args:
        networks: in evaluation mode, of one vocabulary.
        source: the pipeline of what is read.
        pipeline: of the target.
        chooser: how to search, and what to give of what is found.
        usual_length: of answers, as it was measured on train.
        sentence_case: whether the first letter of an answer is written in upper case.
        truecaser: gives answers their letter case, where they are written without.
        want_weights: whether hypotheses have their attention.
        want_copies: whether the best hypothesis of each text says what was copied.
    """

    def __init__(
        self,
        networks: Sequence[EncoderDecoder],
        source: TokenPipeline,
        pipeline: TokenPipeline,
        chooser: Chooser,
        *,
        usual_length: UsualLength | None,
        sentence_case: bool,
        truecaser: Truecaser | None = None,
        want_weights: bool,
        want_copies: bool = False,
    ) -> None:
        self.usual_length, self.want_copies = usual_length, want_copies
        self.networks, self.chooser = networks, chooser
        decoding = self.decoding = chooser.search
        self.source, self.pipeline = source, pipeline
        self.sentence_case, self.truecaser = sentence_case, truecaser
        self.want_weights = want_weights or decoding.replace_unknown == "attention"
        assert pipeline.vocabulary is not None
        self._vocabulary: Vocabulary = pipeline.vocabulary
        output, copies = networks[0].output, networks[0].pointer is not None
        self._demands = Demands(pipeline, decoding, outputs=output.classes, copies=copies)

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
        drafts: list[list[Draft]] = [[] for _ in documents]
        near = self._near(rows)
        for index in asked.tolist():
            document = documents[index]
            # Each part is chosen for itself; neighbors are of whole documents.
            alone = ends[document + 1] - ends[document] == 1
            source = rows.source.names(index)
            own = [self._draft(one, source) for one in found[index]]
            drafts[index] = self.chooser.order(own, near[document] if alone else [])
        if self.want_copies:
            self._explain(rows, order, drafts, batch_size)
        answers = [
            NOTHING
            if rows.blank[number]
            else self._compose(rows, drafts, range(*ends[number:][:2]))
            for number in range(len(rows.blank))
        ]
        if (truecaser := self.truecaser) is None:
            return answers
        pairs = zip(answers, rows.texts(), strict=True)
        return [_spelled(answer, text, truecaser) for answer, text in pairs]

    def _explain(
        self, rows: SourceRows, order: Ints, drafts: Sequence[list[Draft]], batch_size: int
    ) -> None:
        """Let the best drafts of rows say what was copied."""
        for begin in range(0, len(order), batch_size):
            indices = order[begin : begin + batch_size]
            outputs = [drafts[index][0].tokens for index in indices]
            found = copy_probabilities(self.networks, self._vocabulary, rows, indices, outputs)
            for index, copied in zip(indices, found, strict=True):
                drafts[index][0] = replace(drafts[index][0], copied=copied)

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
        slots = rows.slot_names(indices)
        forced: list[tuple[list[int], list[list[int]]]] = [([], []) for _ in parts]
        if self.decoding.prefix or self.decoding.constraints:
            forced = [
                ([], []) if part else self._demands.forced(own, rows.source.names(index)[:-1])
                for index, part, own in zip(indices, parts, slots, strict=True)
            ]
        limited = self.decoding.max_words is not None
        found = search(
            steppers[0] if len(steppers) == 1 else EnsembleStepper(steppers),
            self.decoding,
            bos=vocabulary.special(BOS),
            eos=vocabulary.special(EOS),
            source_lengths=source.lengths,
            forbidden=forbidden,
            prefixes=[prefix for prefix, _ in forced],
            constraints=[phrases for _, phrases in forced],
            numbers=_numbers(read.source, parts) if self.decoding.sample else None,
            words=self._demands.words(slots, source.lengths.device) if limited else None,
            usual_length=self.usual_length,
            want_weights=self.want_weights,
        )
        size = len(vocabulary) if rows.copies is None else rows.copies.outputs

        def named(one: Found, slots: Sequence[str]) -> _Named:
            ids = one.ids if one.cut is None else (*one.ids, one.cut)
            tokens = [vocabulary.token(id) if id < size else slots[id - size] for id in ids]
            if one.cut is None:
                return one, tuple(tokens)
            kept = whole_words(tokens[:-1], tokens[-1], self.pipeline.tokenizer)
            return one, tuple(tokens[:kept])

        return [[named(one, own) for one in each] for each, own in zip(found, slots, strict=True)]

    def _compose(
        self, rows: SourceRows, drafts: Sequence[Sequence[Draft]], parts: range
    ) -> Prediction:
        """The prediction for a document of one row or more."""
        own = [drafts[part] for part in parts]
        hypotheses = tuple(
            self._join([each[min(rank, len(each) - 1)] for each in own])
            for rank in range(max(map(len, own)))
        )
        return Prediction(
            output=hypotheses[0].text,
            hypotheses=hypotheses,
            source_tokens=tuple(name for part in parts for name in rows.source.names(part)),
        )

    def _draft(self, named: _Named, source: Sequence[str]) -> Draft:
        found, tokens = named
        weights = None
        if found.weights is not None:
            weights = np.asarray(found.weights[:, : len(source)], dtype=np.float32)
            if len(tokens) < len(found.ids):
                weights = np.concatenate([weights[: len(tokens)], weights[-1:]])
        unknown = [id == self._vocabulary.unk for id in found.ids[: len(tokens)]]
        replaces = self.decoding.replace_unknown == "attention" and any(unknown)
        if weights is not None and replaces:
            # Not the end of the source, which is no word.
            words = words_of(source[:-1], self.source.tokenizer)
            tokens = tuple(replace_unknown(tokens, unknown, weights, words))
        return Draft(
            text=self._text(tokens),
            tokens=tokens,
            score=found.score,
            log_probability=found.log_probability,
            weights=weights,
        )

    def _text(self, tokens: Sequence[str]) -> str:
        """Their text, without letters in part and, if asked for, marks without their partner."""
        text = self.pipeline.tokenizer.detokenize(tokens).replace("\ufffd", "").strip()
        if self.decoding.tidy:
            text = balance(text)
        # What is forced may be more words; a tokenizer may part what it joins elsewhere.
        if self.decoding.max_words is None or self.decoding.prefix or self.decoding.constraints:
            return text
        text = first_words(text, self.decoding.max_words)
        return balance(text) if self.decoding.tidy else text

    def _join(self, drafts: Sequence[Draft]) -> Hypothesis:
        if len(drafts) > 1 and self.decoding.max_words is not None:
            drafts = within(drafts, self.decoding.max_words)
        text = " ".join(filter(None, (draft.text for draft in drafts)))
        logs = [draft.log_probability for draft in drafts]
        return Hypothesis(
            text=capitalize(text) if self.sentence_case else text,
            score=sum(draft.score for draft in drafts),
            log_probability=None if None in logs else sum(filter(None, logs)),
            tokens=tuple(token for draft in drafts for token in draft.tokens),
            attention=_blocks([draft.weights for draft in drafts]),
            copied=_blocks([draft.copied for draft in drafts]),
        )


def _spelled(answer: Prediction, source: str, truecaser: Truecaser) -> Prediction:
    """The answer with letter case; nothing is left nothing."""
    if not answer.hypotheses:
        return answer
    texts = truecaser.write([each.text for each in answer.hypotheses], source)
    pairs = zip(answer.hypotheses, texts, strict=True)
    hypotheses = tuple(replace(each, text=text) for each, text in pairs)
    return replace(answer, output=texts[0], hypotheses=hypotheses)


def _numbers(source: TokenBatch, parts: Sequence[int]) -> list[int]:
    """A number for each row that depends on nothing but what stands in it and which part it is.

    So draws for a text are the same alone, in a file, and through a pipe.
    """
    ids = source.ids.numpy().astype("<i8")
    rows = zip(ids, source.lengths.tolist(), parts, strict=True)
    digests = (blake2b(row[:size].tobytes() + b"%d" % n, digest_size=7) for row, size, n in rows)
    return [int.from_bytes(digest.digest(), "little") for digest in digests]


def _blocks(weights: Sequence[Floats | None]) -> Floats | None:
    """What is known of parts one after another: [T + 1, S], a part's rows over its own columns.

    The ends of all parts but the last have no row. None where it would be over `MOST_WEIGHTS`.
    """
    found = [each for each in weights if each is not None]
    if len(found) != len(weights):
        return None
    if len(found) == 1:
        return found[0]
    rows = [len(each) - 1 for each in found[:-1]] + [len(found[-1])]
    shape = sum(rows), sum(each.shape[1] for each in found)
    if shape[0] * shape[1] > MOST_WEIGHTS:
        return None
    whole = np.zeros(shape, dtype=np.float32)
    row = column = 0
    for each, count in zip(found, rows, strict=True):
        whole[row : row + count, column : column + each.shape[1]] = each[:count]
        row, column = row + count, column + each.shape[1]
    return whole
