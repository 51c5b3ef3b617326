"""Extended ids against a plain loop over strings."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seqnlp.data.tokens import TokenizedText
from seqnlp.tasks.copy_rows import CopyTable
from seqnlp.text.vocabulary import BOS, EOS, PAD, UNK, Vocabulary

SPECIALS = (PAD, UNK, BOS, EOS)
WORDS = st.lists(st.sampled_from("abcdefgh"), max_size=7)
VOCABULARY = Vocabulary(("a", "b", "c", "d"), SPECIALS)
OUTPUTS = 6
"""a and b can be generated; c and d are read and copied, the others copied alone."""


def _plain(source: list[str], target: list[str]) -> tuple[list[int], list[int], list[int]]:
    """ids, slots and goals of one row by loops."""
    slots: list[str] = []
    ids = []
    for word in source:
        if word in "ab":
            ids.append(VOCABULARY.id(word))
        else:
            if word not in slots:
                slots.append(word)
            ids.append(OUTPUTS + slots.index(word))
    goals = [
        VOCABULARY.id(word)
        if word in "ab"
        else OUTPUTS + slots.index(word)
        if word in slots
        else VOCABULARY.unk
        for word in target
    ]
    return ids, [VOCABULARY.id(slot) for slot in slots], goals


@given(pairs=st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=5))
def test_extended_ids_are_those_of_a_loop_over_strings(
    pairs: list[tuple[list[str], list[str]]],
) -> None:
    source = TokenizedText.from_tokens([own for own, _ in pairs])
    target = TokenizedText.from_tokens([own for _, own in pairs])
    table = CopyTable(source, VOCABULARY, OUTPUTS)
    width = max(len(own) for own, _ in pairs) + 1
    padding = len(source.types) + 1
    types = np.full((len(pairs), width), padding)
    numbers = np.full((len(pairs), 7), -1)
    ids = np.zeros_like(numbers)
    known = table.number(target.types)
    for row, (own, wanted) in enumerate(pairs):
        types[row, : len(own)] = source[row]
        types[row, len(own)] = len(source.types) + 3  # <eos>
        numbers[row, : len(wanted)] = known[target[row]]
        ids[row, : len(wanted)] = VOCABULARY.ids(wanted)
    slots = table.slots(types)
    copies, goals = table.copies(slots), table.goals(slots, ids, numbers)
    most = 0
    for row, (own, wanted) in enumerate(pairs):
        expected, reads, wishes = _plain(own, wanted)
        most = max(most, len(reads))
        assert copies.ids[row].tolist() == [*expected, *[0] * (width - len(own))]
        assert copies.slots[row].tolist()[: len(reads)] == reads
        assert not copies.slots[row, len(reads) :].any()
        assert goals[row].tolist() == [*wishes, *[0] * (7 - len(wanted))]
        names = table.names(slots)[row]
        assert [VOCABULARY.id(name) for name in names] == reads
        assert len(set(names)) == len(names)
    assert copies.slots.shape[1] == most


def test_no_two_rows_share_a_slot_but_by_its_place() -> None:
    """A word of one row is no word of another's slots."""
    table = CopyTable(TokenizedText.from_tokens([["x", "y"], ["y"]]), VOCABULARY, OUTPUTS)
    slots = table.slots(np.array([[0, 1], [1, 3]]))
    assert slots.ids.tolist() == [[6, 7], [6, 0]]
    assert table.names(slots) == [("x", "y"), ("y",)]
    goals = table.goals(slots, np.array([[1], [1]]), np.array([[0], [0]]))
    assert goals.tolist() == [[6], [VOCABULARY.unk]]
