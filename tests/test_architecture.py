"""The shape of the package: floors, public names, what is imported when, the size of files."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import seqnlp

PACKAGE = Path(seqnlp.__file__).parent
FLOORS = {
    "errors": 0, "types": 0, "files": 0.5, "discovery": 0.5, "outline": 0.5,
    "lazily": 0, "records": 0.5,
    "missteps": 0.5, "plotting": 0.7, "validation": 0.5, "registry": 1, "config": 1, "recipes": 1.5,
    "text": 2, "nn": 2,
    "data": 3,
    "tasks": 4,
    "card_metadata": 4.4, "card": 4.5, "manifest": 4.5, "hub": 4.6, "packing": 4.6, "model_folder": 4.7, "bundle": 5,
    "training": 6,
    "integrations": 7, "testing": 7, "workshop": 7,
    "diagnosis": 7, "tuning": 7, "comparison": 7,
    "cli": 8, "__main__": 9, "__init__": 9,
}  # fmt: skip
MODULES = sorted(
    path.relative_to(PACKAGE)
    for path in PACKAGE.rglob("*.py")
    if path.relative_to(PACKAGE).parts[0] != "_shipped"  # data of the wheel, and its scripts
)


def _imports(path: Path) -> list[tuple[str, int]]:
    """Imported modules of this package with their lines, those for type checkers left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found += [(f"{node.module}.{alias.name}", node.lineno) for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            pytest.fail(f"{path}:{node.lineno}: a relative import hides its floor")
    return [(name, line) for name, line in found if name.split(".")[0] == "seqnlp"]


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_go_strictly_downwards(module: Path) -> None:
    own = module.parts[0].removesuffix(".py")
    assert own in FLOORS, f"{own} has no floor; add it to this test and to ARCHITECTURE.md"
    for name, line in _imports(PACKAGE / module):
        other = name.split(".")[1]
        if other == own or other not in FLOORS:
            continue
        assert FLOORS[other] < FLOORS[own], f"{module}:{line} imports {name} from its own or above"


def test_every_public_name_exists_and_is_documented() -> None:
    for name in seqnlp.__all__:
        value = getattr(seqnlp, name)
        assert value.__doc__ or name == "State", name
    assert seqnlp.__all__ == sorted(seqnlp.__all__)
    assert set(seqnlp.__all__) <= set(dir(seqnlp))
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = seqnlp.nope


@pytest.mark.parametrize("code", ["import seqnlp", "from seqnlp.cli.main import run; run(['--help'], debug=False)"])  # fmt: skip
def test_nothing_heavy_is_imported_before_it_is_needed(code: str) -> None:
    heavy = (
        "{'torch', 'numpy', 'spacy', 'nltk', 'datasets', 'pyarrow', 'sklearn', 'pydantic', 'rich'}"
    )
    script = f"import sys; {code}; print('loaded', sorted({heavy} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert out.stdout.splitlines()[-1] == "loaded []"


def test_click_and_rich_stay_in_the_command_line() -> None:
    for module in MODULES:
        if module.parts[0] == "cli":
            continue
        tree = ast.parse((PACKAGE / module).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            assert not {"click", "rich"} & {name.split(".")[0] for name in names}, module


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_module_imports_and_says_what_it_is(module: Path) -> None:
    if module.name == "__main__.py":
        return
    if module.parent.parts[-2:] == ("triton", "kernels") and find_spec("triton") is None:
        pytest.skip("Triton, whose language it is in, is not installed")
    name = ".".join(["seqnlp", *module.with_suffix("").parts]).removesuffix(".__init__")
    assert importlib.import_module(name).__doc__
