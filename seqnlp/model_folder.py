"""The folder of a model: where it is, and what can be read of it without loading the model."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seqnlp import hub
from seqnlp.config import Settings, read_toml, settings_from
from seqnlp.data.corpus import Corpus, open_corpus
from seqnlp.errors import BundleError, InputError
from seqnlp.manifest import MANIFEST, Manifest, digest, read
from seqnlp.types import Field


def find_folder(source: str | os.PathLike[str]) -> Path:
    """The folder of a model: itself, or where a model of the Hub has been fetched to.

    Raises:
        InputError: a model of the Hub that cannot be had.
    """
    return hub.fetch(source) if hub.is_on_hub(source) else Path(source)


def make_folders(folder: Path, files: Iterable[str]) -> None:
    """The folders of files, by their paths in `folder`."""
    try:
        for parent in {folder, *((folder / name).parent for name in files)}:
            parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror}") from error


def corpus_of(
    settings: Settings,
    fields: Sequence[Field],
    name: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> Corpus:
    """The corpus that a model of these settings is trained on, cut as for it, or another, whole."""
    chosen = settings.corpus
    languages = chosen.source, chosen.target
    if name is not None:
        return open_corpus(
            name, fields=fields, columns=columns, validation_share=0.0, languages=languages
        )
    return open_corpus(
        chosen.name,
        fields=fields,
        columns=columns or chosen.columns,
        seed=settings.seed,
        validation_share=chosen.validation_share,
        test_share=chosen.test_share,
        languages=languages,
        max_ratio=chosen.max_ratio or None,
    )


def read_settings(folder: Path) -> Settings:
    """The settings in a model's folder, without loading the model.

    Raises:
        SettingsError: the file is missing or not what it was.
    """
    path = folder / "config.toml"
    return settings_from(read_toml(path), str(path))


def read_metrics(folder: Path) -> dict[str, Any]:
    """The figures in a model's folder, without loading the model.

    Raises:
        BundleError: the file is missing or damaged.
    """
    path = folder / "metrics.json"
    try:
        metrics = json.loads(read(folder, "metrics.json"))
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: damaged: not JSON") from error
    if not isinstance(metrics, dict):
        raise BundleError(f"{path}: damaged: not the figures of a model")
    return metrics


def check_digests(folder: Path, manifest: Manifest, names: Iterable[str]) -> None:
    """Raise a BundleError, unless these files are those that the manifest speaks of."""
    for name in names:
        if name not in manifest.sha256:
            raise BundleError(f"{folder / MANIFEST}: damaged: it has no checksum of {name}")
        if digest(read(folder, name)) != manifest.sha256[name]:
            raise BundleError(f"{folder / name}: damaged: its checksum differs from {MANIFEST}")
