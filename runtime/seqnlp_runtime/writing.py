"""Models that write texts: translation and summarization."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice

from seqnlp_runtime.answers import Answer, Hypothesis
from seqnlp_runtime.decoding import Decoding, Found, search
from seqnlp_runtime.decoding.arrays import Floats
from seqnlp_runtime.described_writer import BOS, EOS, WriterDescription
from seqnlp_runtime.errors import RunnerError
from seqnlp_runtime.folder import Folder
from seqnlp_runtime.model import Model
from seqnlp_runtime.normalize import capitalize
from seqnlp_runtime.pipeline import PAD, UNK
from seqnlp_runtime.sources import Batch, GraphStepper, Slots, Source
from seqnlp_runtime.tidy import balance
from seqnlp_runtime.written_words import first_words, whole_words, whole_words_of

WINDOW = 1024
"""Texts that are sorted by length together, so that batches carry little padding."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A text for one row of a document; the fields are those of `Hypothesis`."""

    text: str
    score: float
    log_probability: float
    tokens: tuple[str, ...]


class WriterModel(Model):
    """Writes an answer to each text.

    Args:
        folder: of kind "writer".

    Raises:
        FolderError: it is damaged.
    """

    def __init__(self, folder: Folder) -> None:
        described = WriterDescription.read(folder)
        self.task = described.task
        self.pipeline, self.target = described.pipeline, described.target
        self._max_tokens, self._chunks = described.max_tokens, described.chunks
        self._pieces, self._weighs = described.reads_pieces, described.weighs
        self._defaults, self._ratio = described.decoding, described.length_ratio
        self._usual, self._truecaser = described.usual_length, described.truecaser
        self._capital = described.capital
        specials = self.target.pipeline.specials
        self._source_end = self.pipeline.specials.index(EOS)
        self._begin, self._end = specials.index(BOS), specials.index(EOS)
        self._encoder, self._step = folder.graph("encoder"), folder.graph("step")
        described.check(folder, self._encoder, self._step)

    def search_by(self, decoding: Mapping[str, object]) -> None:
        """See `Model`."""
        changed = {**self._defaults, **decoding}
        self.target.check(Decoding.of(changed))
        self._defaults = changed

    def __call__(self, text: str, *, decoding: Mapping[str, object] | None = None) -> Answer:
        """See `Model`; and `predict`."""
        return next(self.predict([text], batch_size=1, decoding=decoding))

    def predict(
        self,
        texts: Iterable[str],
        *,
        batch_size: int = 64,
        decoding: Mapping[str, object] | None = None,
    ) -> Iterator[Answer]:
        """See `Model`.

        Args:
            texts: to be answered.
            batch_size: rows at once.
            decoding: options of the search that are to be others than the model's own.
        """
        pairs = ((text, self.pipeline.tokens(text)) for text in texts)
        return self._predict(pairs, batch_size, decoding)

    def predict_tokens(
        self,
        documents: Iterable[Sequence[str]],
        *,
        batch_size: int = 64,
        decoding: Mapping[str, object] | None = None,
    ) -> Iterator[Answer]:
        """See `Model`; and `predict`."""
        join = self.pipeline.tokenizer.detokenize
        return self._predict(((join(each), each) for each in documents), batch_size, decoding)

    def _predict(
        self,
        pairs: Iterator[tuple[str, Sequence[str]]],
        batch_size: int,
        decoding: Mapping[str, object] | None,
    ) -> Iterator[Answer]:
        if batch_size < 1:
            raise RunnerError(f"batch_size = {batch_size}: expected 1 or more")
        options = Decoding.of({**self._defaults, **(decoding or {})})
        self.target.check(options)
        return self._answers(pairs, batch_size, options)

    def _answers(
        self, pairs: Iterator[tuple[str, Sequence[str]]], batch_size: int, options: Decoding
    ) -> Iterator[Answer]:
        while block := list(islice(pairs, WINDOW)):
            rows: list[Source] = []
            owners: list[range] = []
            for text, tokens in block:
                before = len(rows)
                if tokens and text.strip():
                    rows += Source.parts(
                        tokens, self.pipeline, max_tokens=self._max_tokens, chunks=self._chunks,
                        end=self._source_end,
                    )  # fmt: skip
                owners.append(range(before, len(rows)))
            drafts: list[list[Draft]] = [[] for _ in rows]
            # The longest first: a batch too large for the memory fails at once.
            order = sorted(range(len(rows)), key=lambda row: -len(rows[row].ids))
            for begin in range(0, len(order), batch_size):
                chosen = order[begin : begin + batch_size]
                found = self._search([rows[row] for row in chosen], options)
                for row, own in zip(chosen, found, strict=True):
                    drafts[row] = own
            for (text, _), own_rows in zip(block, owners, strict=True):
                parts = [drafts[row] for row in own_rows]
                names = [name for row in own_rows for name in (*rows[row].tokens, EOS)]
                yield self._compose(text, parts, tuple(names), options)

    def _search(self, rows: Sequence[Source], options: Decoding) -> list[list[Draft]]:
        """What is found for rows, best first."""
        target = self.target
        slots: list[Slots] = []
        if target.copies:
            slots = [Slots.of(row.tokens, target.pipeline, target.outputs) for row in rows]
        names = [each.names for each in slots] or [()] * len(rows)
        batch = Batch(sources=rows, slots=slots)
        begun = self._encoder({"ids": batch.ids, "lengths": batch.lengths})
        forbidden = [PAD, self._begin, *([] if target.unknown else [UNK])]
        # A prefix, and phrases that must occur, are for the first part of a long text.
        forced = [
            ([], []) if row.number else target.forced(options, own, row.tokens)
            for row, own in zip(rows, names, strict=True)
        ]
        replaces = options.replace_unknown == "attention" and self._weighs
        found = search(
            GraphStepper(
                self._step,
                dict(zip(self._encoder.outputs, begun, strict=True)),
                batch.copies(),
                target.outputs,
            ),
            options,
            ratio=options.max_ratio * self._ratio,
            bos=self._begin,
            eos=self._end,
            source_lengths=batch.lengths,
            forbidden=forbidden,
            prefixes=[prefix for prefix, _ in forced],
            constraints=[phrases for _, phrases in forced],
            numbers=[row.key for row in rows] if options.sample else None,
            words=None if options.max_words is None else target.words(names),
            usual_length=self._usual,
            want_weights=replaces,
        )
        return [
            [self._draft(one, row, own, options) for one in each]
            for each, row, own in zip(found, rows, names, strict=True)
        ]

    def _draft(self, found: Found, row: Source, slots: Sequence[str], options: Decoding) -> Draft:
        outputs, pipeline = self.target.outputs, self.target.pipeline
        ids = found.ids if found.cut is None else (*found.ids, found.cut)
        tokens = [pipeline.token(id) if id < outputs else slots[id - outputs] for id in ids]
        if found.cut is not None:
            tokens = tokens[: whole_words(tokens[:-1], tokens[-1], pipeline.tokenizer)]
        if found.weights is not None and UNK in found.ids[: len(tokens)]:
            tokens = self._replace_unknown(tokens, found.ids, found.weights, row)
        return Draft(
            text=self._text(tokens, options),
            tokens=tuple(tokens),
            score=found.score,
            log_probability=found.log_probability,
        )

    def _replace_unknown(
        self, tokens: Sequence[str], ids: Sequence[int], weights: Floats, row: Source
    ) -> list[str]:
        """Put the word of most attention in the place of each unknown token."""
        words = list(row.tokens)
        if self._pieces:
            words = whole_words_of(words, self.pipeline.tokenizer)
        # Not the end of the source, which is no word.
        best = weights[: len(tokens), : len(words)].argmax(1).tolist()
        return [
            words[place] if id == UNK else token
            for token, id, place in zip(tokens, ids, best, strict=False)
        ]

    def _text(self, tokens: Sequence[str], options: Decoding) -> str:
        """Their text, without letters in part and, if asked for, marks without their partner."""
        text = self.target.pipeline.tokenizer.detokenize(tokens).replace("\ufffd", "").strip()
        if options.tidy:
            text = balance(text)
        # What is forced may be more words; a tokenizer may part what it joins elsewhere.
        if options.max_words is None or options.prefix or options.constraints:
            return text
        text = first_words(text, options.max_words)
        return balance(text) if options.tidy else text

    def _compose(
        self,
        text: str,
        parts: Sequence[Sequence[Draft]],
        source_tokens: tuple[str, ...],
        options: Decoding,
    ) -> Answer:
        """The answer to a document of one row or more."""
        if not parts:
            return Answer(output="")
        hypotheses = [
            self._join([each[min(rank, len(each) - 1)] for each in parts], options)
            for rank in range(max(map(len, parts)))
        ]
        if self._truecaser is not None:
            texts = self._truecaser.write([each.text for each in hypotheses], text)
            pairs = zip(hypotheses, texts, strict=True)
            hypotheses = [
                Hypothesis(
                    text=spelled, score=each.score, log_probability=each.log_probability,
                    tokens=each.tokens,
                )
                for each, spelled in pairs
            ]  # fmt: skip
        return Answer(
            output=hypotheses[0].text, hypotheses=tuple(hypotheses), source_tokens=source_tokens
        )

    def _join(self, drafts: Sequence[Draft], options: Decoding) -> Hypothesis:
        if len(drafts) > 1 and options.max_words is not None:
            # Without the parts from where there are more words in all.
            sums = accumulate(len(draft.text.split()) for draft in drafts)
            drafts = [
                draft
                if place == 0 or words <= options.max_words
                else Draft(text="", score=0.0, log_probability=0.0, tokens=())
                for place, (draft, words) in enumerate(zip(drafts, sums, strict=True))
            ]
        text = " ".join(filter(None, (draft.text for draft in drafts)))
        return Hypothesis(
            text=capitalize(text) if self._capital else text,
            score=sum(draft.score for draft in drafts),
            log_probability=sum(draft.log_probability for draft in drafts),
            tokens=tuple(token for draft in drafts for token in draft.tokens),
        )
