"""Names to parts, through package metadata: a plugin is a package with entry points, nothing else.

The built-in parts are entry points of this package, so they are found the way a plugin's are.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Callable
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from seqnlp.errors import NameTakenError, SeqnlpError, UnknownNameError

if TYPE_CHECKING:
    from seqnlp.nn.attention import Attention
    from seqnlp.nn.cells import Cell

T = TypeVar("T")
THIS_PROCESS = "this process"
"""Where a part comes from that no package declares."""
Registered = TypeVar("Registered")


class Registry(Generic[T]):
    """The parts of one kind, by name.

    Args:
        kind: the plural; the entry-point group is `seqnlp.<kind>`.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.singular = {"corpora": "corpus"}.get(kind, kind.removesuffix("s"))
        self._local: dict[str, T] = {}

    def register(self, name: str) -> Callable[[Registered], Registered]:
        """Decorate a part of this process; packages declare entry points instead.

        Raises:
            NameTakenError: the name is in use, in this process or by an installed package.
        """

        def decorate(part: Registered) -> Registered:
            if name in self.names():
                owner = self.names()[name]
                raise NameTakenError(f"the {self.singular} name {name!r} is taken by {owner}")
            self._local[name] = part  # type: ignore[assignment]
            return part

        return decorate

    def get(self, name: str) -> T:
        """Import and return the part of that name; no other plugin is imported.

        Raises:
            UnknownNameError: nothing has that name; the message suggests the nearest.
            SeqnlpError: the package that provides it cannot be imported.
        """
        if name in self._local:
            return self._local[name]
        if name not in self._entries:
            raise UnknownNameError(self.singular, name, self.names())
        entry = self._entries[name]
        try:
            part: T = entry.load()
        except (ImportError, AttributeError) as error:
            raise SeqnlpError(
                f"the {self.singular} {name!r} of {_distribution(entry)} cannot be loaded "
                f"from {entry.value}: {error}"
            ) from error
        return part

    def names(self) -> dict[str, str]:
        """Every name with the distribution it comes from, sorted; imports nothing."""
        found = {name: _distribution(entry) for name, entry in self._entries.items()}
        found.update(dict.fromkeys(self._local, THIS_PROCESS))
        return dict(sorted(found.items()))

    def summary(self, name: str) -> str:
        """The first line of the part's docstring, read from its source; imports nothing."""
        if name in self._local:
            lines = (self._local[name].__doc__ or "").strip().splitlines()
            return lines[0] if lines else ""
        if name not in self._entries:
            raise UnknownNameError(self.singular, name, self.names())
        return _summary(self._entries[name])

    @cached_property
    def _entries(self) -> dict[str, EntryPoint]:
        found: dict[str, EntryPoint] = {}
        for entry in entry_points(group=f"seqnlp.{self.kind}"):
            other = found.setdefault(entry.name, entry)
            if other.value != entry.value:
                raise NameTakenError(
                    f"the {self.singular} name {entry.name!r} is claimed by both "
                    f"{_distribution(other)} and {_distribution(entry)}; uninstall one of them"
                )
        return found


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "an unknown package"


def _summary(entry: EntryPoint) -> str:
    """Read the definition in the module's source, so that listing a plugin never runs it."""
    path = _source(entry.module)
    if path is None:
        return ""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == entry.attr:
            lines = (ast.get_docstring(node) or "").splitlines()
            return lines[0] if lines else ""
    return ""


def _source(module: str) -> Path | None:
    """The source file of a module, without importing the packages above it."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None:
        return None
    if not rest:
        return Path(spec.origin)
    base = Path(spec.origin).parent.joinpath(*rest)
    candidates = (base.with_suffix(".py"), base / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


cells: Registry[type[Cell]] = Registry("cells")
engines: Registry[Any] = Registry("engines")
encoders: Registry[Any] = Registry("encoders")
decoders: Registry[Any] = Registry("decoders")
attentions: Registry[type[Attention]] = Registry("attentions")
poolings: Registry[Any] = Registry("poolings")
normalizers: Registry[Callable[[str], str]] = Registry("normalizers")
tokenizers: Registry[Any] = Registry("tokenizers")
corpora: Registry[Any] = Registry("corpora")
tasks: Registry[Any] = Registry("tasks")
hooks: Registry[Any] = Registry("hooks")

REGISTRIES: dict[str, Registry[Any]] = {
    registry.kind: registry
    for registry in (
        cells, engines, encoders, decoders, attentions, poolings,
        normalizers, tokenizers, corpora, tasks, hooks,
    )
}  # fmt: skip
