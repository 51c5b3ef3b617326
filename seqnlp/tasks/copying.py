"""Which words of an answer were copied, and from where in its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from seqnlp.errors import InputError
from seqnlp.tasks.rows import Ints
from seqnlp.tasks.sequence import EncoderDecoder
from seqnlp.tasks.sequence_rows import SourceRows
from seqnlp.tasks.written_words import word_marks
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.tokenizers import Tokenizer
from seqnlp.text.vocabulary import BOS, EOS, Vocabulary
from seqnlp.types import Prediction, TokenBatch

Floats: TypeAlias = NDArray[np.float32]

LEAST = 0.01
"""The probability below which a place is no origin of a word."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """place: the number of a source word, from 0. probability: that the word came from there."""

    place: int
    probability: float


@dataclass(frozen=True, kw_only=True)
class WrittenWord:
    """A word of an answer, between spaces.

    copied: the probability that it was copied and not generated, given that it was written; of a
    word of several tokens their mean, without marks. origins: from where, most probable first.
    """

    text: str
    copied: float
    origins: tuple[Origin, ...]


@dataclass(frozen=True, kw_only=True)
class CopyExplanation:
    """source: the words that were read, between spaces. words: those of the best answer."""

    source: tuple[str, ...]
    words: tuple[WrittenWord, ...]


def explain_copies(
    answer: Prediction, pipelines: Mapping[str, TokenPipeline]
) -> CopyExplanation | None:
    """The explanation of an answer; None for an empty text, or what was not written by the model.

    Args:
        pipelines: of source and target, in this order.

    Raises:
        InputError: the answer does not know what was copied.
    """
    if not answer.hypotheses or not answer.hypotheses[0].tokens:
        return None
    best = answer.hypotheses[0]
    if best.copied is None:
        raise InputError(
            "this answer does not say what was copied: ask for it when answering a text of fewer "
            "parts"
            if best.attention is None
            else "this answer does not say what was copied: ask for it when answering"
        )
    reading, writing = (pipeline.tokenizer for pipeline in pipelines.values())
    # A text that was read in parts has an end after each.
    inside = [place for place, token in enumerate(answer.source_tokens) if token != EOS]
    names = [answer.source_tokens[place] for place in inside]
    read = group_words(names, reading)
    source = [word_text(group, names, reading) for group in read]
    starts = [group[0] for group in read]
    # Probabilities of tokens, [T, S], to those of source words, [T, words].
    shares = best.copied[:-1][:, inside]
    shares = np.add.reduceat(shares, starts, axis=1) if starts else shares[:, :0]
    # Spaces and broken letters may be groups of their own, which are no words.
    shares = shares[:, [number for number, text in enumerate(source) if text]]
    words = (
        _written(text, shares[_letters(group, best.tokens, writing)])
        for group in group_words(best.tokens, writing)
        if (text := word_text(group, best.tokens, writing))
    )
    return CopyExplanation(source=tuple(filter(None, source)), words=tuple(words))


def group_words(tokens: Sequence[str], tokenizer: Tokenizer) -> list[list[int]]:
    """The places of the tokens of each word; all of a run of tokens.

    Tokens that stand in their text as they are have its spaces; of others `word_marks` are asked.
    """
    text = tokenizer.detokenize(tokens)
    groups: list[list[int]] = []
    at = 0
    for place, token in enumerate(tokens):
        begin = at
        while text[begin : begin + 1].isspace():
            begin += 1
        if not text.startswith(token, begin):
            return _marked_words(tokens, tokenizer)
        if begin > at or not groups:
            groups.append([])
        groups[-1].append(place)
        at = begin + len(token)
    return groups


def _marked_words(tokens: Sequence[str], tokenizer: Tokenizer) -> list[list[int]]:
    types = sorted(set(tokens))
    marks = zip(*word_marks(types, tokenizer), strict=True)
    table = dict(zip(types, marks, strict=True))
    groups: list[list[int]] = []
    joined = False
    for place, token in enumerate(tokens):
        begins, joins = table[token]
        if (begins and not joined) or not groups:
            groups.append([])
        groups[-1].append(place)
        joined = joins
    return groups


def copy_probabilities(
    networks: Sequence[EncoderDecoder],
    vocabulary: Vocabulary,
    rows: SourceRows,
    indices: Ints,
    outputs: Sequence[Sequence[str]],
) -> list[Floats]:
    """For each token of outputs, from where it was copied; of an ensemble the mean of its members.

    Args:
        networks: in evaluation mode.
        vocabulary: of what is written.
        rows: what was read. indices: int64 [B], which of the rows.
        outputs: the tokens of an output for each, without its end.

    Returns:
        [T + 1, S] for each: the probability that a token, and the end, was copied from a source
        position, given that it was written.
    """
    copies, slots = rows.copies, rows.slot_names(indices)
    assert copies is not None
    sizes = [len(tokens) + 2 for tokens in outputs]
    ids = np.full((len(outputs), max(sizes)), vocabulary.pad, dtype=np.int64)
    goals = np.full((len(outputs), max(sizes) - 1), vocabulary.pad, dtype=np.int64)
    begin, end = vocabulary.special(BOS), vocabulary.special(EOS)
    for row, (tokens, own) in enumerate(zip(outputs, slots, strict=True)):
        places = {token: copies.outputs + place for place, token in enumerate(own)}
        known = vocabulary.ids(tokens)
        ids[row, : sizes[row]] = [begin, *known, end]
        goals[row, : sizes[row] - 1] = [
            *(
                places.get(token, id if id < copies.outputs else vocabulary.unk)
                for token, id in zip(tokens, known, strict=True)
            ),
            end,
        ]
    batch = rows.batch(indices).to(networks[0].output.weight.device)
    assert batch.copies is not None
    device = batch.source.ids.device
    target = TokenBatch(ids=torch.from_numpy(ids), lengths=torch.tensor(sizes)).to(device)
    wanted = torch.from_numpy(goals).to(device)
    found = [each.explain(batch.source, target, batch.copies, wanted)[1] for each in networks]
    mean = torch.stack(found).mean(0).float().cpu().numpy()
    lengths = batch.source.lengths.tolist()
    return [
        mean[row, : size - 1, :length].copy()
        for row, (size, length) in enumerate(zip(sizes, lengths, strict=True))
    ]


def _written(text: str, shares: Floats) -> WrittenWord:
    """Of shares [its tokens, source words]."""
    mean = shares.mean(axis=0)
    order = np.argsort(-mean, kind="stable")
    return WrittenWord(
        text=text,
        copied=min(float(mean.sum()), 1.0),
        origins=tuple(
            Origin(place=int(place), probability=float(mean[place]))
            for place in order
            if mean[place] >= LEAST
        ),
    )


def _letters(group: Sequence[int], tokens: Sequence[str], tokenizer: Tokenizer) -> list[int]:
    """Those of the places that are more than marks; all, if there are none."""
    texts = {place: tokenizer.detokenize([tokens[place]]) for place in group}
    return [place for place in group if any(map(str.isalnum, texts[place]))] or list(group)


def word_text(group: Sequence[int], tokens: Sequence[str], tokenizer: Tokenizer) -> str:
    """A word as it is written among others: alone, a mark at its end might be put apart."""
    text = tokenizer.detokenize([tokens[place] for place in group]).replace("\ufffd", "")
    return "".join(text.split())
