"""The pages on plugins show what `seqnlp plugin new` writes, and the commands that it prints."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from seqnlp.cli.main import run
from seqnlp.workshop.create import create
from seqnlp.workshop.kinds import KINDS
from tests.docs.pages import ROOT, blocks, commands
from tests.docs.test_examples import _parse

FOLDER = ROOT / "docs" / "plugins"
PAGES = [ROOT / "README.md", ROOT / "docs" / "plugins.md", *sorted(FOLDER.glob("*.md"))]
SHOWN = {kind: (f"my-{kind}", FOLDER / f"{kind}.md") for kind in KINDS}
SHOWN["linear-cell"] = ("my-scan", FOLDER / "cell.md")


def _definitions(source: str) -> dict[str, str]:
    """Functions, classes and constants of a module by name, without comments and docstrings."""
    found = {}
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:]
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found[node.name] = ast.unparse(node)
        elif isinstance(node, ast.Assign):
            found[ast.unparse(node.targets[0])] = ast.unparse(node)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_shows_the_code_that_is_written(kind: str, tmp_path: Path) -> None:
    name, page = SHOWN[kind]
    made = create(name, kind=kind, folder=tmp_path / "package")
    written = _definitions((made.folder / made.part).read_text(encoding="utf-8"))
    shown: dict[str, str] = {}
    for block in blocks(page, "python"):
        shown |= {key: text for key, text in _definitions(block.text).items() if key in written}
    assert shown == {key: text for key, text in written.items() if key in shown}
    if kind != "task":  # which is shown in part
        assert shown == written


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_names_the_commands_that_come_next(kind: str, tmp_path: Path) -> None:
    name, page = SHOWN[kind]
    if kind == "linear-cell":
        return
    made = create(name, kind=kind, folder=tmp_path / "package")
    said = [" ".join(["seqnlp", *words]) for _, words, _ in commands(page)]
    new = f"seqnlp plugin new {name}" + (f" --kind {kind}" if kind != "cell" else "")
    assert said[0] == new
    assert [line for line in made.commands if line.startswith("seqnlp")] == said[1:3]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_are_understood(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that need the plugin installed are parsed: `tox -e plugins` runs them."""
    monkeypatch.chdir(tmp_path)
    for _, words, _ in commands(page):
        if page.name == "README.md" and words[0] != "plugin":
            continue
        if words[:2] == ["plugin", "new"] or words[0] == "list":
            assert run(words, debug=True) == 0
        else:
            _parse(words)


def test_every_kind_is_in_the_table_of_the_overview() -> None:
    page = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    for kind in KINDS:
        assert f"`{kind}`" in page
