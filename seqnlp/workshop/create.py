"""`seqnlp plugin new`: a complete package from the template of its kind."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from seqnlp.errors import InputError, UnknownNameError
from seqnlp.registry import INTERFACE, REGISTRIES
from seqnlp.workshop.kinds import KINDS, Kind
from seqnlp.workshop.naming import Names, find_names

TEMPLATES = Path(__file__).parent / "templates"
SUFFIX = ".template"


@dataclass(frozen=True, kw_only=True)
class Created:
    """A package that has just been written.

    folder: where it is. files: all of them, relative to it. part: the one to edit, and edit: what
    there. commands: what its author types next, in it.
    """

    folder: Path
    files: tuple[str, ...]
    part: str
    edit: str
    commands: tuple[str, ...]


def create(name: str, *, kind: str = "cell", folder: Path | None = None) -> Created:
    """Write the package of a new part: it can be installed, passes its tests, and trains.

    Args:
        name: what the part will be registered as: "my-cell".
        kind: one of `KINDS`.
        folder: the folder to make; seqnlp-<name> in the current one where it is not named.

    Raises:
        InputError: the name is none, or taken; the folder is there already, or cannot be written.
            Nothing is left behind.
        UnknownNameError: there is no template for that kind.
    """
    if kind not in KINDS:
        raise UnknownNameError("kind of template", kind, KINDS)
    chosen = KINDS[kind]
    names = find_names(name, chosen, _read(TEMPLATES / kind / f"part.py{SUFFIX}"))
    target = folder or Path(names.distribution)
    files = render(kind, names)
    _write(target, files)
    return Created(
        folder=target,
        files=tuple(files),
        part=f"{names.module}/{chosen.file}",
        edit=chosen.edit,
        commands=(
            "pip install -e '.[test]'",
            "pytest",
            f"seqnlp plugin check {name}",
            chosen.use.format(name=name),
        ),
    )


def render(kind: str, names: Names) -> dict[str, str]:
    """The files of a package by their paths in it, sorted."""
    chosen = KINDS[kind]
    values = _values(chosen, names)
    places = {
        "gitignore": ".gitignore",
        "ci.yml": ".github/workflows/ci.yml",
        "init.py": f"{names.module}/__init__.py",
        "part.py": f"{names.module}/{chosen.file}",
        "test.py": f"tests/test_{names.module.removeprefix('seqnlp_')}.py",
    }
    files = {f"{names.module}/py.typed": ""}
    for source, inside in (("package", ""), (kind, f"{names.module}/")):
        root = TEMPLATES / source
        for path in root.rglob(f"*{SUFFIX}"):
            place = path.relative_to(root).as_posix().removesuffix(SUFFIX)
            files[places.get(place, inside + place)] = _fill(_read(path), values)
    return dict(sorted(files.items()))


def _values(kind: Kind, names: Names) -> dict[str, str]:
    """What the marks of a template, {{name}}, stand for."""
    return {
        "name": names.name,
        "distribution": names.distribution,
        "module": names.module,
        "object": names.object,
        "registry": kind.registry,
        "part": REGISTRIES[kind.registry].singular,
        "file": kind.file,
        "stem": kind.file.removesuffix(".py"),
        "use": kind.use.format(name=names.name),
        "interface": str(INTERFACE),
        "year": str(date.today().year),
    }


def _fill(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda mark: values[mark[1]], text)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _write(target: Path, files: Mapping[str, str]) -> None:
    """All files or none: in a temporary folder beside the target, which then takes its name."""
    if target.exists() or target.is_symlink():
        raise InputError(f"{target} exists already; nothing was written: name another by --folder")
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as place:
            whole = Path(place) / target.name
            for name, text in files.items():
                path = whole / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            whole.rename(target)
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror}") from error
