"""From rows of sources to texts: batches are searched, what is found becomes predictions."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import TypeAlias

import numpy as np

from seqnlp.tasks.alignment import words_of
from seqnlp.tasks.choosing import Chooser, Draft
from seqnlp.tasks.copying import copy_probabilities
from seqnlp.tasks.decoding import (
    Certain,
    EnsembleStepper,
    Found,
    UsualLength,
    drained,
    replace_unknown,
    searching,
)
from seqnlp.tasks.demands import Demands
from seqnlp.tasks.joined_parts import blocks, within
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

Named: TypeAlias = tuple[Found, tuple[str, ...]]
"""What was found, and its tokens."""
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
        found: list[list[Named]] = [[] for _ in rows.source.documents]
        asked = np.flatnonzero(~rows.blank[rows.source.documents])
        # The longest first: a batch too large for the memory fails at once.
        order = asked[np.argsort(-rows.lengths[asked], kind="stable")]
        for begin in range(0, len(order), batch_size):
            indices = order[begin : begin + batch_size]
            answers = drained(self.searching)(rows, indices)
            for index, one in zip(indices, answers, strict=True):
                found[index] = one
        return self.compose(rows, order, found, batch_size=batch_size)

    def compose(
        self, rows: SourceRows, order: Ints, found: Sequence[Sequence[Named]], *, batch_size: int
    ) -> list[Prediction]:
        """The predictions for all documents.

        Args:
            rows: of them.
            order: int64, the rows that were searched for, as they are to be explained.
            found: for each row what `searching` gives.
            batch_size: of explanations.
        """
        documents = rows.source.documents
        ends = np.searchsorted(documents, np.arange(len(rows.blank) + 1))
        drafts: list[list[Draft]] = [[] for _ in documents]
        near = self._near(rows)
        for index in order.tolist():
            document = documents[index]
            # Each part is chosen for itself; neighbors are of whole documents.
            alone = ends[document + 1] - ends[document] == 1
            source = rows.source.names(index)
            own = [self.draft(one, source) for one in found[index]]
            drafts[index] = self.chooser.order(own, near[document] if alone else [])
        if self.want_copies:
            self._explain(rows, order, drafts, batch_size)
        answers = [
            NOTHING
            if rows.blank[number]
            else self._document(rows, drafts, range(*ends[number:][:2]))
            for number in range(len(rows.blank))
        ]
        if (truecaser := self.truecaser) is None:
            return answers
        pairs = zip(answers, rows.texts(), strict=True)
        return [spelled(answer, text, truecaser) for answer, text in pairs]

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

    def searching(
        self, rows: SourceRows, indices: Ints, *, watched: bool = False
    ) -> Generator[list[Certain], None, list[list[Named]]]:
        """What is found for rows; if `watched`, after each step what is certain of it."""
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
        found = yield from searching(
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
            watched=watched,
        )
        return [
            [self.named(rows, own, one) for one in each]
            for each, own in zip(found, slots, strict=True)
        ]

    def named(self, rows: SourceRows, slots: Sequence[str], one: Found) -> Named:
        """What was found for a row with these slots to copy from, without a broken last word."""
        names = self._vocabulary
        size = len(names) if rows.copies is None else rows.copies.outputs
        ids = one.ids if one.cut is None else (*one.ids, one.cut)
        tokens = [names.token(id) if id < size else slots[id - size] for id in ids]
        if one.cut is None:
            return one, tuple(tokens)
        kept = whole_words(tokens[:-1], tokens[-1], self.pipeline.tokenizer)
        return one, tuple(tokens[:kept])

    def _document(
        self, rows: SourceRows, drafts: Sequence[Sequence[Draft]], parts: range
    ) -> Prediction:
        """The prediction for a document of one row or more."""
        own = [drafts[part] for part in parts]
        hypotheses = tuple(
            self.join([each[min(rank, len(each) - 1)] for each in own])
            for rank in range(max(map(len, own)))
        )
        return Prediction(
            output=hypotheses[0].text,
            hypotheses=hypotheses,
            source_tokens=tuple(name for part in parts for name in rows.source.names(part)),
        )

    def draft(self, named: Named, source: Sequence[str]) -> Draft:
        """The text of what was found for a row with these tokens."""
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

    def join(self, drafts: Sequence[Draft]) -> Hypothesis:
        """Texts of parts one after another as one."""
        if len(drafts) > 1 and self.decoding.max_words is not None:
            drafts = within(drafts, self.decoding.max_words)
        text = " ".join(filter(None, (draft.text for draft in drafts)))
        logs = [draft.log_probability for draft in drafts]
        return Hypothesis(
            text=capitalize(text) if self.sentence_case else text,
            score=sum(draft.score for draft in drafts),
            log_probability=None if None in logs else sum(filter(None, logs)),
            tokens=tuple(token for draft in drafts for token in draft.tokens),
            attention=blocks([draft.weights for draft in drafts]),
            copied=blocks([draft.copied for draft in drafts]),
        )


def spelled(answer: Prediction, source: str, truecaser: Truecaser) -> Prediction:
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
