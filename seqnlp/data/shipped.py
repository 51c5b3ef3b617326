"""Corpora that come with the package."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from seqnlp.data.corpus import Corpus, CorpusRequest
from seqnlp.data.readers import open_path
from seqnlp.errors import InputError
from seqnlp.files import shipped


def open_shipped(
    name: str,
    argument: str | None,
    *,
    folder: str,
    request: CorpusRequest,
    description: str,
) -> Corpus:
    """A folder among the package's corpora; rows and complaints have its name, not its path.

    Args:
        name: of the corpus.
        argument: what the user wrote after a colon, which there is no use for.
        folder: its name among them.

    Raises:
        InputError: an argument, or what `open_path` says.
    """
    if argument is not None:
        raise InputError(f"the corpus {name!r} takes no argument; found {argument!r}")
    path = shipped("corpora") / folder

    def tell(text: str) -> str:
        return text.replace(str(path), name)

    try:
        corpus = open_path(path, request=request, name=name, license="MIT", description=description)
    except InputError as error:
        raise InputError(tell(str(error))) from error
    splits = {
        split: rows.renamed(rows.name, origin=tell(rows.origin))
        for split, rows in corpus.splits.items()
    }
    return replace(
        corpus, splits=MappingProxyType(splits), notes=tuple(tell(note) for note in corpus.notes)
    )


def for_another_task(name: str, task: str, what: str, request: CorpusRequest) -> InputError:
    """What to say where the fields of a task are not those that a corpus has.

    Args:
        name: of the corpus.
        task: that it is for.
        what: it has, such as "pairs of texts".
    """
    names = " and ".join(field.name for field in request.fields if field.required)
    return InputError(f"the corpus {name!r} has {what}, for --task {task}; this task reads {names}")
