"""Plugins of this folder stand on public names alone, as those of other people do."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

PUBLIC = (
    "seqnlp", "seqnlp.config", "seqnlp.data", "seqnlp.errors", "seqnlp.files",
    "seqnlp.integrations.onnx", "seqnlp.nn", "seqnlp.registry", "seqnlp.tasks", "seqnlp.testing", "seqnlp.text", "seqnlp.training",
    "seqnlp.types",
)  # fmt: skip
SOURCES = sorted(Path(__file__).parents[1].glob("seqnlp-*/**/*.py"))


def _imports(path: Path) -> Iterator[tuple[int, str, str | None]]:
    """Line, module and name of every import from the toolkit."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "seqnlp":
                    yield node.lineno, alias.name, None
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "seqnlp":
            for alias in node.names:
                yield node.lineno, str(node.module), alias.name


def test_there_are_plugins() -> None:
    assert len(SOURCES) > 10


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: "/".join(path.parts[-3:]))
def test_they_import_public_names_only(path: Path) -> None:
    for line, module, name in _imports(path):
        where = f"{path}:{line}"
        assert module in PUBLIC, f"{where}: {module} is not public"
        if name is None:
            continue
        if f"{module}.{name}" in PUBLIC:
            continue
        public = getattr(importlib.import_module(module), "__all__", None)
        known = name in public if public is not None else not name.startswith("_")
        assert known, f"{where}: {name} is no public name of {module}"
