"""Packages with entry points, planted into a folder as an installer would leave them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from seqnlp.errors import SeqnlpError
from seqnlp.registry import Registry

CELL = '''"""A module."""


class Mine:
    r"""A cell of mine.

    More of it.
    """
'''
"""The source of a module with a part."""


def plant(
    site: Path,
    distribution: str,
    entry_points: Mapping[str, Mapping[str, str]],
    *,
    version: str = "1.0",
    files: Mapping[str, str] | None = None,
) -> None:
    """Install a package into the folder `site`.

    Args:
        entry_points: group to name to value.
        files: path to text, of the package's modules.
    """
    folder = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: {distribution}\nVersion: {version}\n\nName: no header\n"
    )
    lines = []
    for group, entries in entry_points.items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()), ""]
    if lines:
        (folder / "entry_points.txt").write_text("\n".join(lines))
    for name, text in (files or {}).items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # A byte that is no UTF-8 is written by its escape: \udce9.
        path.write_bytes(text.encode("utf-8", "surrogateescape"))


def refusal(kind: str, name: str) -> str:
    """What is said where a part cannot be had."""
    with pytest.raises(SeqnlpError) as caught:
        Registry(kind).get(name)
    return str(caught.value)
