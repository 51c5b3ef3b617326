"""What the source of a module says of a part, read without importing it.

A part that would fail when it is imported is mostly known by its source: its module or its class is
missing, it has a syntax error, or it needs a package that is not installed.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from functools import lru_cache
from typing import NamedTuple

from seqnlp.errors import near

_DEPTH = 4
"""How many modules a name is followed through that is imported from one into the next."""
_LONGEST = 1_000_000
"""The most bytes of source that are compiled to look at them: a list is not to wait for more."""
_DEFINED = re.compile(r"^(?:class|(?:async\s+)?def)\s+(\w+)", re.MULTILINE)
_IMPORTED = re.compile(r"^from\s+(\.*[\w.]*)\s+import\s+(\([^)]*\)|[^\n]*)", re.MULTILINE)
_NEEDED = re.compile(
    r"from[ \t]+([A-Za-z_]\w*)[\w.]*[ \t]+import\b"
    r"|import[ \t]+([A-Za-z_]\w*)[\w.]*[ \t]*(?:,|as\b|#|;|$)"
)
"""A package that a line imports; prose that begins with "from" imports none."""
_HEADER_END = re.compile(r":[ \t]*(?:#[^\n]*)?\n")
_FIRST_LINE = re.compile(r"\s*[rRuU]?(\"\"\"|'''|\"|')\s*([^\n]*)")


class Outline(NamedTuple):
    """path: the module's source, None where there is none. summary: the first line of the part's
    docstring, where it is found. problem: why the part cannot be used, empty where none is known.
    """

    path: str | None
    summary: str = ""
    problem: str = ""


def outline(module: str, attribute: str) -> Outline:
    """What is known of `module:attribute`."""
    path = find_source(module)
    if path is None:
        if _may_exist(module):
            return Outline(None)
        return Outline(None, problem=f"there is no module {module!r}; mend its entry point")
    text = _read(path)
    problem = _problem(path, text, attribute)
    summary = "" if problem else _summary(module, path, text, attribute, _DEPTH)
    return Outline(path, summary, problem)


def find_source(module: str) -> str | None:
    """The source file of a module, without importing the packages above it."""
    top, *rest = module.split(".")
    origin, folders = _package(top, tuple(sys.path))
    if not rest:
        # A module in an archive has a name that leads to no file.
        source = origin and origin.endswith(".py") and os.path.isfile(origin)
        return origin if source else None
    for folder in folders:
        base = os.path.join(folder, *rest)
        for candidate in (f"{base}.py", os.path.join(base, "__init__.py")):
            if os.path.isfile(candidate):
                return candidate
    return None


@lru_cache(maxsize=256)
def _package(top: str, path: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """File and folders of a package that stands on no other; both empty where there is none."""
    # What importlib.util.find_spec does; that module is slow to import.
    for finder in sys.meta_path:
        try:
            spec = finder.find_spec(top, None)
        except Exception:  # of another's finder: an import says what is wrong with it
            continue
        if spec is not None:
            return spec.origin, tuple(spec.submodule_search_locations or ())
    return None, ()


def _may_exist(module: str) -> bool:
    """Whether there may be a module all the same: compiled, or in an archive."""
    top, *rest = module.split(".")
    origin, folders = _package(top, tuple(sys.path))
    if not rest:
        return origin is not None
    places = [os.path.join(folder, *rest[:-1]) for folder in folders]
    return any(
        name.startswith(f"{rest[-1]}.")
        for place in places
        if os.path.isdir(place)
        for name in os.listdir(place)
    ) or any(not os.path.exists(folder) for folder in folders)


def _read(path: str) -> str:
    """The text of a file, empty where it cannot be read."""
    try:
        return _read_once(path, os.stat(path).st_mtime_ns)
    except OSError:
        return ""


@lru_cache(maxsize=512)
def _read_once(path: str, time: int) -> str:
    """The text of a file as it was then: many parts may be of one module."""
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        return file.read()


def _problem(path: str, text: str, attribute: str) -> str:
    top = attribute.partition(".")[0]
    if not top:
        return f"its entry point names the module {path}; name what is in it: module:Class"
    # The toolkit's own modules are tested: reading all of them would take as long as the rest.
    if path.startswith(_OWN):
        return ""
    if error := _syntax_error(path):
        return error
    missing = [name for name in _needed(text) if not _exists(name)]
    # A string over several lines may hold what looks like an import.
    if missing and (names := _parsed_imports(path).intersection(missing)):
        name = next(name for name in missing if name in names)
        return f"{path} imports {name}, which is not installed"
    elsewhere = "import *" in text or "__getattr__" in text
    if not elsewhere and top not in text:
        best = near(top, _DEFINED.findall(text))
        hint = f"; did you mean {best!r}?" if best else ""
        return f"{path} has no {top}{hint}"
    return ""


def _needed(text: str) -> list[str]:
    """The packages that are imported at the top of a module, in their order."""
    lines = (line for line in text.split("\n") if line.startswith(("import ", "from ")))
    found = (_NEEDED.match(line) for line in lines)
    return list(dict.fromkeys(match[1] or match[2] for match in found if match))


def _parsed_imports(path: str) -> set[str]:
    """The packages that the statements at the top of a module import."""
    import ast

    found: set[str] = set()
    for each in ast.parse(_source(path)).body:
        if isinstance(each, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in each.names)
        elif isinstance(each, ast.ImportFrom) and each.module and not each.level:
            found.add(each.module.partition(".")[0])
    return found


def _syntax_error(path: str) -> str:
    """Where the source is no Python; asked of what has been compiled before by a look at that."""
    if _was_compiled(path):
        return ""
    try:
        # Bytes, of which Python itself finds out the encoding.
        source = _source(path)
        if len(source) <= _LONGEST:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                compile(source, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        return f"{path}{f':{error.lineno}' if error.lineno else ''}: {error.msg}"
    except ValueError as error:  # a null byte
        return f"{path}: {error}"
    except OSError as error:
        return f"cannot read {path}: {error.strerror}"
    except (RecursionError, MemoryError):
        return f"{path}: its expressions are nested too deeply for Python"
    return ""


def _source(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _was_compiled(path: str) -> bool:
    """Whether Python's own cache has this very source: by time and size, see PEP 552."""
    folder, name = os.path.split(path)
    tagged = f"{os.path.splitext(name)[0]}.{sys.implementation.cache_tag}.pyc"
    try:
        with open(os.path.join(folder, "__pycache__", tagged), "rb") as file:
            header = file.read(16)
        state = os.stat(path)
    except OSError:
        return False
    flags, time, size = (int.from_bytes(header[at : at + 4], "little") for at in (4, 8, 12))
    now = int(state.st_mtime) & 0xFFFFFFFF, state.st_size & 0xFFFFFFFF
    return flags == 0 and (time, size) == now


def _exists(package: str) -> bool:
    known = package in sys.modules or package in sys.stdlib_module_names
    return known or _package(package, tuple(sys.path)) != (None, ())


def _summary(module: str, path: str, text: str, attribute: str, depth: int) -> str:
    """The first line of a part's docstring, where it is defined or passed on."""
    place = _definition(text, attribute)
    if place is not None:
        end = _HEADER_END.search(text, place)
        first = _FIRST_LINE.match(text, end.end()) if end else None
        return first[2].partition(first[1])[0].strip() if first else ""
    origin = _origin(module, path, text, attribute)
    if origin is None or depth == 0 or (source := find_source(origin[0])) is None:
        return ""
    return _summary(origin[0], source, _read(source), origin[1], depth - 1)


def _definition(text: str, name: str) -> int | None:
    """Where a line that defines the class or function has named it."""
    # A pattern for each name would take longer to compile than to look for it.
    text = f"\n{text}"
    for header in (f"\nclass {name}", f"\ndef {name}"):
        begin = text.find(header)
        while begin >= 0:
            end = begin + len(header)
            if not f"x{text[end : end + 1].strip() or '('}".isidentifier():
                return end - 1
            begin = text.find(header, end)
    return None


def _origin(module: str, path: str, text: str, name: str) -> tuple[str, str] | None:
    """The module that a name is imported from, and what it is called there."""
    for source, names in _IMPORTED.findall(text):
        for each in names.strip("()").split(","):
            original, _, alias = each.partition("#")[0].strip().partition(" as ")
            if (alias.strip() or original) == name:
                return _absolute(module, path, source), original
    return None


def _absolute(module: str, path: str, source: str) -> str:
    dots = len(source) - len(source.lstrip("."))
    if not dots:
        return source
    parts = module.split(".")
    up = dots - path.endswith("__init__.py")
    return ".".join([*parts[: len(parts) - up], *filter(None, [source[dots:]])])


_OWN = os.path.dirname(os.path.abspath(__file__)) + os.sep
