import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqnlp import registry
from seqnlp.errors import BundleError, InputError, UnknownNameError
from seqnlp.text import (
    BOS,
    EOS,
    PAD,
    UNK,
    BPETokenizer,
    CharTokenizer,
    NgramHasher,
    NltkTokenizer,
    RegexTokenizer,
    SpacyTokenizer,
    Tokenizer,
    TokenPipeline,
    UnigramTokenizer,
    WhitespaceTokenizer,
    WordPieceTokenizer,
)

TEXTS = ["A stirring film , a Film", "not a film at all", "café , café"]
PLAIN = TokenPipeline(normalizers=("lowercase",), tokenizer=WhitespaceTokenizer())
HASHED = TokenPipeline(
    normalizers=("lowercase",), tokenizer=WhitespaceTokenizer(), hasher=NgramHasher(buckets=50)
).fit(TEXTS)


def test_normalizers_run_before_the_tokenizer() -> None:
    pipeline = TokenPipeline(
        normalizers=("strip_accents", "mask_digits"), tokenizer=RegexTokenizer()
    )
    assert pipeline.tokens("Café-1999") == ["Cafe", "-", "0000"]


def test_fit_makes_a_new_one() -> None:
    fitted = PLAIN.fit(iter(TEXTS), min_count=2, specials=(PAD, UNK, BOS, EOS))
    assert PLAIN.vocabulary is None
    assert fitted.vocabulary is not None
    assert fitted.vocabulary.tokens == ("a", "film", ",", "café")
    assert fitted.encode("A FILM noir") == [4, 5, 1]
    smaller = fitted.fit(TEXTS, max_size=3)
    assert smaller.vocabulary is not None
    assert smaller.vocabulary.tokens == ("a",)
    assert len(fitted.vocabulary) == 8


def test_fit_counts_is_fit_of_what_was_counted() -> None:
    counts = Counter(token for text in TEXTS for token in PLAIN.tokens(text))
    assert PLAIN.fit_counts(counts, min_count=2) == PLAIN.fit(TEXTS, min_count=2)


@pytest.mark.parametrize("texts", [TEXTS * 5, iter(TEXTS * 5)])
def test_fit_trains_the_tokenizer_on_normalized_texts(texts: list[str]) -> None:
    pipeline = TokenPipeline(normalizers=("lowercase",), tokenizer=BPETokenizer(size=280))
    fitted = pipeline.fit(texts)
    lowered = [text.lower() for text in TEXTS * 5]
    assert fitted.tokenizer == BPETokenizer(size=280).train(lowered)
    assert pipeline.tokenizer == BPETokenizer(size=280)
    assert fitted.decode(fitted.encode("A Film")) == "a film"
    assert pipeline.with_trained_tokenizer(TEXTS * 5).tokenizer == fitted.tokenizer
    assert PLAIN.with_trained_tokenizer(TEXTS) is PLAIN


def test_ids_and_decode() -> None:
    fitted = PLAIN.fit(TEXTS, specials=(PAD, UNK, BOS, EOS))
    ids = fitted.ids(["film", "<pad>", "noir"])
    assert ids.dtype == np.int64
    assert ids.tolist() == [5, 1, 1]
    assert fitted.decode([2, 5, 1, 4, 3, 0, 0]) == "film <unk> a"
    with pytest.raises(InputError, match="no token has the id 99; ids are 0 to"):
        fitted.decode([99])


@given(st.text())
def test_lossless_pipelines_decode_what_they_encode(text: str) -> None:
    pipeline = TokenPipeline(tokenizer=CharTokenizer()).fit([text])
    assert pipeline.decode(pipeline.encode(text)) == text


def _bag(pipeline: TokenPipeline, token: str) -> list[int]:
    assert pipeline.hasher is not None
    return [int(id) for id in pipeline.hasher.ids(token)]


def test_features_are_ids_and_ngrams_of_each_type() -> None:
    types = ["film", "unseen", "a"]
    ids, ngrams, offsets = HASHED.features(types)
    assert ids.tolist() == HASHED.ids(types).tolist()
    ends = [*offsets.tolist()[1:], len(ngrams)]
    bags = [ngrams[a:b].tolist() for a, b in zip(offsets, ends, strict=True)]
    assert bags == [_bag(HASHED, token) for token in types]
    ids, ngrams, offsets = PLAIN.fit(TEXTS).features(types)
    assert (len(ids), ngrams.tolist(), offsets.tolist()) == (3, [], [0, 0, 0])


ROWS = st.lists(
    st.lists(st.sampled_from(["a", "film", "unseen", "<pad>", "", "café"]), max_size=5), min_size=1
)


def test_use_before_fit() -> None:
    for use in (lambda: PLAIN.encode("a"), lambda: PLAIN.decode([1])):
        with pytest.raises(InputError, match="the pipeline has no vocabulary yet; call fit"):
            use()
    with pytest.raises(UnknownNameError, match="did you mean 'lowercase'"):
        TokenPipeline(normalizers=("lowercas",), tokenizer=CharTokenizer()).tokens("a")


def test_fingerprint_follows_normalizers_and_tokenizer_alone() -> None:
    assert PLAIN.fingerprint() == HASHED.fingerprint() == PLAIN.fit(TEXTS).fingerprint()
    trained = TokenPipeline(tokenizer=BPETokenizer(size=280)).fit(TEXTS)
    others = [
        PLAIN,
        TokenPipeline(tokenizer=WhitespaceTokenizer()),
        TokenPipeline(normalizers=("nfc", "lowercase"), tokenizer=WhitespaceTokenizer()),
        TokenPipeline(normalizers=("lowercase", "nfc"), tokenizer=WhitespaceTokenizer()),
        TokenPipeline(tokenizer=RegexTokenizer()),
        TokenPipeline(tokenizer=RegexTokenizer(pattern="a")),
        TokenPipeline(tokenizer=BPETokenizer(size=280)),
        trained,
    ]
    assert len({pipeline.fingerprint() for pipeline in others}) == len(others)


def test_fingerprint_follows_the_version_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = TokenPipeline(tokenizer=NltkTokenizer())
    before = pipeline.fingerprint()
    monkeypatch.setattr(
        "seqnlp.text.pipeline.version", lambda name: "99" if name == "nltk" else "1"
    )
    one = pipeline.fingerprint()
    monkeypatch.setattr("seqnlp.text.pipeline.version", lambda name: "1")
    assert len({before, one, pipeline.fingerprint()}) == 3


@pytest.mark.parametrize(
    "tokenizer",
    [
        WhitespaceTokenizer(),
        RegexTokenizer(pattern=r"\w+"),
        CharTokenizer(),
        SpacyTokenizer("de"),
        NltkTokenizer("tweet"),
        BPETokenizer(size=280),
        UnigramTokenizer(size=40),
        WordPieceTokenizer(size=60),
    ],
    ids=lambda tokenizer: tokenizer.family,
)
@pytest.mark.parametrize("hasher", [None, NgramHasher(buckets=99, min_size=2, max_size=4)])
def test_save_and_load(tmp_path: Path, tokenizer: Tokenizer, hasher: NgramHasher | None) -> None:
    unfitted = TokenPipeline(normalizers=("nfc", "lowercase"), tokenizer=tokenizer, hasher=hasher)
    for name, pipeline in (("unfitted", unfitted), ("fitted", unfitted.fit(TEXTS))):
        pipeline.save(tmp_path / "deep" / name)
        again = TokenPipeline.load(tmp_path / "deep" / name)
        assert again == pipeline
        assert again.fingerprint() == pipeline.fingerprint()
    assert again.encode("A café film") == pipeline.encode("A café film")
    assert sorted(path.name for path in (tmp_path / "deep" / "fitted").iterdir()) == [
        "pipeline.json", "tokenizer.json", "vocabulary.json",
    ]  # fmt: skip


def _change(folder: Path, **changes: object) -> None:
    path = folder / "pipeline.json"
    data = json.loads(path.read_text())
    data.update(changes)
    path.write_text(json.dumps({key: value for key, value in data.items() if value != "gone"}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "pipeline.json: format 2 is of a newer version of seqnlp; this one reads"),
        ({"format": "gone"}, "pipeline.json: the key 'format' is missing"),
        ({"format": True}, "pipeline.json: format: expected int, found True"),
        ({"normalizers": ["loud"]}, "pipeline.json: the normalizer 'loud' is not installed"),
        ({"normalizers": "nfc"}, "pipeline.json: normalizers: expected list, found 'nfc'"),
        (
            {"tokenizer": "odd", "package": "seqnlp-odd"},
            "pipeline.json: the tokenizer 'odd' comes from seqnlp-odd, which is not installed",
        ),
        ({"vocabulary": "x"}, "pipeline.json: vocabulary: expected int or null, found 'x'"),
        ({"vocabulary": 9}, "vocabulary.json: expected 9 tokens, found 10"),
        ({"ngrams": {"bucket": 1}}, "pipeline.json: ngrams: "),
        ({"ngrams": {"buckets": 0}}, "pipeline.json: ngrams: buckets = 0: expected 1"),
    ],
)
def test_damaged_descriptions(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    HASHED.save(tmp_path)
    _change(tmp_path, **changes)
    with pytest.raises(BundleError, match=re.escape(message)):
        TokenPipeline.load(tmp_path)


@pytest.mark.parametrize("name", ["pipeline.json", "tokenizer.json", "vocabulary.json"])
def test_missing_and_truncated_files(tmp_path: Path, name: str) -> None:
    HASHED.save(tmp_path)
    path = tmp_path / name
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(BundleError, match=rf"{name}:\d+: not JSON: "):
        TokenPipeline.load(tmp_path)
    path.unlink()
    with pytest.raises(BundleError, match=f"{name}: no such file"):
        TokenPipeline.load(tmp_path)


@pytest.mark.parametrize(
    ("family", "state", "message"),
    [
        ("whitespace", {"odd": 1}, "tokenizer.json: no state of a whitespace tokenizer: "),
        ("bpe", {"size": 300}, "tokenizer.json: no state of a bpe tokenizer: 'model' is missing"),
        ("regex", {"pattern": "("}, "tokenizer.json: pattern: not a regular expression"),
    ],
)
def test_damaged_tokenizers(
    tmp_path: Path, family: str, state: dict[str, object], message: str
) -> None:
    HASHED.save(tmp_path)
    _change(tmp_path, tokenizer=family)
    (tmp_path / "tokenizer.json").write_text(json.dumps(state))
    with pytest.raises(BundleError, match=re.escape(message)):
        TokenPipeline.load(tmp_path)


def test_saving_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*file: File exists"):
        HASHED.save(tmp_path / "file")


def test_a_tokenizer_of_this_process_is_saved_and_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Commas(Tokenizer):
        family = "commas"

        def tokenize(self, text: str) -> list[str]:
            return text.split(",")

    monkeypatch.setattr(registry.tokenizers, "_local", {})
    registry.tokenizers.register("commas")(Commas)
    TokenPipeline(tokenizer=Commas()).fit(["a,b"]).save(tmp_path)
    assert TokenPipeline.load(tmp_path).tokens("a,b") == ["a", "b"]
    monkeypatch.setattr(registry.tokenizers, "_local", {})
    with pytest.raises(BundleError, match="the tokenizer 'commas' comes from this process, which"):
        TokenPipeline.load(tmp_path)
