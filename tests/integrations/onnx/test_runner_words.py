"""What the runner does to words of an output is what the library does to them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import seqnlp_runtime.tidy
import seqnlp_runtime.written_words as runner
from hypothesis import given
from hypothesis import strategies as st
from seqnlp_runtime.pipeline import Pipeline
from seqnlp_runtime.sources import Batch, Slots, Source
from seqnlp_runtime.tokenizers import Tokenizer, make_tokenizer
from seqnlp_runtime.truecase import Truecaser, ends_sentence

import seqnlp.text.sentences
import seqnlp.text.truecase
from seqnlp.data.tokens import TokenizedText
from seqnlp.nn.pointer import Sources
from seqnlp.tasks import written_words
from seqnlp.tasks.alignment import word_numbers, words_of
from seqnlp.tasks.copy_rows import CopyTable
from seqnlp.text import tidy
from seqnlp.text.tokenizers import Tokenizer as OurTokenizer
from seqnlp.text.tokenizers import parse_tokenizer
from seqnlp.text.vocabulary import Vocabulary

LINES = [
    "Mr. Smith's boys' '90s “plan”. The U.S. said: 'no way' (or yes)!",
    "NASA flies. Today e.g. McDonald flies to St. Louis - it's a blue-eyed day.",
    "Ein schöner, alter Film\nund eine neue Geschichte etc. Two iPhones (old).",
]
words = st.sampled_from([word for line in LINES for word in line.split()])
texts = st.one_of(
    st.lists(words).map(" ".join), st.text("aB .,!?'’\"()[]“”\n-é", max_size=30), st.text()
)


@cache
def tokenizers(spec: str) -> tuple[OurTokenizer, Tokenizer]:
    """The library's and the runner's."""
    ours = parse_tokenizer(spec, {"size": 300} if spec in ("bpe", "unigram", "wordpiece") else {})
    ours = ours.train(LINES)
    return ours, make_tokenizer(ours.family, ours.state())


specs = st.sampled_from(["regex", "char", "whitespace", "bpe", "unigram", "wordpiece"])


@given(spec=specs, text=texts, following=words, count=st.integers(1, 6))
def test_words_of_any_tokenizer(spec: str, text: str, following: str, count: int) -> None:
    ours, theirs = tokenizers(spec)
    tokens, goes_on = ours.tokenize(text), ours.tokenize(following)[0]
    assert runner.word_marks(tokens, theirs) == written_words.word_marks(tokens, ours)
    expected = word_numbers(tokens, ours.detokenize).tolist()
    assert runner.word_numbers(tokens, theirs.detokenize) == expected
    if spec in ("bpe", "unigram", "wordpiece", "char"):
        assert runner.whole_words_of(tokens, theirs) == words_of(tokens, ours)
    if tokens:
        kept = written_words.whole_words(tokens, goes_on, ours)
        assert runner.whole_words(tokens, goes_on, theirs) == kept
    assert runner.first_words(text, count) == written_words.first_words(text, count)


@given(texts)
def test_marks_without_a_partner(text: str) -> None:
    assert seqnlp_runtime.tidy.balance(text) == tidy.balance(text)


@pytest.fixture(scope="module")
def truecasers() -> tuple[seqnlp.text.truecase.Truecaser, Truecaser]:
    pairs = list(zip(LINES, LINES[1:] + LINES[:1], strict=True))
    ours = seqnlp.text.truecase.Truecaser.fit(pairs, ["nfc", "lowercase"])
    return ours, Truecaser({**ours.state(), "normalizers": list(ours.normalizers)})


@given(source=texts, answers=st.lists(texts.map(str.lower), min_size=1, max_size=2))
def test_letter_case(
    truecasers: tuple[seqnlp.text.truecase.Truecaser, Truecaser], source: str, answers: list[str]
) -> None:
    ours, theirs = truecasers
    assert theirs.write(answers, source) == ours.write(answers, source)


@given(st.one_of(words, st.text(max_size=8)))
def test_ends_of_sentences(token: str) -> None:
    assert ends_sentence(token) == seqnlp.text.sentences.ends_sentence(token)


@given(
    rows=st.lists(st.lists(st.sampled_from("abcdefg"), min_size=1), min_size=1, max_size=4),
    outputs=st.integers(4, 8),
)
def test_what_can_be_copied(rows: list[list[str]], outputs: int) -> None:
    specials = ("<pad>", "<unk>", "<bos>", "<eos>")
    vocabulary = Vocabulary(("a", "b", "c", "d"), specials)
    table = CopyTable(TokenizedText.from_tokens(iter(rows)), vocabulary, outputs)
    types = TokenizedText.from_tokens(iter(rows))
    numbers = {name: place for place, name in enumerate(types.types)}
    width = max(map(len, rows)) + 1
    end, padding = len(numbers) + 3, len(numbers) + 1
    whole = np.full((len(rows), width), padding)
    for place, row in enumerate(rows):
        whole[place, : len(row) + 1] = [*(numbers[token] for token in row), end]
    slots = table.slots(whole)
    copies, names = table.copies(slots), table.names(slots)
    pipeline = Pipeline(
        normalizers=(),
        tokenizer=make_tokenizer("whitespace", {}),
        specials=specials,
        vocabulary=vocabulary.tokens,
        hasher=None,
    )
    own = [Slots.of(row, pipeline, outputs) for row in rows]
    assert [tuple(each.names) for each in own] == names
    sources = [Source(number=0, tokens=row, ids=[*pipeline.ids(row), 3]) for row in rows]
    found = Batch(sources=sources, slots=own).copies()
    np.testing.assert_array_equal(found["copy_ids"], copies.ids.numpy())
    read = copies.slots.numpy()
    np.testing.assert_array_equal(found["slots"][:, : read.shape[1]], read)
    assert found["slots"].shape[1] == max(read.shape[1], 1)
    np.testing.assert_array_equal(found["first"], Sources.of(copies).first.numpy())
