"""Which libraries a class imports, read from its source."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from importlib.metadata import PackageNotFoundError, packages_distributions, version

# Whose versions change no text: numbers, types, and this toolkit, which is in every cache key.
_HARMLESS = {"seqnlp", "numpy", "torch", "typing_extensions", "pydantic", "click", "rich"}


def imported_libraries(kind: type) -> dict[str, str]:
    """Top-level modules that the source of a class reads, with the distribution of each.

    Left out are the standard library, the package of the class itself and what splits no text.
    """
    found: set[str] = set()
    for each in kind.__mro__[:-1]:
        found |= _read(each)
    own = kind.__module__.partition(".")[0]
    distributions = packages_distributions()
    return {
        top: distributions[top][0].lower()
        for top in sorted(found - _HARMLESS - {own})
        if top not in sys.stdlib_module_names and top in distributions
    }


def _read(kind: type) -> set[str]:
    """The modules that the source of one class imports, or that its file does and it uses."""
    module = inspect.getmodule(kind)
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
        whole = ast.parse(inspect.getsource(module)) if module is not None else ast.Module([], [])
    except (OSError, TypeError):  # written in C, or typed in
        return set()
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    outside = {top for name, top in _imports(whole).items() if name in used}
    return outside | set(_imports(tree).values())


def is_installed(distribution: str) -> bool:
    """Whether a distribution has a version."""
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def _imports(tree: ast.AST) -> dict[str, str]:
    """The names that imports bind, each with the top-level module behind it."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                top = each.name.partition(".")[0]
                found[each.asname or top] = top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            top = node.module.partition(".")[0]
            found |= {each.asname or each.name: top for each in node.names}
    return found
