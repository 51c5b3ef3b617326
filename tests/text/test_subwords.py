import json
import os
import subprocess
import sys
import unicodedata
from math import exp, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqnlp.errors import InputError
from seqnlp.text import BPETokenizer, UnigramTokenizer, WordPieceTokenizer
from seqnlp.text.subwords import SubwordTokenizer
from seqnlp.text.unigram import train_unigram

TEXTS = [
    "the film is a stirring , funny tale of friendship and film .",
    "a friend is stirring the tea ; friendship is a funny thing , isn't it ?",
    "naïve films stir nothing , 中文 電影 — films about filming films !",
] * 3
KINDS: list[type[SubwordTokenizer]] = [BPETokenizer, UnigramTokenizer, WordPieceTokenizer]
SIZE = 330
TRAINED = {kind: kind(size=SIZE).train(TEXTS) for kind in KINDS}
CORPUS_LIKE = st.lists(st.sampled_from(" ".join(TEXTS).split())).map(" ".join)
ANY = CORPUS_LIKE | st.text()


@given(ANY)
def test_bpe_round_trip_of_any_text(text: str) -> None:
    tokenizer = TRAINED[BPETokenizer]
    assert tokenizer.detokenize(tokenizer.tokenize(text)) == text


@given(ANY.filter(lambda text: "\u2581" not in text))
def test_unigram_round_trip_of_any_text(text: str) -> None:
    tokenizer = TRAINED[UnigramTokenizer]
    assert tokenizer.detokenize(tokenizer.tokenize(text)) == text


@given(ANY)
def test_wordpiece_splits_its_own_text_the_same(text: str) -> None:
    tokenizer = TRAINED[WordPieceTokenizer]
    tokens = tokenizer.tokenize(text)
    assert tokenizer.tokenize(tokenizer.detokenize(tokens)) == tokens


@given(ANY)
def test_wordpiece_loses_whitespace_only(text: str) -> None:
    tokens = TRAINED[WordPieceTokenizer].tokenize(text)
    letters = "".join("".join(tokens).split())  # Python has more whitespace than the splitter
    assert letters.replace("#", "") == "".join(text.split()).replace("#", "")


def test_pieces_are_learned() -> None:
    assert TRAINED[BPETokenizer].tokenize("a friendship") == ["Ġa", "Ġfriendship"]
    assert TRAINED[UnigramTokenizer].tokenize("a friendship")[0] == "▁a"
    assert "film" in TRAINED[WordPieceTokenizer].tokenize("film , films")
    for kind in KINDS:
        assert len(TRAINED[kind].tokenize("friendship")) < len("friendship") / 2, kind


def test_unknown_characters_stay_as_they_are() -> None:
    assert "Ж" in "".join(TRAINED[UnigramTokenizer].tokenize("film Ж"))
    assert TRAINED[WordPieceTokenizer].tokenize("film Жfilm") == ["film", "Жfilm"]


@pytest.mark.parametrize("kind", KINDS)
def test_size_is_the_limit_and_min_count_holds(kind: type[SubwordTokenizer]) -> None:
    assert TRAINED[kind].engine.get_vocab_size() <= SIZE
    rare = kind(size=SIZE, min_count=100).train(TEXTS)
    assert len(rare.tokenize("friendship")) >= len(TRAINED[kind].tokenize("friendship"))


@pytest.mark.parametrize("kind", KINDS)
def test_training_is_deterministic_across_processes(kind: type[SubwordTokenizer]) -> None:
    script = (
        "import json, sys; from seqnlp.text import *; "
        f"made = {kind.__name__}(size={SIZE}).train(json.load(sys.stdin)); "
        "print(json.dumps(made.state(), sort_keys=True))"
    )
    seeded = {**os.environ, "PYTHONHASHSEED": "7"}
    other = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(TEXTS), capture_output=True, text=True, check=True, env=seeded,
    )  # fmt: skip
    assert json.loads(other.stdout) == TRAINED[kind].state()


@pytest.mark.parametrize("kind", KINDS)
def test_training_makes_a_new_one(kind: type[SubwordTokenizer]) -> None:
    fresh = kind(size=SIZE)
    trained = fresh.train(iter(TEXTS))
    assert trained == TRAINED[kind]
    assert fresh.state()["model"] is None
    assert fresh != trained
    with pytest.raises(InputError, match=f"the {kind.family} tokenizer is not trained yet; call"):
        fresh.tokenize("a")


@pytest.mark.parametrize("kind", KINDS)
def test_state_survives_json(kind: type[SubwordTokenizer]) -> None:
    again = kind.from_state(json.loads(json.dumps(TRAINED[kind].state())))
    assert again == TRAINED[kind]
    for text in TEXTS:
        assert again.tokenize(text) == TRAINED[kind].tokenize(text)
    untrained = kind(size=400, min_count=3)
    assert kind.from_state(untrained.state()) == untrained


@pytest.mark.parametrize("kind", KINDS)
def test_bad_use(kind: type[SubwordTokenizer]) -> None:
    with pytest.raises(InputError, match=f"the {kind.family} tokenizer found no text to train on"):
        kind(size=SIZE).train(["", "  \n"])
    with pytest.raises(InputError, match=f"the {kind.family} model is damaged: "):
        kind.from_state({"size": SIZE, "min_count": 2, "model": {"version": "1.0"}})
    with pytest.raises(InputError, match=f"size = 1: a {kind.family} tokenizer needs"):
        kind(size=1)


@pytest.mark.parametrize("kind", KINDS)
def test_lone_surrogates_and_empty_texts(kind: type[SubwordTokenizer]) -> None:
    tokenizer = TRAINED[kind]
    assert tokenizer.detokenize(tokenizer.tokenize("film \ud83d")) == "film \ufffd"
    assert tokenizer.tokenize("") == []
    assert tokenizer.detokenize([]) == ""


def test_training_leaves_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    BPETokenizer(size=SIZE).train(TEXTS)
    assert "TOKENIZERS_PARALLELISM" not in os.environ
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    BPETokenizer(size=SIZE).train(TEXTS)
    assert os.environ["TOKENIZERS_PARALLELISM"] == "true"


def _likelihood(word: str, pieces: dict[str, float]) -> float:
    """The probability of a word, over all ways to cut it: naive recursion."""
    if not word:
        return 1.0
    return sum(
        exp(pieces[word[:end]]) * _likelihood(word[end:], pieces)
        for end in range(1, len(word) + 1)
        if word[:end] in pieces
    )


COUNTS = {"abab": 9, "abc": 5, "cab": 4, "bb": 2, "c": 3}


def test_unigram_pieces_are_a_distribution_that_fits_the_words() -> None:
    pieces = dict(train_unigram(COUNTS, size=6, min_count=1))
    assert len(pieces) == 6
    assert {"a", "b", "c"} <= set(pieces)
    assert sum(map(exp, pieces.values())) == pytest.approx(1)
    letters = {"a": log(22 / 63), "b": log(31 / 63), "c": log(10 / 63)}

    def total(model: dict[str, float]) -> float:
        return sum(n * log(_likelihood(word, model)) for word, n in COUNTS.items())

    assert total(pieces) > total(letters)


def test_unigram_expectation_is_the_naive_one() -> None:
    """Two steps of expectation and maximization without pruning, against enumeration."""
    found = dict(train_unigram({"aba": 3, "ab": 2}, size=10, min_count=2))
    names = ["a", "b", "ab", "ba", "aba"]
    assert sorted(found) == sorted(names)
    model = dict.fromkeys(names, 1 / 5)
    for _ in range(2):
        expected = dict.fromkeys(names, 0.0)
        for word, times in (("aba", 3), ("ab", 2)):
            ways = list(_cuts(word, names))
            odds = []
            for way in ways:
                odd = 1.0
                for piece in way:
                    odd *= model[piece]
                odds.append(odd)
            for way, odd in zip(ways, odds, strict=True):
                for piece in way:
                    expected[piece] += times * odd / sum(odds)
        model = {piece: n / sum(expected.values()) for piece, n in expected.items()}
    for piece, score in found.items():
        assert exp(score) == pytest.approx(model[piece])


def _cuts(word: str, pieces: list[str]) -> list[list[str]]:
    if not word:
        return [[]]
    return [
        [word[:end], *rest]
        for end in range(1, len(word) + 1)
        if word[:end] in pieces
        for rest in _cuts(word[end:], pieces)
    ]


@given(st.dictionaries(st.text("abcé", min_size=1, max_size=70), st.integers(1, 9), max_size=12))
@settings(max_examples=40)
def test_unigram_does_not_depend_on_the_order_of_words(counts: dict[str, int]) -> None:
    forth = train_unigram(counts, size=8, min_count=1)
    back = train_unigram(dict(reversed(counts.items())), size=8, min_count=1)
    assert forth == back
    assert len(forth) <= 8
    assert all(unicodedata.is_normalized("NFC", piece) for piece, _ in forth)


def test_a_bpe_model_that_was_trained_without_a_space_in_front_keeps_to_that() -> None:
    trained = TRAINED[BPETokenizer]
    state = json.loads(json.dumps(trained.state()))
    state["model"]["pre_tokenizer"]["add_prefix_space"] = False
    old = BPETokenizer.from_state(state)
    assert trained.tokenize("friendship a") == ["Ġfriendship", "Ġa"]
    assert old.tokenize("a friendship") == ["a", "Ġfriendship"]
    for text in ("a friendship", " a", "  a ", ""):
        assert old.detokenize(old.tokenize(text)) == trained.detokenize(trained.tokenize(text))
        assert old.detokenize(old.tokenize(text)) == text


def test_labels_are_the_text_of_whole_characters() -> None:
    trained = TRAINED[BPETokenizer]
    assert [trained.label(token) for token in trained.tokenize("a friendship")] == [
        "\u2581a",
        "\u2581friendship",
    ]
    assert "".join(map(trained.label, trained.tokenize("fr"))) == "\u2581fr"
    (*_, last) = trained.tokenize("\u0436")
    assert trained.label(last) == last  # a byte of two
