"""Names to parts, through package metadata: a plugin is a package with entry points, nothing else.

The built-in parts are entry points of this package, so they are found the way a plugin's are. What
is wrong with one plugin stays with its own names: they are `broken`, all others work.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from seqnlp.discovery import Declared, declarations, not_installed, silent_plugins
from seqnlp.errors import NameTakenError, SeqnlpError, UnknownNameError, near
from seqnlp.outline import Outline, outline

if TYPE_CHECKING:
    from seqnlp.nn.attention import Attention
    from seqnlp.nn.cells import Cell

T = TypeVar("T")
INTERFACE = 1
"""The version of the interface between the toolkit and plugins. A package says which it is written
for by an entry point of that name in the group `seqnlp.interface`; one that does not, is of 1."""
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
        self._outlines: dict[str, Outline] = {}

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
            NameTakenError: two packages claim it.
            SeqnlpError: the package that provides it is for another version of the plugin
                interface, or cannot be imported; the message says what is wrong with it.
        """
        if name in self._local:
            return self._local[name]
        entry = self._entry(name)
        try:
            part: T = importlib.import_module(entry.module)  # type: ignore[assignment]
            for attribute in entry.attribute.split("."):
                part = getattr(part, attribute)
        except KeyboardInterrupt:
            raise
        # Whatever a plugin does when it is imported, the reader is told which one and why: it may
        # call sys.exit, and what panics in Rust is no Exception either.
        except BaseException as error:
            raise SeqnlpError(
                f"{self._named(entry)} cannot be loaded: {_reason(error, entry)}"
            ) from error
        if not callable(part):
            raise SeqnlpError(
                f"{self._named(entry)} cannot be loaded: {entry.value} is a {type(part).__name__}; "
                "let the entry point name a class or a function"
            )
        return part

    def names(self) -> dict[str, str]:
        """Every name with the distribution it comes from, sorted; imports nothing.

        Of a name that several packages claim these are all of them: see `broken`.
        """
        found = {
            name: " and ".join(dict.fromkeys(entry.distribution for entry in entries))
            for name, entries in self._entries.items()
        }
        found.update(dict.fromkeys(self._local, THIS_PROCESS))
        return dict(sorted(found.items()))

    def summary(self, name: str) -> str:
        """The first line of the part's docstring, read from its source; imports nothing."""
        if name in self._local:
            lines = (self._local[name].__doc__ or "").strip().splitlines()
            return lines[0] if lines else ""
        if name not in self._entries:
            raise UnknownNameError(self.singular, name, self.names())
        return self._outline(name).summary

    def broken(self) -> dict[str, str]:
        """The names that cannot be used, with the reason, as far as it shows without an import."""
        found = {
            name: self._obstacle(name) or self._outline(name).problem for name in self._entries
        }
        return {name: reason for name, reason in found.items() if reason}

    def fault(self, name: str) -> str:
        """Why a name cannot be used, with its package; empty where it can. It is imported."""
        try:
            self.get(name)
        except SeqnlpError as error:
            return str(error)
        return ""

    def origins(self, name: str) -> tuple[Declared, ...]:
        """The entry points that claim a name: one, unless the name is broken; none of a part of
        this process.
        """
        return self._entries.get(name, ())

    def _entry(self, name: str) -> Declared:
        if name not in self._entries:
            remedy = not_installed(name, self.kind)
            raise UnknownNameError(
                self.singular, name, self.names(), self._hint(name), remedy=remedy
            )
        if obstacle := self._obstacle(name):
            taken = len(self._entries[name]) > 1
            raise (NameTakenError if taken else SeqnlpError)(obstacle)
        entry = self._entries[name][0]
        if not entry.attribute or not entry.module:
            right = f"{entry.module or 'module'}:{entry.attribute or 'Class'}"
            raise SeqnlpError(
                f"{self._named(entry)} cannot be loaded: its entry point is {entry.value!r}; name "
                f"a module and what is in it: {right}"
            )
        return entry

    def _obstacle(self, name: str) -> str:
        """Why the metadata alone rule a name out; empty where they do not."""
        entries = self._entries[name]
        if len(entries) > 1:
            owners = " and ".join(entry.package for entry in entries)
            others = [each.distribution for each in entries if each.distribution != "seqnlp"]
            own = len(others) < len(entries)
            advice = " and ".join(others) if own else "all but one"
            return f"the {self.singular} name {name!r} is claimed by {owners}; uninstall {advice}"
        entry = entries[0]
        spoken = self._interfaces.get(entry.distribution, [])
        if not spoken or str(INTERFACE) in spoken:
            return ""
        newer = all(version.isdigit() and int(version) > INTERFACE for version in spoken)
        advice = "upgrade seqnlp" if newer else f"look for a newer {entry.distribution}"
        return (
            f"{self._named(entry)} is written for version {' or '.join(spoken)} of the plugin "
            f"interface, and this seqnlp has {INTERFACE}: {advice}"
        )

    def _outline(self, name: str) -> Outline:
        if name not in self._outlines:
            entry = self._entries[name][0]
            self._outlines[name] = outline(entry.module, entry.attribute)
        return self._outlines[name]

    def _named(self, entry: Declared) -> str:
        return f"the {self.singular} {entry.name!r} of {entry.package}"

    def _hint(self, name: str) -> str:
        """How a name comes to be known, for someone who has written a plugin and misses it."""
        if told := misplacement(name):
            return told
        silent = silent_plugins()
        group = f"an entry point in the group seqnlp.{self.kind}"
        if silent:
            return (
                f"{' and '.join(silent)} declares no part: add {group} to its pyproject.toml and "
                "install it again"
            )
        return f"a package offers its own by {group}, once it is installed"

    @cached_property
    def _interfaces(self) -> dict[str, list[str]]:
        return _spoken(declarations())

    @cached_property
    def _entries(self) -> dict[str, tuple[Declared, ...]]:
        found: dict[str, tuple[Declared, ...]] = {}
        for entry in declarations():
            if entry.group == self.kind:
                found[entry.name] = (*found.get(entry.name, ()), entry)
        return found


def misplaced() -> dict[str, str]:
    """What packages declare in groups of no kind, a part of each, with the nearest group."""
    found = {}
    for entry in declarations():
        if entry.group not in REGISTRIES and entry.group != "interface":
            best = near(entry.group, REGISTRIES)
            hint = f"; did you mean seqnlp.{best}?" if best else ""
            group = f"the group seqnlp.{entry.group}, which is no kind"
            found[entry.package] = f"{entry.name} is declared in {group}{hint}"
    return found


def misplacement(name: str) -> str:
    """Of a name that a package declares in a group of no kind, what `misplaced` says."""
    for package, told in misplaced().items():
        if told.startswith(f"{name} "):
            return f"{package}: {told}"
    return ""


@lru_cache(maxsize=1)
def _spoken(declared: tuple[Declared, ...]) -> dict[str, list[str]]:
    """Distribution to the versions of the plugin interface that it says it is written for."""
    found: dict[str, list[str]] = {}
    for entry in declared:
        if entry.group == "interface":
            found.setdefault(entry.distribution, []).append(entry.name)
    return found


def _reason(error: BaseException, entry: Declared) -> str:
    """What went wrong in loading a part, and where in the plugin."""
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        if error.name == entry.module or entry.module.startswith(f"{error.name}."):
            return (
                f"there is no module {error.name}, which its entry point {entry.value} names; "
                "mend the entry point or the module, and install the package again"
            )
        top, _, below = error.name.partition(".")
        if below and top in sys.modules:
            return f"{_place(error)}it imports {error.name}, and {top} has no such module"
        return f"{_place(error)}it imports {error.name}, which is not installed; pip install {top}"
    if isinstance(error, AttributeError) and error.name == entry.attribute.rpartition(".")[2]:
        best = near(entry.attribute, [name for name in dir(error.obj) if name[0] != "_"])
        hint = f"; did you mean {best!r}?" if best else ""
        return f"{entry.module} has no {entry.attribute}{hint}"
    if isinstance(error, SyntaxError):
        line = f":{error.lineno}" if error.lineno else ""
        return f"{error.filename or entry.module}{line}: {error.msg}"
    said = " ".join(str(error).split())
    return f"{_place(error)}{type(error).__name__}{f': {said}' if said else ''}"


def _place(error: BaseException) -> str:
    """File and line of the plugin that an error comes from, where that is known."""
    import traceback

    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<") and frame.filename != __file__
        and not frame.filename.endswith("importlib/__init__.py")
    ]  # fmt: skip
    return f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""


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
