"""Translation memories (TMX 1.4b): units of texts in several languages, read as a stream."""

from __future__ import annotations

import re
import zlib
from collections.abc import Generator, Iterator, Sequence
from itertools import islice
from pathlib import Path
from xml.parsers import expat

from seqnlp.data.columns import PEEK
from seqnlp.data.formats import empty, open_bytes
from seqnlp.data.languages import SIDES, Languages, choose_languages, fold, speaks
from seqnlp.data.request import CorpusRequest
from seqnlp.data.store import Row, Source
from seqnlp.errors import InputError

BLOCK = 1 << 16
"""Bytes that are given to the parser at once."""

CODES = frozenset({"bpt", "ept", "it", "ph", "ut", "sub"})
"""Elements of a segment that hold the markup of another format, or a text of their own."""

SPACE = re.compile(r"[ \t\r\n]+")

Unit = tuple[int, list[tuple[str, str]]]
"""The line that a unit begins at, and its texts by code of the language."""


def read_tmx(path: Path, request: CorpusRequest) -> Source:
    """The units of a translation memory, in two languages; markup within a text is left out.

    A language is a variety of the code asked for (`de-AT` for `de`); of several texts in it, the
    first counts, one of exactly that code before others. Entities and what lies outside the file
    are not read.
    """
    if not request.parallel:
        names = " and ".join(field.name for field in request.fields)
        raise InputError(f"{path}: a translation memory has pairs of texts; the task reads {names}")
    codes = _choose(path, request.languages)

    def rows() -> Generator[Row, None, None]:
        known: set[str] = set()
        paired = False
        for line, texts in read_units(path):
            known.update(code for code, _ in texts)
            pair = [_text_in(code, texts) for code in codes]
            paired = paired or None not in pair
            yield f":{line}", pair
        if not paired:
            listing = ", ".join(sorted(known)) or "none"
            raise InputError(
                f"{path}: no unit has a text in both {codes[0]!r} and {codes[1]!r}; "
                f"the languages are {listing}"
            )

    return Source(fields=SIDES, rows=rows())


def read_units(path: Path) -> Iterator[Unit]:
    """The units of a file, gzipped or plain.

    Raises:
        InputError: not XML, not a translation memory, or one that declares entities.
    """
    reader = _UnitReader(path)
    read = 0
    with open_bytes(path) as file:
        while True:
            try:
                block = file.read(BLOCK)
            except (OSError, EOFError, zlib.error) as error:
                raise InputError(f"{path}: damaged after byte {read:,}: {error}") from error
            read += len(block)
            if not read:
                raise empty(path)
            yield from reader.take(block)
            if not block:
                return


class _UnitReader:
    """Gathers units from the calls of the parser."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.units: list[Unit] = []
        self.line = 0
        self.language: str | None = None
        self.texts: list[tuple[str, str]] = []
        self.pieces: list[str] | None = None  # those of a segment that is open
        self.within = 0  # how many elements of CODES are open
        self.root = ""
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.begin
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.add
        self.parser.EntityDeclHandler = self.refuse_entity
        self.parser.SkippedEntityHandler = self.refuse_skipped

    def take(self, block: bytes) -> list[Unit]:
        """The units that end in the next block; an empty block is the end of the file."""
        self.units = []
        try:
            self.parser.Parse(block, not block)
        except expat.ExpatError as error:
            what = expat.ErrorString(error.code)
            raise InputError(f"{self.path}:{error.lineno}: not XML: {what}") from error
        return self.units

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        if not self.root:
            self.root = name
            if name != "tmx":
                raise self.error(f"the root element is {name!r}; expected 'tmx'")
        if name == "tu":
            self.line, self.texts = self.parser.CurrentLineNumber, []
        elif name == "tuv":
            # Before version 1.4 the attribute was plain `lang`.
            self.language = attributes.get("xml:lang", attributes.get("lang"))
            if self.language is None:
                raise self.error("a <tuv> without xml:lang, the language of its text")
        elif name == "seg":
            self.pieces, self.within = [], 0
        elif name in CODES:
            self.within += 1

    def end(self, name: str) -> None:
        if name == "tu":
            self.units.append((self.line, self.texts))
        elif name == "seg" and self.pieces is not None and self.language is not None:
            text = SPACE.sub(" ", "".join(self.pieces)).strip(" ")
            self.texts.append((self.language, text))
            self.pieces = None
        elif name in CODES:
            self.within -= 1

    def add(self, text: str) -> None:
        if self.pieces is not None and not self.within:
            self.pieces.append(text)

    def refuse_entity(self, name: str, *_: object) -> None:
        raise self.error(f"declares the entity {name!r}; entities are not expanded, write the text")

    def refuse_skipped(self, name: str, *_: object) -> None:
        raise self.error(f"the entity {name!r} is not declared; write its text")

    def error(self, what: str) -> InputError:
        return InputError(f"{self.path}:{self.parser.CurrentLineNumber}: {what}")


def _choose(path: Path, asked: Languages) -> tuple[str, str]:
    """The codes as they are asked for; one that is not comes from the first units of the file."""
    if asked[0] is not None and asked[1] is not None:
        return asked[0], asked[1]
    found = {code for _, texts in islice(read_units(path), PEEK) for code, _ in texts}
    # What is asked for counts as it is written, and other varieties of it do not count.
    known = {each for each in asked if each and any(speaks(code, each) for code in found)}
    taken = {_primary(code) for code in known}
    known |= {_primary(code) for code in found} - taken
    return choose_languages(asked, sorted(known), str(path))


def _primary(code: str) -> str:
    return fold(code).partition("-")[0]


def _text_in(code: str, texts: Sequence[tuple[str, str]]) -> str | None:
    spoken = [each for each in texts if speaks(each[0], code)]
    exact = [each for each in spoken if fold(each[0]) == fold(code)]
    return (exact or spoken)[0][1] if spoken else None
