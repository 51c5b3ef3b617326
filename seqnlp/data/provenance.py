"""The files that a corpus was read from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seqnlp.data.corpus import Corpus
from seqnlp.data.places import suffix_of
from seqnlp.types import Field


def files_of(corpus: Corpus, fields: Sequence[Field]) -> list[Path]:
    """Every file that rows of the corpus are from, as far as they are from files.

    Args:
        fields: that the corpus was opened with, each of which may have a file of its own.
    """
    endings = {code.casefold() for code in corpus.languages if code}
    endings |= {name.casefold() for field in fields for name in (*field.aliases, field.name)}
    found: list[Path] = []
    for origin in dict.fromkeys(Path(split.origin) for split in corpus.splits.values()):
        if origin.is_dir():
            found += [path for path in sorted(origin.iterdir()) if suffix_of(path)]
        elif origin.is_file():
            stem, _ = _parts(origin)
            sides = [(path, *_parts(path)) for path in sorted(origin.parent.iterdir())]
            found.append(origin)
            found += [path for path, other, end in sides if other == stem and end in endings]
    return list(dict.fromkeys(found))


def _parts(path: Path) -> tuple[str, str]:
    """The name before the ending that tells a language or a field, and that ending, unnumbered.

    >>> _parts(Path("test.de.gz")), _parts(Path("test.Summary2"))
    (('test', 'de'), ('test', 'summary'))
    """
    name = path.name.casefold().removesuffix(".gz").removesuffix(".txt")
    stem, _, ending = name.rpartition(".")
    return stem, ending.rstrip("-_0123456789") if stem else ""
