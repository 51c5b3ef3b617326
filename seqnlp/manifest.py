"""The manifest of a model's folder: what it is, what it needs, and checksums."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, StrictInt

from seqnlp import registry
from seqnlp.errors import BundleError
from seqnlp.text.pipeline import PIPELINE_FILES

FORMAT = 3
"""The newest that is read. A model of one pipeline is written in 1, which older readers know; in 2
there are several, all but the first in a folder of their name; in 3 there is none."""
MANIFEST = "bundle.json"
RECORD = "checkpoints/run.json"
"""Stands in the folder of a run that is not finished."""
_HASHED = ("config.toml", "weights.safetensors")
_UNHASHED = (MANIFEST, "metrics.json", "README.md")
_MORE = re.compile(rf"[a-z][a-z0-9_]*/({'|'.join(map(re.escape, PIPELINE_FILES))})")


def hashed_files(pipelines: Sequence[str]) -> tuple[str, ...]:
    """The files without which, or with another's, a model is not the one that was saved.

    Args:
        pipelines: their names.
    """
    folders = ["" if number == 0 else f"{name}/" for number, name in enumerate(pipelines)]
    return *_HASHED, *(f"{folder}{file}" for folder in folders for file in PIPELINE_FILES)


def format_for(pipelines: Sequence[str]) -> int:
    """The oldest format that a model with these pipelines can be written in; see `FORMAT`."""
    return {0: 3, 1: 1}.get(len(pipelines), 2)


def is_part(name: str) -> bool:
    """Whether a path in a model's folder is one that a model has.

    >>> [is_part(name) for name in ("bundle.json", "target/pipeline.json", "../bundle.json")]
    [True, True, False]
    """
    return name in (*_HASHED, *PIPELINE_FILES, *_UNHASHED) or bool(_MORE.fullmatch(name))


Name = Annotated[str, Field(max_length=200, pattern=r"^[^\n\r]*$")]


class Requirement(BaseModel):
    """A registered part that a model is made of, and the package that it comes from."""

    kind: Name
    name: Name
    package: Name
    version: Name


class Manifest(BaseModel):
    """bundle.json: what the folder is, what it needs, and checksums of what must not change."""

    format: StrictInt = Field(ge=1)
    seqnlp: str
    torch: str
    state: dict[str, Any]
    requires: list[Requirement]
    sha256: dict[str, str]


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a model's folder, without loading the model.

    Raises:
        BundleError: there is none, it is damaged, or it is of a newer format.
    """
    if not folder.is_dir():
        raise BundleError(f"{folder}: no such model folder")
    path = folder / MANIFEST
    if not path.is_file():
        if (folder / RECORD).is_file():
            raise BundleError(
                f"{folder}: its training is not finished; seqnlp train --resume {folder} goes on "
                "with it"
            )
        raise BundleError(f"{folder}: not a saved model: it has no {MANIFEST}")
    data = read(folder, MANIFEST)
    try:
        raw = json.loads(data)
        newest, saver = raw["format"], str(raw["seqnlp"])[:20]
        if isinstance(newest, int) and newest > FORMAT:
            raise BundleError(
                f"{folder}: saved by seqnlp {saver} in format {newest}; this is seqnlp "
                f"{version('seqnlp')}, which reads up to format {FORMAT}: upgrade seqnlp"
            )
        manifest = Manifest.model_validate_json(data)
        known = set(registry.REGISTRIES)
        least = {*_HASHED, *(PIPELINE_FILES if manifest.format < FORMAT else ())}
        more = set(manifest.sha256) - least
        whole = least <= set(manifest.sha256) and all(map(_MORE.fullmatch, more))
        whole = whole and all(part.kind in known for part in manifest.requires)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(f"{path}: damaged: not the manifest of a model") from error
    if not whole:
        raise BundleError(f"{path}: damaged: not the manifest of a model")
    return manifest


def requirements(parts: Iterable[tuple[str, str]]) -> list[Requirement]:
    """The packages that parts, (kind, name) each, come from, with their versions."""
    found = []
    for kind, name in parts:
        package = registry.REGISTRIES[kind].names().get(name, "")
        try:
            release = version(package)
        except (PackageNotFoundError, ValueError):
            release = ""
        found.append(Requirement(kind=kind, name=name, package=package, version=release))
    return found


def check_requirements(path: Path, parts: Iterable[Requirement]) -> None:
    """See that the parts of a model's folder are there.

    Raises:
        BundleError: one is not; the message says which package has it.
    """
    for part in parts:
        kind = registry.REGISTRIES[part.kind]
        if part.name in kind.names():
            continue
        what = f"{path}: needs the {kind.singular} {part.name!r}"
        if part.package == registry.THIS_PROCESS:
            raise BundleError(
                f"{what}, which the process that saved it had registered itself; "
                f"register it before loading"
            )
        raise BundleError(
            f"{what} of {part.package} {part.version}, which is not installed; "
            f"pip install {part.package}"
        )


def read(folder: Path, name: str) -> bytes:
    """A file of a model's folder.

    Raises:
        BundleError: it is missing, lies elsewhere, or cannot be read.
    """
    path = folder / name
    # Nothing but a plain file is opened: a device or a pipe would never end.
    try:
        if not path.is_file():
            raise BundleError(f"{path}: missing from the model's folder")
        found, home = path.resolve(), folder.resolve()
        # The Hub's cache keeps files once for all revisions of a model, which link to them.
        shared = home.parent.name == "snapshots" and found.parent == home.parents[1] / "blobs"
        if not shared and not found.is_relative_to(home):
            raise BundleError(f"{path}: a link out of the model's folder; put the file there")
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error


def digest(data: bytes) -> str:
    """The checksum of a file."""
    return hashlib.sha256(data).hexdigest()
