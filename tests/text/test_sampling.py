import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import exp, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqnlp.errors import InputError, SettingsError
from seqnlp.text import (
    BPETokenizer,
    CharTokenizer,
    RegexTokenizer,
    SegmentSampler,
    TokenPipeline,
    UnigramTokenizer,
    WordPieceTokenizer,
)
from seqnlp.text.segmenters import LONGEST
from seqnlp.text.subwords import SubwordTokenizer

TEXTS = [
    "The film is a stirring, funny tale of friendship; isn't it?",
    "a friend is  stirring the tea\u00a0: friendship is a funny thing\n",
    "naïve Männer film nothing, 中文 — films about filming films! 1999 ",
] * 3
KINDS: list[type[SubwordTokenizer]] = [BPETokenizer, UnigramTokenizer]
PIPELINES = {
    kind: TokenPipeline(normalizers=("nfc",), tokenizer=kind(size=330))
    .with_trained_tokenizer(TEXTS)
    .fit_counts({}, complete=True)
    for kind in KINDS
}
WORDS = st.lists(st.sampled_from(" ".join(TEXTS).split())).map(" ".join)
DOCUMENTS = st.lists(WORDS | st.text(), max_size=5)


def documents(sampler: SegmentSampler, epoch: int) -> list[list[int]]:
    ids, offsets = sampler.draw(epoch)
    assert ids.dtype == np.int32
    assert offsets.dtype == np.int64
    assert (offsets[0], offsets[-1], len(offsets)) == (0, len(ids), len(sampler) + 1)
    return [ids[a:b].tolist() for a, b in pairwise(offsets)]


@given(DOCUMENTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_rate_of_zero_is_the_plain_segmentation(
    kind: type[SubwordTokenizer], texts: list[str]
) -> None:
    pipeline = PIPELINES[kind]
    drawn = documents(SegmentSampler(pipeline, texts, rate=0), 1)
    assert drawn == [pipeline.encode(text) for text in texts]


@given(DOCUMENTS)
@pytest.mark.parametrize("kind", KINDS)
def test_merging_and_the_lattice_agree_with_the_engine(
    kind: type[SubwordTokenizer], texts: list[str]
) -> None:
    """So small a rate drops no merge, and leaves nothing but the most probable way."""
    pipeline = PIPELINES[kind]
    drawn = documents(SegmentSampler(pipeline, texts, rate=1e-7), 1)
    assert drawn == [pipeline.encode(text) for text in texts]


@given(DOCUMENTS, st.sampled_from([0.1, 0.6, 1.0]), st.integers(1, 3))
@settings(max_examples=60)
def test_bpe_samples_are_the_same_text(texts: list[str], rate: float, variants: int) -> None:
    pipeline = PIPELINES[BPETokenizer]
    sampler = SegmentSampler(pipeline, texts, rate=rate, variants=variants)
    drawn = documents(sampler, 3)
    assert [pipeline.decode(ids) for ids in drawn] == [pipeline.normalize(text) for text in texts]
    if rate == 1:
        assert pipeline.vocabulary is not None
        assert all(len(pipeline.vocabulary.token(id)) == 1 for ids in drawn for id in ids)


@given(st.lists(WORDS, max_size=5), st.sampled_from([0.1, 0.6, 1.0]), st.integers(1, 3))
@settings(max_examples=60)
def test_unigram_samples_are_the_same_text(texts: list[str], rate: float, variants: int) -> None:
    pipeline = PIPELINES[UnigramTokenizer]
    sampler = SegmentSampler(pipeline, texts, rate=rate, variants=variants)
    assert [pipeline.decode(ids) for ids in documents(sampler, 3)] == texts


def _model(pipeline: TokenPipeline) -> Any:
    assert isinstance(pipeline.tokenizer, SubwordTokenizer)
    return json.loads(pipeline.tokenizer.engine.to_str())["model"]


def _dropped_merges(
    symbols: tuple[str, ...], ranks: dict[tuple[str, str], int], rate: float
) -> dict[tuple[str, ...], float]:
    """Algorithm 1 of Provilkov et al., as a distribution: the best merge that is not dropped."""
    places = [i for i in range(len(symbols) - 1) if symbols[i : i + 2] in ranks]
    places.sort(key=lambda i: (ranks[symbols[i], symbols[i + 1]], i))
    found = defaultdict(float, {symbols: rate ** len(places)})
    for better, i in enumerate(places):
        chance = rate**better * (1 - rate)
        after = (*symbols[:i], symbols[i] + symbols[i + 1], *symbols[i + 2 :])
        for way, share in _dropped_merges(after, ranks, rate).items():
            found[way] += chance * share
    return found


def _cuts(word: str, pieces: dict[str, float]) -> Iterator[tuple[str, ...]]:
    if not word:
        yield ()
    for end in range(1, len(word) + 1):
        if word[:end] in pieces:
            yield from ((word[:end], *rest) for rest in _cuts(word[end:], pieces))


def _powers(word: str, pieces: dict[str, float], exponent: float) -> dict[tuple[str, ...], float]:
    weights = {
        way: exp(exponent * sum(pieces[piece] for piece in way)) for way in _cuts(word, pieces)
    }
    return {way: weight / sum(weights.values()) for way, weight in weights.items()}


def _frequencies(
    pipeline: TokenPipeline, word: str, rate: float, **options: int
) -> Counter[tuple[str, ...]]:
    sampler = SegmentSampler(pipeline, [word] * 20_000, rate=rate, variants=20_000, **options)
    assert pipeline.vocabulary is not None
    token = pipeline.vocabulary.token
    return Counter(tuple(map(token, ids)) for ids in documents(sampler, 1))


def _assert_close(drawn: Counter[tuple[str, ...]], expected: dict[tuple[str, ...], float]) -> None:
    assert set(drawn) <= set(expected)
    assert sum(expected.values()) == pytest.approx(1)
    total = drawn.total()
    for way, share in expected.items():
        error = sqrt(share * (1 - share) / total) + 1 / total
        assert abs(drawn[way] / total - share) < 5 * error, (way, drawn[way] / total, share)


@pytest.mark.parametrize("rate", [0.1, 0.5])
@pytest.mark.parametrize("word", ["stirring", "friends"])
def test_bpe_samples_follow_the_paper(word: str, rate: float) -> None:
    pipeline = PIPELINES[BPETokenizer]
    ranks = {(left, right): rank for rank, (left, right) in enumerate(_model(pipeline)["merges"])}
    expected = _dropped_merges(("Ġ", *word), ranks, rate)
    _assert_close(_frequencies(pipeline, word, rate), expected)


@pytest.mark.parametrize(("rate", "exponent"), [(0.5, 1.0), (0.8, 0.25), (1.0, 0.0)])
@pytest.mark.parametrize("word", ["films", "friend"])
def test_unigram_samples_follow_the_paper(word: str, rate: float, exponent: float) -> None:
    pipeline = PIPELINES[UnigramTokenizer]
    pieces = dict(_model(pipeline)["vocab"][1:])
    _assert_close(_frequencies(pipeline, word, rate), _powers(f"▁{word}", pieces, exponent))


def _share(words: Sequence[Sequence[int]]) -> Counter[tuple[int, ...]]:
    return Counter(map(tuple, words))


@pytest.mark.parametrize("kind", KINDS)
def test_frequent_words_share_draws(kind: type[SubwordTokenizer]) -> None:
    sampler = SegmentSampler(PIPELINES[kind], ["friendship"] * 90, rate=0.9, variants=9)
    drawn = _share(documents(sampler, 1))
    assert all(times % 10 == 0 for times in drawn.values())
    assert 2 <= len(drawn) <= 9


@pytest.mark.parametrize("kind", KINDS)
def test_epochs_and_seeds_differ_and_repeat(kind: type[SubwordTokenizer]) -> None:
    one = SegmentSampler(PIPELINES[kind], TEXTS, rate=0.9, seed=1)
    again = SegmentSampler(PIPELINES[kind], iter(TEXTS), rate=0.9, seed=1)
    other = SegmentSampler(PIPELINES[kind], TEXTS, rate=0.9, seed=2)
    second = documents(one, 2)
    assert documents(one, 1) != second
    assert documents(again, 2) == second  # though its epoch 1 was never asked for
    assert documents(other, 2) != second


def test_blocks_of_words_make_no_difference_to_what_may_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("seqnlp.text.sampling._SYMBOLS", 1)
    pipeline = PIPELINES[BPETokenizer]
    sampler = SegmentSampler(pipeline, TEXTS, rate=0.5)
    assert [pipeline.decode(ids) for ids in documents(sampler, 1)] == TEXTS


@pytest.mark.parametrize("kind", KINDS)
def test_draws_are_the_same_in_another_process(kind: type[SubwordTokenizer]) -> None:
    script = (
        "import json, sys; from seqnlp.text import *; texts = json.load(sys.stdin); "
        f"made = TokenPipeline(normalizers=('nfc',), tokenizer={kind.__name__}(size=330)); "
        "made = made.with_trained_tokenizer(texts).fit_counts({}, complete=True); "
        "ids, offsets = SegmentSampler(made, texts, rate=0.5, seed=5).draw(4); "
        "print(json.dumps([ids.tolist(), offsets.tolist()]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(TEXTS), capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONHASHSEED": "11"},
    )  # fmt: skip
    here = SegmentSampler(PIPELINES[kind], TEXTS, rate=0.5, seed=5).draw(4)
    assert json.loads(done.stdout) == [part.tolist() for part in here]


@pytest.mark.parametrize("kind", KINDS)
def test_words_that_have_one_segmentation(kind: type[SubwordTokenizer]) -> None:
    """Words of enormous length and of unknown characters are cut as they always are."""
    pipeline = PIPELINES[kind]
    texts = ["", "film" * LONGEST, "ЖЖ"]
    drawn = documents(SegmentSampler(pipeline, texts, rate=0.9), 1)
    assert drawn[:2] == [[], pipeline.encode(texts[1])]
    if kind is UnigramTokenizer:
        assert drawn[2] == pipeline.encode("ЖЖ")


def test_pieces_that_the_vocabulary_lacks_are_unknown() -> None:
    pipeline = TokenPipeline(tokenizer=PIPELINES[BPETokenizer].tokenizer).fit_counts({"Ġfilm": 1})
    drawn = documents(SegmentSampler(pipeline, ["film films"], rate=0), 1)
    assert drawn == [[2, 1]]


@pytest.mark.parametrize(
    "tokenizer", [RegexTokenizer(), CharTokenizer(), WordPieceTokenizer(size=60)]
)
def test_others_cannot_be_sampled(tokenizer: RegexTokenizer) -> None:
    pipeline = TokenPipeline(tokenizer=tokenizer)
    message = (
        f"text.tokenizer: {tokenizer.family!r} cuts a text in one way only; segmentations can be "
        "sampled with 'bpe' and 'unigram'"
    )
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
        SegmentSampler(pipeline, TEXTS, rate=0.1)


def test_bad_options() -> None:
    pipeline = PIPELINES[BPETokenizer]
    with pytest.raises(InputError, match=r"^rate = 1.5: expected 0 to 1$"):
        SegmentSampler(pipeline, TEXTS, rate=1.5)
    with pytest.raises(InputError, match=r"^variants = 0: expected 1 or more$"):
        SegmentSampler(pipeline, TEXTS, rate=0.5, variants=0)
    untrained = TokenPipeline(tokenizer=BPETokenizer(size=300))
    with pytest.raises(InputError, match="the bpe tokenizer is not trained yet; call train"):
        SegmentSampler(untrained, TEXTS, rate=0.5)


@pytest.mark.parametrize("kind", [*KINDS, WordPieceTokenizer])
def test_the_inventory_holds_all_pieces(kind: type[SubwordTokenizer]) -> None:
    tokenizer = kind(size=330).train(TEXTS)
    pieces = tokenizer.inventory()
    assert len(set(pieces)) == len(pieces)
    assert {piece for text in TEXTS for piece in tokenizer.tokenize(text)} <= set(pieces)
    assert "<unk>" not in pieces
    assert kind.from_state(json.loads(json.dumps(tokenizer.state()))).inventory() == pieces


def test_a_complete_vocabulary() -> None:
    pipeline = PIPELINES[BPETokenizer]
    pieces = pipeline.tokenizer.inventory()
    assert pieces is not None
    made = pipeline.fit_counts({"Ġfilm": 5, "odd": 1, "common": 2}, min_count=2, complete=True)
    assert made.vocabulary is not None
    assert made.vocabulary.tokens[:2] == ("Ġfilm", "common")
    assert sorted(made.vocabulary.tokens) == sorted({*pieces, "common"})
    assert made.vocabulary.unk not in made.encode("ЖЖ, a text that was never seen: 四")
    words = TokenPipeline(tokenizer=RegexTokenizer())
    assert words.tokenizer.inventory() is None
    counts = {"a": 2, "b": 1}
    assert words.fit_counts(counts, min_count=2, complete=True) == words.fit_counts(
        counts, min_count=2
    )
