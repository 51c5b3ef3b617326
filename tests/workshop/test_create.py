"""Packages of new parts: complete for every kind and name, or not written at all."""

from __future__ import annotations

import ast
import errno
import re
import tomllib
from pathlib import Path

import pytest

from seqnlp import registry
from seqnlp.errors import InputError, UnknownNameError
from seqnlp.testing import CONTRACTS
from seqnlp.workshop.create import create
from seqnlp.workshop.kinds import KINDS
from seqnlp.workshop.naming import MOST

PUBLIC = {
    "seqnlp", "seqnlp.config", "seqnlp.data", "seqnlp.errors", "seqnlp.files", "seqnlp.nn",
    "seqnlp.registry", "seqnlp.tasks", "seqnlp.testing", "seqnlp.text", "seqnlp.training",
    "seqnlp.types",
}  # fmt: skip
LONG = "Thirty-letters-and-signs-in-it"
NAMES = ["my-part", "MyPart2", "a-b_c", "x", "state", "split", "gated", "class", LONG]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_package_is_complete(kind: str, name: str, tmp_path: Path) -> None:
    made = create(name, kind=kind, folder=tmp_path / "package")
    snake = name.lower().replace("-", "_")
    module = f"seqnlp_{snake}"
    expected = {
        ".github/workflows/ci.yml", ".gitignore", "LICENSE", "README.md", "pyproject.toml",
        f"{module}/__init__.py", f"{module}/{KINDS[kind].file}", f"{module}/py.typed",
        f"tests/test_{snake}.py",
    }  # fmt: skip
    assert {path for path in made.files if "/sample/" not in path} == expected
    found = {path.relative_to(made.folder) for path in made.folder.rglob("*") if path.is_file()}
    assert found == {Path(path) for path in made.files}
    assert [path.name for path in tmp_path.iterdir()] == ["package"]
    for path in made.files:
        text = (made.folder / path).read_text(encoding="utf-8")
        assert not re.search(r"\{\{\w", text), path
        if path.endswith(".py"):
            assert max(map(len, text.splitlines())) <= 100, path
            imports = {
                node.module
                for node in ast.walk(ast.parse(text))
                if isinstance(node, ast.ImportFrom)
            }
            assert {each for each in imports if each and each.startswith("seqnlp")} <= PUBLIC

    project = tomllib.loads((made.folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == "seqnlp-" + snake.replace("_", "-")
    assert "seqnlp-plugin" in project["keywords"]
    points = project["entry-points"]
    assert points["seqnlp.interface"] == {str(registry.INTERFACE): module}
    where, _, named = points[f"seqnlp.{KINDS[kind].registry}"][name].partition(":")
    assert where == f"{module}.{KINDS[kind].file.removesuffix('.py')}"
    tree = ast.parse((made.folder / made.part).read_text())
    defined = [node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    assert defined.count(named) == 1
    borrowed = {
        alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert named not in borrowed


@pytest.mark.parametrize(
    ("name", "kind", "called"),
    [
        ("my-cell", "cell", "MyCell"),
        ("gate", "cell", "GateCell"),
        ("MyCELL", "cell", "MyCELL"),
        ("gated", "cell", "MyGatedCell"),
        ("task", "task", "MyTask"),
        ("words", "tokenizer", "WordsTokenizer"),
        ("my-corpus", "corpus", "open_my_corpus"),
        ("split", "corpus", "open_my_split"),
    ],
)
def test_classes_are_called_after_the_part(
    name: str, kind: str, called: str, tmp_path: Path
) -> None:
    made = create(name, kind=kind, folder=tmp_path / "package")
    assert f" {called}(" in (made.folder / made.part).read_text()


def test_every_template_has_a_contract() -> None:
    assert {kind.registry for kind in KINDS.values()} <= set(CONTRACTS)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("2way", "'2way' cannot name a cell: expected letters and digits, first a letter, in parts "
         "joined by - or _, such as 'my-cell'; did you mean 'way'?"),
        ("my cell!", "'my cell!' cannot name a cell: expected letters and digits, first a letter, "
         "in parts joined by - or _, such as 'my-cell'; did you mean 'my-cell'?"),
        ("../up", "'../up' cannot name a cell: expected letters and digits, first a letter, in "
         "parts joined by - or _, such as 'my-cell'; did you mean 'up'?"),
        ("", "'' cannot name a cell: expected letters and digits, first a letter, in parts joined "
         "by - or _, such as 'my-cell'"),
        ("zelle-größe", "'zelle-größe' cannot name a cell: expected letters and digits, first a "
         "letter, in parts joined by - or _, such as 'my-cell'; did you mean 'zelle-gr-e'?"),
        ("x" * (MOST + 1), "a name has at most 30 characters; this one has 31"),
        ("seqnlp-gate", "'seqnlp-gate': the package will be called seqnlp-gate, so name the cell "
         "'gate'"),
        ("lstm", "the cell name 'lstm' is taken by seqnlp; choose another"),
    ],
)  # fmt: skip
def test_a_name_that_cannot_be_had_is_refused(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        create(name, folder=tmp_path / "package")
    assert str(error.value) == message
    assert not list(tmp_path.iterdir())


def test_a_name_of_another_package_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners = {"lstm": "seqnlp", "gate": "seqnlp-gates"}
    monkeypatch.setattr(registry.cells, "names", lambda: owners)
    with pytest.raises(InputError) as error:
        create("gate", folder=tmp_path / "package")
    assert str(error.value) == (
        "the cell name 'gate' is taken by seqnlp-gates; choose another, or if it is yours, "
        "pip uninstall seqnlp-gates"
    )
    create("gate", kind="encoder", folder=tmp_path / "package")


def test_a_package_of_another_name_is_not_replaced_when_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "site" / "seqnlp_gate-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: seqnlp-gate\nVersion: 0.1.0\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(InputError) as error:
        create("Gate", folder=tmp_path / "package")
    assert str(error.value) == (
        "a package seqnlp-gate is installed already; choose another name, or if it is yours, "
        "pip uninstall seqnlp-gate"
    )


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UnknownNameError) as error:
        create("my-cell", kind="cells")
    assert str(error.value) == (
        "no kind of template is named 'cells'; did you mean 'cell'? known: "
        + ", ".join(sorted(KINDS))
    )


@pytest.mark.parametrize("what", ["folder", "file", "dangling link"])
def test_what_is_there_is_left_alone(what: str, tmp_path: Path) -> None:
    target = tmp_path / "package"
    if what == "folder":
        target.mkdir()
    elif what == "file":
        target.write_text("mine")
    else:
        target.symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError) as error:
        create("my-cell", folder=target)
    assert str(error.value) == (
        f"{target} exists already; nothing was written: name another by --folder"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["package"]


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for parent, why in (("none", "No such file or directory"), ("file", "Not a directory")):
        target = tmp_path / parent / "package"
        with pytest.raises(InputError) as error:
            create("my-cell", folder=target)
        assert str(error.value) == f"cannot write {target}: {why}"


def test_half_a_package_never_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, written = Path.write_text, []

    def fill_the_disk(self: Path, *arguments: object, **options: object) -> int:
        written.append(self)
        if len(written) == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "write_text", fill_the_disk)
    target = tmp_path / "package"
    with pytest.raises(InputError, match=f"^cannot write {target}: No space left on device$"):
        create("my-cell", folder=target)
    assert not list(tmp_path.iterdir())
