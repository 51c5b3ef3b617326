import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqnlp.errors import BundleError, InputError
from seqnlp.text import BOS, EOS, PAD, UNK, Vocabulary

COUNTS = st.dictionaries(st.text(max_size=5) | st.sampled_from([PAD, UNK]), st.integers(1, 4))


@given(COUNTS, st.integers(1, 4), st.none() | st.integers(3, 10))
def test_properties(counts: dict[str, int], min_count: int, max_size: int | None) -> None:
    vocabulary = Vocabulary.from_counts(counts, min_count=min_count, max_size=max_size)
    kept = [token for token, count in counts.items() if count >= min_count]
    room = len(kept) if max_size is None else max_size - 2
    assert len(vocabulary) == 2 + min(len(kept), room)
    assert list(vocabulary.tokens) == sorted(kept, key=lambda t: (-counts[t], t))[:room]
    assert (vocabulary.token(0), vocabulary.token(1)) == (PAD, UNK)
    for token in counts:
        known = token in vocabulary
        assert known == (token in vocabulary.tokens)
        assert (vocabulary.id(token) >= 2) == known
        assert vocabulary.token(vocabulary.id(token)) == (token if known else UNK)
    assert vocabulary.ids(counts) == [vocabulary.id(token) for token in counts]


def test_order_is_by_count_then_code_point() -> None:
    counts = {"b": 2, "a": 2, "Z": 2, "é": 2, "often": 5, "once": 1}
    vocabulary = Vocabulary.from_counts(counts, min_count=2, specials=(PAD, UNK, BOS, EOS))
    assert vocabulary.tokens == ("often", "Z", "a", "b", "é")
    assert vocabulary.id("often") == 4
    assert (vocabulary.pad, vocabulary.unk) == (0, 1)
    assert (vocabulary.special(BOS), vocabulary.special(EOS)) == (2, 3)


def test_a_text_cannot_name_a_special_token() -> None:
    without = Vocabulary(("a",))
    assert without.ids([PAD, UNK, "<bos>"]) == [1, 1, 1]
    holding = Vocabulary.from_counts({PAD: 3, "a": 1})
    assert holding.id(PAD) == 2
    assert holding.token(2) == holding.token(0) == PAD


@given(st.lists(st.text(st.characters(exclude_categories=[])), unique=True))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_save_and_load(tmp_path: Path, tokens: list[str]) -> None:
    # Halves that would meet as one pair are one character in JSON.
    tokens = [t for t in tokens if not re.search("[\ud800-\udbff][\udc00-\udfff]", t)]
    vocabulary = Vocabulary(tuple(tokens), (PAD, UNK, EOS))
    vocabulary.save(tmp_path / "vocabulary.json")
    assert Vocabulary.load(tmp_path / "vocabulary.json") == vocabulary


def test_the_file_is_readable_utf8(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.json"
    Vocabulary(("café", "a\nb", "\ud83d")).save(path)
    text = path.read_text(encoding="utf-8")
    assert '"café"' in text
    assert '"a\\nb"' in text
    assert '"\\ud83d"' in text


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Vocabulary(("a", "b", "a")), "the token 'a' stands twice in the vocabulary"),
        (lambda: Vocabulary((), (PAD, UNK, EOS, EOS)), "the special '<eos>' stands twice"),
        (lambda: Vocabulary((), (UNK, PAD)), "specials begin with <pad> and <unk>, found ("),
        (
            lambda: Vocabulary.from_counts({"a": 1}, max_size=2),
            "max_size = 2 leaves no room beside 2 special tokens",
        ),
        (lambda: Vocabulary(("a",)).token(3), "no token has the id 3; ids are 0 to 2"),
        (lambda: Vocabulary(("a",)).token(-1), "no token has the id -1; ids are 0 to 2"),
        (
            lambda: Vocabulary(("a",)).special(BOS),
            "the vocabulary has no special token '<bos>'; it has <pad>, <unk>",
        ),
    ],
)
def test_bad_use(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(InputError, match=re.escape(message)):
        make()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "vocabulary.json: no such file"),
        (b'{"tokens": [\n"a",', "vocabulary.json:2: not JSON: "),
        (b'{"tokens":\n ["\xff"]}', "vocabulary.json:2: not valid UTF-8"),
        (b"[1]", "vocabulary.json: expected a JSON object, found list"),
        (b'{"specials": []}', "vocabulary.json: expected a list of strings under 'tokens'"),
        (b'{"tokens": [1]}', "vocabulary.json: expected a list of strings under 'tokens'"),
        (b'{"tokens": "ab"}', "vocabulary.json: expected a list of strings under 'tokens'"),
        (
            json.dumps({"tokens": ["a", "a"], "specials": [PAD, UNK]}).encode(),
            "vocabulary.json: the token 'a' stands twice in the vocabulary",
        ),
    ],
)
def test_damaged_files(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "vocabulary.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BundleError, match=re.escape(message)):
        Vocabulary.load(path)


def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="Is a directory"):
        Vocabulary.load(tmp_path)
