"""Translation memories: units in two languages, and files that are none."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqnlp.data import Corpus, open_corpus
from seqnlp.errors import InputError
from seqnlp.types import Field

FIELDS = (Field(name="source"), Field(name="target"))
Languages = tuple[str | None, str | None]
DE_EN: Languages = ("de", "en")
HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4"><header srclang="en" datatype="plaintext"/><body>
"""
# What XML can hold, but for what it makes of white space.
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")
).map(lambda text: text.strip(" "))


def unit(**texts: str) -> str:
    return "<tu>" + "".join(variant(code, text) for code, text in texts.items()) + "</tu>\n"


def variant(code: str, segment: str, attribute: str = "xml:lang") -> str:
    return f'<tuv {attribute}="{code.replace("_", "-")}"><seg>{segment}</seg></tuv>'


def write(path: Path, *units: str, head: str = HEAD, encoding: str = "utf-8") -> Path:
    data = (head + "".join(units) + "</body></tmx>").encode(encoding)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def open_memory(path: Path, languages: Languages = DE_EN, **options: float) -> Corpus:
    options = {"validation_share": 0, **options}
    return open_corpus(str(path), fields=FIELDS, languages=languages, **options)  # type: ignore[arg-type]


def rows_of(corpus: Corpus, split: str = "train") -> list[tuple[str, str]]:
    return [(row["source"], row["target"]) for row in corpus.split(split)]


def complaint(path: Path, languages: Languages = DE_EN) -> str:
    with pytest.raises(InputError) as error:
        open_memory(path, languages)
    message = str(error.value)
    assert "\n" not in message
    return message.replace(str(path), "PATH")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5), st.booleans())
def test_units_are_read_back(tmp_path: Path, rows: list[tuple[str, str]], packed: bool) -> None:
    units = [unit(en=escape(two), de=escape(one)) for one, two in rows]
    folder = tmp_path / "memory"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    write(folder / ("test.tmx.gz" if packed else "test.tmx"), *units)
    assert rows_of(open_memory(folder), "test") == rows


def test_markup_and_white_space(tmp_path: Path) -> None:
    segment = (
        '\n  Ein <bpt i="1">&lt;b></bpt>gro&#223;es<ept i="1">&lt;/b></ept>\n\tHaus'
        '<ph>&lt;br/><sub>Bild</sub></ph> &amp; <hi type="x">ein <it pos="begin">x</it>Hof</hi>'
        "<![CDATA[ <gut>]]><ut>y</ut> "
    )
    path = write(tmp_path / "a.tmx", unit(de=segment, en="A\u00a0house"))
    assert rows_of(open_memory(path)) == [("Ein großes Haus & ein Hof <gut>", "A\u00a0house")]


def test_varieties_of_a_language(tmp_path: Path) -> None:
    units = [
        unit(DE_AT="at", de_DE="de", EN_us="us"),
        unit(de="plain", de_AT="at", en_GB="gb", en="en"),
        "<tu>" + variant("de", "old", "lang") + variant("en", "lang", "lang") + "</tu>",
        unit(den="none", en="x", de="y"),
    ]
    path = write(tmp_path / "a.tmx", *units)
    assert rows_of(open_memory(path)) == [
        ("at", "us"), ("plain", "en"), ("old", "lang"), ("y", "x")]  # fmt: skip
    assert rows_of(open_memory(path, ("en-GB", "de-at"))) == [("gb", "at")]


def test_units_that_lack_a_language_are_counted(tmp_path: Path) -> None:
    units = [unit(de="a", fr="b"), *(unit(de=f"a {i}", en=f"b {i}") for i in range(40)),
             unit(en="", de="c"), unit(fr="x")]  # fmt: skip
    corpus = open_memory(write(tmp_path / "a.tmx", *units), test_share=0.1, validation_share=0.1)
    assert [len(split) for split in corpus.splits.values()] == [32, 4, 4]
    assert corpus.notes == (
        f"train: 2 rows without a text in both languages skipped, the first at {tmp_path}/a.tmx:4",
        f"train: 1 row with an empty side skipped, the first at {tmp_path}/a.tmx:45",
        "no test split: 4 of 40 examples (10 %) cut off train with seed 0",
        "no validation split: 4 of 36 examples (10 %) cut off train with seed 0",
    )
    again = open_memory(tmp_path / "a.tmx", test_share=0.1, validation_share=0.1)
    assert (again.notes, again.fingerprint) == (corpus.notes, corpus.fingerprint)
    # They leave every split, as nothing stands there to be translated; empty sides stay in test.
    (tmp_path / "a.tmx").rename(tmp_path / "test.tmx")
    corpus = open_memory(tmp_path)
    assert len(corpus.split("test")) == 41
    assert corpus.notes[0].startswith("test: 2 rows without a text in both languages skipped")


def test_a_language_that_is_not_named_is_found(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tmx", unit(de_DE="a", en="b"), unit(de_AT="c", en_US="d"))
    assert rows_of(open_memory(path, ("en", None))) == [("b", "a"), ("d", "c")]
    assert rows_of(open_memory(path, (None, "en-US"))) == [("c", "d")]
    assert complaint(path, (None, None)) == (
        "PATH: the languages are de, en; say which is read and which is written, as in "
        "--source de --target en"
    )
    write(path, unit(de="a", en="b", fr="c"))
    assert complaint(path, ("en", None)) == (
        "PATH: the languages are de, en, fr; name the target as well"
    )
    assert complaint(path, (None, "it")) == "PATH: no target language 'it'; known: de, en, fr"
    assert complaint(path, ("it", "en")) == (
        "PATH: no unit has a text in both 'it' and 'en'; the languages are de, en, fr"
    )


@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-1"])
def test_other_encodings(tmp_path: Path, encoding: str) -> None:
    head = HEAD.replace("UTF-8", encoding)
    path = write(tmp_path / "a.tmx", unit(de="größer", en="bigger"), head=head, encoding=encoding)
    assert rows_of(open_memory(path)) == [("größer", "bigger")]


BOMB = '<?xml version="1.0"?>\n<!DOCTYPE tmx [\n<!ENTITY a "aaaaaaaaaa">\n' + "".join(
    f'<!ENTITY {two} "{f"&{one};" * 10}">\n'
    for one, two in zip("abcdefgh", "bcdefghi", strict=True)
)
OUTSIDE = '<!DOCTYPE tmx [<!ENTITY a SYSTEM "file:///etc/passwd">]>\n'
PARAMETER = '<!DOCTYPE tmx [<!ENTITY % a SYSTEM "file:///etc/passwd"> %a;]>\n'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "PATH: the file is empty"),
        ("hello\n", "PATH:1: not XML: syntax error"),
        ("<tmx><body>\n<tu></body></tmx>", "PATH:2: not XML: mismatched tag"),
        (HEAD + unit(de="a", en="b"), "PATH:5: not XML: no element found"),
        ("<html></html>", "PATH:1: the root element is 'html'; expected 'tmx'"),
        (HEAD + "\n<tu><tuv><seg>a</seg></tuv></tu></body></tmx>",
         "PATH:5: a <tuv> without xml:lang, the language of its text"),
        (HEAD + "</body></tmx>",
         "PATH: no unit has a text in both 'de' and 'en'; the languages are none"),
        (f"{BOMB}]><tmx><body>{unit(de='&i;', en='b')}</body></tmx>",
         "PATH:3: declares the entity 'a'; entities are not expanded, write the text"),
        (f"{OUTSIDE}<tmx><body>{unit(de='&a;', en='b')}</body></tmx>",
         "PATH:1: declares the entity 'a'; entities are not expanded, write the text"),
        (f"{PARAMETER}<tmx><body>{unit(de='a', en='b')}</body></tmx>",
         "PATH:1: declares the entity 'a'; entities are not expanded, write the text"),
        (HEAD + unit(de="&uuml;ber", en="b") + "</body></tmx>",
         "PATH:4: the entity 'uuml' is not declared; write its text"),
        (f"<tmx><body>{unit(de='&uuml;ber', en='b')}</body></tmx>",
         "PATH:1: not XML: undefined entity"),
    ],
)  # fmt: skip
def test_complaints(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.tmx"
    path.write_text(content, encoding="utf-8")
    assert complaint(path) == message


def test_a_damaged_and_a_foreign_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tmx.gz", *(unit(de=f"{i}", en=f"{i}") for i in range(9999)))
    path.write_bytes(path.read_bytes()[:20_000])
    assert complaint(path).startswith("PATH: damaged after byte ")
    path = write(tmp_path / "b.tmx", unit(de="a", en="b"))
    with pytest.raises(InputError) as error:
        open_corpus(str(path), fields=(Field(name="text"), Field(name="label")))
    assert str(error.value) == (
        f"{path}: a translation memory has pairs of texts; the task reads text and label"
    )


def test_a_large_file_is_not_held_in_memory(tmp_path: Path) -> None:
    path = write(tmp_path / "test.tmx", *(unit(de="a" * 200, en=f"{i}") for i in range(60_000)))
    size = path.stat().st_size
    tracemalloc.start()
    corpus = open_memory(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(corpus.split("test")) == 60_000
    assert peak < 12e6 < size
