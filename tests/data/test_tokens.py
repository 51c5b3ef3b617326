from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqnlp.data import Corpus, Split, TokenizedText, tokenize_corpus, tokenize_split, tokens
from seqnlp.data.split import concatenate
from seqnlp.data.tokens import tokenize_sentences
from seqnlp.errors import InputError
from seqnlp.text import RegexTokenizer, TokenPipeline, WhitespaceTokenizer

PIPELINE = TokenPipeline(normalizers=("lowercase",), tokenizer=WhitespaceTokenizer())
TRAIN = ["A fine film", "", "a dull , DULL film"]
TEST = ["an unseen film", "fine fine"]


def split_of(name: str, texts: list[str]) -> Split:
    return Split.from_examples(name, [{"text": text} for text in texts])


def words(text: TokenizedText) -> list[list[str]]:
    return [[text.types[number] for number in text[i]] for i in range(len(text))]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEQNLP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tokens"


def test_tokens_of_a_split(cache: Path) -> None:
    for _ in range(2):  # made, then from the cache
        text = tokenize_split(split_of("train", TRAIN), "text", PIPELINE)
        assert words(text) == [PIPELINE.tokens(line) for line in TRAIN]
        assert text.types == ("a", "fine", "film", "dull", ",")
        assert text.counts.tolist() == [2, 1, 2, 2, 1]
        assert text.lengths.tolist() == [3, 0, 5]
        assert text.tokens.dtype == np.int32
        assert text.offsets.dtype == np.int64
        assert isinstance(text.tokens, np.memmap)
        assert not text.tokens.flags.writeable
        assert text[-1].tolist() == text[2].tolist()
        with pytest.raises(IndexError, match="document 3 of 3"):
            text[3]
    assert len(list(cache.iterdir())) == 1


def test_a_second_time_nothing_is_tokenized(monkeypatch: pytest.MonkeyPatch) -> None:
    split = split_of("train", TRAIN)
    first = tokenize_split(split, "text", PIPELINE)
    monkeypatch.setattr(tokens, "tokenize_all", None)
    assert words(tokenize_split(split, "text", PIPELINE)) == words(first)
    corpus = Corpus(name="c", splits={"train": split})
    assert words(tokenize_corpus(corpus, "text", PIPELINE)["train"]) == words(first)


def test_other_rows_and_other_pipelines_have_entries_of_their_own(cache: Path) -> None:
    split = split_of("train", ["it's"])
    whole = tokenize_split(split, "text", PIPELINE)
    pieces = TokenPipeline(tokenizer=RegexTokenizer())
    assert words(tokenize_split(split, "text", pieces)) == [pieces.tokens("it's")] != words(whole)
    assert words(tokenize_split(split_of("train", ["b"]), "text", PIPELINE)) == [["b"]]
    assert len(list(cache.iterdir())) == 3


def test_splits_of_a_corpus_share_one_table_of_types() -> None:
    corpus = Corpus(
        name="c", splits={"train": split_of("train", TRAIN), "test": split_of("test", TEST)}
    )
    for _ in range(2):
        texts = tokenize_corpus(corpus, "text", PIPELINE)
        train, test = texts["train"], texts["test"]
        assert train.types is test.types
        assert words(train) == [PIPELINE.tokens(line) for line in TRAIN]
        assert words(test) == [PIPELINE.tokens(line) for line in TEST]
        # What test alone has comes last and does not occur in train.
        assert train.types[-2:] == ("an", "unseen")
        assert train.counts.tolist() == [2, 1, 2, 2, 1, 0, 0]
        assert test.counts.tolist() == [0, 2, 1, 0, 0, 1, 1]


@given(st.lists(st.lists(st.text(max_size=3), max_size=5), max_size=5))
def test_tokens_in_memory(documents: list[list[str]]) -> None:
    text = TokenizedText.from_tokens(documents)
    assert words(text) == documents
    counts = Counter(token for document in documents for token in document)
    assert dict(zip(text.types, text.counts.tolist(), strict=True)) == counts
    assert text.lengths.tolist() == [len(document) for document in documents]


@given(documents=st.lists(st.text("ab é\ud800", max_size=9), max_size=5))
def test_what_is_stored_is_what_was_tokenized(documents: list[str]) -> None:
    documents = [text.replace("\ud800", "") for text in documents]
    split = split_of("train", documents) if documents else split_of("train", ["x"])[:0]
    text = tokenize_split(split, "text", PIPELINE)
    assert words(text) == [PIPELINE.tokens(line) for line in documents]


@pytest.mark.parametrize("damage", ["empty", "start", "end", "middle", "longer", "sizes"])
def test_a_damaged_entry_is_made_again(cache: Path, damage: str) -> None:
    split = split_of("train", TRAIN)
    tokenize_split(split, "text", PIPELINE)
    (entry,) = cache.iterdir()
    good = entry.read_bytes()
    bad = {
        "empty": b"", "start": b"x" + good[1:], "end": good[:-1],
        "middle": good[:40] + good[44:], "longer": good + b"12345678",
        "sizes": good[:-24] + b"\xff" * 24,
    }[damage]  # fmt: skip
    entry.write_bytes(bad)
    text = tokenize_split(split, "text", PIPELINE)
    assert words(text) == [PIPELINE.tokens(line) for line in TRAIN]
    assert entry.read_bytes() == good


def test_several_processes_tokenize_at_once(tmp_path: Path) -> None:
    code = (
        "from seqnlp.data import Split, tokenize_split;"
        "from seqnlp.text import TokenPipeline, WhitespaceTokenizer;"
        "rows = [{'text': f'word {i}'} for i in range(20000)];"
        "text = tokenize_split(Split.from_examples('train', rows), 'text',"
        "                      TokenPipeline(tokenizer=WhitespaceTokenizer()), workers=1);"
        "print(len(text), len(text.types), int(text.counts.sum()))"
    )
    environment = {**os.environ, "SEQNLP_CACHE": str(tmp_path / "shared")}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    found = [process.communicate()[0] for process in processes]
    assert found == [b"20000 20001 40000\n"] * 3
    assert len(list((tmp_path / "shared" / "tokens").iterdir())) == 1


def test_an_unknown_field() -> None:
    with pytest.raises(InputError, match="has no field 'txt'; did you mean 'text'"):
        tokenize_split(split_of("train", TRAIN), "txt", PIPELINE)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_text(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    with path.open("w") as file:
        file.write("text\n")
        for number in range(100_000):
            file.write(f"{'some words that are seen again and again ' * 6}{number % 100}\n")
    code = (
        "import sys, tracemalloc; from pathlib import Path;"
        "from seqnlp.data.readers import read_file; from seqnlp.data import *;"
        "from seqnlp.types import Field; from seqnlp.text import *;"
        "request = CorpusRequest(fields=(Field(name='text'),));"
        "split = read_file(Path(sys.argv[1]), 'train', request=request);"
        "pipeline = TokenPipeline(tokenizer=WhitespaceTokenizer());"
        "tracemalloc.start();"
        "text = tokenize_split(split, 'text', pipeline, workers=1);"
        "print(len(text.tokens), int(text.counts.sum()), tracemalloc.get_traced_memory()[1])"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, check=True, text=True
    )
    tokens_found, counted, peak = map(int, finished.stdout.split())
    assert tokens_found == counted == 100_000 * 49
    assert peak < 4 * tokens_found, "less than the numbers of the tokens alone"


def test_what_is_not_lasting_is_kept_nowhere(cache: Path) -> None:
    def splits(lasting: bool) -> dict[str, Split]:
        made = {
            name: Split.from_examples(name, [{"text": t} for t in texts], lasting=lasting)
            for name, texts in (("train", TRAIN), ("test", TEST))
        }
        made["train"] = concatenate(
            "train", [made["train"].select([2, 0]), made["train"]], origin=""
        )
        return made | {"test": made["test"].renamed("test")}

    corpora = [Corpus(name="c", splits=splits(lasting)) for lasting in (False, True)]
    found, alike = (tokenize_corpus(corpora[0], "text", PIPELINE) for _ in range(2))
    sentences = tokenize_sentences(corpora[0].split("test"), "text", PIPELINE)
    assert not cache.exists()
    expected = tokenize_corpus(corpora[1], "text", PIPELINE)
    assert len(list(cache.iterdir())) == 3
    for name in ("train", "test"):
        assert words(found[name]) == words(expected[name]) == words(alike[name])
        assert found[name].types == expected[name].types
        assert found[name].tokens.dtype == np.int32
    assert words(sentences) == [TEST[0].split(), TEST[1].split()]
