"""What installed packages declare, read from their metadata; no package is imported.

`importlib.metadata` knows the same, but takes as long for it as the whole of `seqnlp --help`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

PREFIX = "seqnlp."
"""What the entry-point groups of the toolkit begin with."""
_METADATA = (".dist-info", ".egg-info")
_COMMENT = re.compile(r"\s#.*$")


class Declared(NamedTuple):
    """One entry point.

    group: without `seqnlp.`. value: `module:attribute`. distribution, version: who declares it.
    """

    group: str
    name: str
    value: str
    distribution: str
    version: str

    @property
    def package(self) -> str:
        """The distribution with its version, for messages."""
        return f"{self.distribution} {self.version}".rstrip()

    @property
    def module(self) -> str:
        """The module that the value names."""
        return self.value.partition(":")[0].strip()

    @property
    def attribute(self) -> str:
        """What it names in that module; empty where it names the module itself."""
        return self.value.partition(":")[2].strip()


def declarations() -> tuple[Declared, ...]:
    """Every entry point of a group of the toolkit, of packages earlier on `sys.path` first.

    Of two copies of one distribution the first counts, as in an import.
    """
    return _declarations(tuple((root, _changed(root)) for root in sys.path))


def silent_plugins() -> list[str]:
    """Distributions that look like plugins, by their name, and declare no part."""
    telling = {_normal(each.distribution) for each in declarations() if each.group != "interface"}
    telling.add("seqnlp-runtime")  # runs exported models, and is no plugin
    names = {stem for _, stem in _distributions(tuple(sys.path))}
    return sorted(
        name.partition("-")[0].replace("_", "-")
        for name in names
        if (plain := _normal(name.partition("-")[0])).startswith("seqnlp-") and plain not in telling
    )


def not_installed(name: str, group: str = "") -> str:
    """Of a name that a package below the current folder declares, and none that is installed, what
    to do; empty where there is no such package. This is not quick.

    Args:
        name: of a part.
        group: without `seqnlp.`; any, if it is not given.
    """
    import shlex
    import tomllib
    from pathlib import Path

    here = Path()
    for path in (here / "pyproject.toml", *sorted(here.glob("*/pyproject.toml"))):
        # What cannot be read cannot have been installed.
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
            groups = dict(content["project"]["entry-points"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        wanted = [PREFIX + group] if group else [key for key in groups if key.startswith(PREFIX)]
        if any(name in groups.get(key, ()) for key in wanted):
            folder = "." if path.parent == here else shlex.quote(f"./{path.parent}")
            return (
                f"{path} declares it, but it is not installed, or was before that: "
                f"pip install -e {folder}"
            )
    return ""


@lru_cache(maxsize=4)
def _declarations(places: tuple[tuple[str, int], ...]) -> tuple[Declared, ...]:
    """Read once, until something is installed or removed."""
    path = tuple(root for root, _ in places)
    found: list[Declared] = []
    for folder, _ in _distributions(path):
        # Of a legacy .egg-info that is a single file there are no entry points.
        try:
            with open(os.path.join(folder, "entry_points.txt"), "rb") as file:
                text = file.read()
        except OSError:
            continue
        if b"[" + PREFIX.encode() in text:
            name, version = _identity(folder)
            found += [
                Declared(group, key, value, name, version)
                for group, key, value in _entries(text.decode("utf-8", "replace"))
            ]
    return (*found, *_zipped(path))


def _changed(root: str) -> int:
    try:
        return os.stat(root or ".").st_mtime_ns
    except OSError:
        return 0


def _distributions(path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Metadata folders with their names, without a second copy of a distribution."""
    seen = set()
    for root in path:
        try:
            names = os.listdir(root or ".")
        except OSError:
            continue
        for name in names:
            stem, suffix = os.path.splitext(name)
            if suffix in _METADATA and (plain := _normal(stem.partition("-")[0])) not in seen:
                seen.add(plain)
                yield os.path.join(root, name), stem


def _zipped(path: tuple[str, ...]) -> Iterator[Declared]:
    """Those of packages in archives, which are rare."""
    archives = [root for root in path if os.path.isfile(root)]
    if not archives:
        return
    from importlib.metadata import distributions

    for each in distributions(path=archives):
        name, version = each.metadata["Name"], each.version
        for group, key, value in _entries(each.read_text("entry_points.txt") or ""):
            yield Declared(group, key, value, name, version)


def _entries(text: str) -> Iterator[tuple[str, str, str]]:
    """Group, name and value of each entry point of the toolkit in an `entry_points.txt`."""
    group = ""
    for line in text.splitlines():
        line = _COMMENT.sub("", line.strip())
        if line.startswith("["):
            group = line.strip("[] ")
        elif group.startswith(PREFIX) and "=" in line and line[0] not in "#;":
            name, _, value = line.partition("=")
            # "module:attribute [extra]": extras have no meaning here.
            yield group.removeprefix(PREFIX), name.strip(), value.partition("[")[0].strip()


def _identity(folder: str) -> tuple[str, str]:
    """Name and version, from the head of the metadata."""
    found = {"Name": "", "Version": ""}
    for file_name in ("METADATA", "PKG-INFO"):
        try:
            with open(os.path.join(folder, file_name), encoding="utf-8") as file:
                for line in file:
                    key, colon, value = line.partition(":")
                    if not colon or all(found.values()):
                        break
                    if key in found:
                        found[key] = value.strip()
            break
        except (OSError, UnicodeDecodeError):
            continue
    return found["Name"] or "an unknown package", found["Version"]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
