"""Registered corpora: the bundled reviews, stories and reports, the Hugging Face hub, NLTK."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from seqnlp.data.columns import Place, match_columns
from seqnlp.data.corpus import Corpus, CorpusRequest, assemble
from seqnlp.data.hub import load_hub
from seqnlp.data.languages import SIDES, choose_languages
from seqnlp.data.naming import SPLITS
from seqnlp.data.shipped import for_another_task, open_shipped
from seqnlp.data.split import SUMMARIZED, Split
from seqnlp.data.store import Row, Source, stored_split
from seqnlp.data.values import TRANSLATION, narrow, require_pairs, values_of
from seqnlp.errors import InputError, UnknownNameError

HUB_ROWS = 1024


def open_bundled_reviews(argument: str | None, *, request: CorpusRequest) -> Corpus:
    """Short reviews over several domains, written so that word order decides."""
    return open_shipped(
        "reviews",
        argument,
        folder="sentiment",
        request=request,
        description="Short reviews over several domains, written for this package so that word "
        "order decides: negation, contrast, scope, comparison.",
    )


def open_bundled_stories(argument: str | None, *, request: CorpusRequest) -> Corpus:
    """Short everyday sentences in English and German, by a grammar; English is read by default."""
    if not request.parallel:
        raise for_another_task("stories", "translation", "pairs of texts", request)
    if request.languages == (None, None):
        request = replace(request, languages=("en", "de"))
    return open_shipped(
        "stories",
        argument,
        folder="translation",
        request=request,
        description="Everyday sentences in English and German, made for this package by a grammar: "
        "cases, genders, word order. Test sentences combine what train keeps apart.",
    )


def open_bundled_reports(argument: str | None, *, request: CorpusRequest) -> Corpus:
    """Short reports and their headlines, by a grammar; names and numbers of the test are new."""
    if not set(SUMMARIZED) <= {field.name for field in request.fields}:
        raise for_another_task("reports", "summarization", "documents and summaries", request)
    return open_shipped(
        "reports",
        argument,
        folder="summarization",
        request=request,
        description="Short reports and their headlines, made for this package by a grammar. Names "
        "and numbers of validation and test are in no training report: they can only be copied.",
    )


def open_hub(argument: str | None, *, request: CorpusRequest) -> Corpus:
    """A dataset of the Hugging Face hub, or a local folder in its layout: hf:owner/name[:config]

    It is downloaded by the `datasets` library and kept in its cache; HF_HUB_OFFLINE, HF_ENDPOINT
    and HF_HOME are respected. Label numbers become names. A split whose labels are withheld is
    left out and noted. What `save_to_disk` of that library wrote is read too: hf:FOLDER.

    Raises:
        InputError: the hub cannot be reached, has no such dataset, or needs a configuration named.
    """
    if not argument:
        raise InputError("hf: names no dataset; expected hf:owner/name or hf:owner/name:config")
    name = f"hf:{argument}"
    path, _, config = argument.partition(":")
    if path.startswith((".", "/")) and not Path(path).is_dir():
        raise InputError(f"{name}: no such folder")
    loaded = load_hub(path, config or None)
    splits: dict[str, Split] = {}
    notes, left_out = [], []
    license = description = ""
    languages = request.languages
    for key, dataset in loaded.items():
        split = SPLITS.get(key)
        if split is None or split in splits:
            left_out.append(key)
            continue
        license, description = dataset.info.license or "", dataset.info.description or ""
        origin = f"{name} {key}"
        columns, places, codes = _hub_columns(origin, dataset, request)
        label = places.get("label")
        if isinstance(label, int) and _labels_withheld(dataset, columns[label]):
            notes.append(f"the {split} split has no labels and is left out")
            continue
        splits[split] = _hub_split(origin, split, dataset, columns, places, codes)
        languages = codes or languages
    if left_out:
        notes.append(f"splits left out: {', '.join(left_out)}")
    if not splits:
        raise InputError(f"{name}: none of its splits is train, validation or test: {left_out}")
    return assemble(
        name,
        splits,
        request=request,
        license=license.strip() or "not stated",
        description=description.strip().partition("\n")[0],
        notes=notes,
        languages=languages,
    )


def open_nltk(argument: str | None, *, request: CorpusRequest) -> Corpus:
    """A labeled corpus of NLTK's data: nltk:movie_reviews, nltk:sentence_polarity

    movie_reviews: one example a file; the last 200 files of each class, by name, are the test
    split. sentence_polarity: one example a line; the last tenth of each class is the test split.
    Nothing is downloaded.

    Raises:
        InputError: no such corpus, or its data is not installed.
    """
    readers = {"movie_reviews": _documents, "sentence_polarity": _sentences}
    if argument not in readers:
        raise UnknownNameError("corpus of NLTK", argument or "", readers)
    from nltk import corpus as nltk_corpora

    name = f"nltk:{argument}"
    reader = getattr(nltk_corpora, argument)
    try:
        reader.ensure_loaded()
    except LookupError as error:
        raise InputError(
            f"{name}: its data is not installed (NLTK_DATA names where it is looked for); "
            f"to get it: python -m nltk.downloader {argument}"
        ) from error
    names = [field.name for field in request.fields if field.required]
    if "label" not in names or len(names) != 2:
        raise InputError(f"{name} has a text and a label; the task reads {', '.join(names)}")
    if request.columns:
        raise InputError(f"{name} has no columns to choose among; leave out --columns")
    text = next(field for field in names if field != "label")
    root = _file_of(reader)
    key = {"nltk": name, "root": str(root), "mtime": root.stat().st_mtime_ns, "text": text}
    return assemble(
        name,
        {
            split: stored_split(
                split,
                key={**key, "split": split},
                source=lambda split=split: Source(  # type: ignore[misc]
                    fields=(text, "label"), rows=readers[argument](reader, split == "test")
                ),
                origin=name,
            )
            for split in ("train", "test")
        },
        request=request,
        license="research use; see the README in NLTK's data",
        description=f"The corpus {argument} of NLTK's data.",
    )


def _documents(reader: Any, test: bool) -> Generator[Row, None, None]:
    for label in sorted(reader.categories()):
        files = sorted(reader.fileids(label))
        for file in files[-200:] if test else files[:-200]:
            yield f"/{file}", (reader.raw(file), label)


def _sentences(reader: Any, test: bool) -> Generator[Row, None, None]:
    for label in sorted(reader.categories()):
        for file in sorted(reader.fileids(label)):
            lines = reader.raw(file).splitlines()
            first = len(lines) - len(lines) // 10
            for number in range(first, len(lines)) if test else range(first):
                yield f"/{file}:{number + 1}", (lines[number].strip(), label)


def _file_of(reader: Any) -> Path:
    """The folder of a corpus, or the zip file that it is in."""
    packed = getattr(reader.root, "zipfile", None)
    return Path(packed.filename if packed is not None else str(reader.root))


def _labels_withheld(dataset: Any, column: str) -> bool:
    """Whether every label is -1, which is how a hub marks a test split without answers."""
    if not hasattr(dataset.features[column], "names"):
        return False
    import pyarrow.compute as pc

    return bool(pc.max(dataset.data.column(column)).as_py() == -1)


def _hub_columns(
    origin: str, dataset: Any, request: CorpusRequest
) -> tuple[list[str], dict[str, Place], tuple[str, str] | None]:
    """Columns, the places of fields among them, and the languages where both are in one column."""
    header = list(dataset.column_names)
    kind = dataset.features[TRANSLATION] if TRANSLATION in header else None
    known = getattr(kind, "languages", kind)
    if request.reads_translations and isinstance(known, list | dict):
        codes = choose_languages(request.languages, list(known), origin)
        return [TRANSLATION], dict.fromkeys(SIDES, 0), codes
    found = match_columns(header, request.fields, request.columns, origin, request.languages)
    positions, places = narrow(found)
    return [header[position] for position in positions], places, None


def _hub_split(
    origin: str,
    split: str,
    dataset: Any,
    columns: list[str],
    places: Mapping[str, Place],
    codes: tuple[str, str] | None,
) -> Split:
    files = [Path(cached["filename"]) for cached in dataset.cache_files]
    key = {
        "hf": origin,
        "files": [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files],
        "columns": [columns, dict(places)],
        "languages": codes,
    }

    def source() -> Source:
        rows = _hub_rows(origin, dataset, columns, places, codes)
        return Source(
            fields=tuple(places), rows=require_pairs(rows, codes, origin) if codes else rows
        )

    return stored_split(split, key=key, source=source, origin=origin)


def _hub_rows(
    origin: str,
    dataset: Any,
    columns: list[str],
    places: Mapping[str, Place],
    codes: tuple[str, str] | None,
) -> Generator[Row, None, None]:
    classes = [getattr(dataset.features[column], "names", None) for column in columns]
    batches: Iterator[Any] = dataset.select_columns(columns).iter(HUB_ROWS)
    number = 0
    for batch in batches:
        for row in zip(*(batch[column] for column in columns), strict=True):
            number += 1
            where = f", row {number}"
            yield where, values_of(row, places, classes, codes, f"{origin}{where}")
