"""What a plugin's package, module and class are called, given the name of its part."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution

from seqnlp.errors import InputError
from seqnlp.registry import REGISTRIES
from seqnlp.workshop.kinds import Kind

PREFIX = "seqnlp-"
MOST = 30
"""Characters of a name; the templates' lines are wrapped for it."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_][A-Za-z0-9]+)*")


@dataclass(frozen=True, kw_only=True)
class Names:
    """name: what the part is registered as. distribution: what pip installs. module: what Python
    imports. object: the class, or the function, in it.
    """

    name: str
    distribution: str
    module: str
    object: str


def find_names(name: str, kind: Kind, template: str) -> Names:
    """The names of everything, once it is clear that they can be had.

    Args:
        name: as the author typed it.
        kind: what it is to name.
        template: the source that the class will stand in; what is there already is not its name.

    Raises:
        InputError: the name is no name, or it is taken by an installed package.
    """
    _check(name, REGISTRIES[kind.registry].singular)
    _check_free(name, kind)
    snake = name.lower().replace("-", "_")
    package = PREFIX + snake.replace("_", "-")
    try:
        distribution(package)
    except PackageNotFoundError:
        pass
    else:
        raise InputError(
            f"a package {package} is installed already; choose another name, or if it is yours, "
            f"pip uninstall {package}"
        )
    named = _function(snake) if not kind.ending else _class(name, kind.ending)
    if re.search(rf"\b{named}\b", template):
        named = _function(f"my_{snake}") if not kind.ending else f"My{named}"
    return Names(name=name, distribution=package, module=package.replace("-", "_"), object=named)


def _function(snake: str) -> str:
    return f"open_{snake}"


def _class(name: str, ending: str) -> str:
    """`my-cell` to `MyCell`, `gate` to `GateCell`; capitals within a part stay."""
    joined = "".join(part[0].upper() + part[1:] for part in re.split("[-_]", name))
    return joined if joined.lower().endswith(ending.lower()) else joined + ending


def _check(name: str, kind: str) -> None:
    if name.lower().startswith(PREFIX) and _NAME.fullmatch(name[len(PREFIX) :]):
        short = name[len(PREFIX) :]
        raise InputError(
            f"{name!r}: the package will be called {PREFIX}{short}, so name the {kind} {short!r}"
        )
    if len(name) > MOST:
        raise InputError(f"a name has at most {MOST} characters; this one has {len(name)}")
    if not _NAME.fullmatch(name):
        near = re.sub(r"[^A-Za-z0-9_-]+|[-_]{2,}", "-", name).lstrip("0123456789-_").rstrip("-_")
        hint = f"; did you mean {near!r}?" if _NAME.fullmatch(near) else ""
        raise InputError(
            f"{name!r} cannot name a {kind}: expected letters and digits, first a letter, in parts "
            f"joined by - or _, such as 'my-{kind}'{hint}"
        )


def _check_free(name: str, kind: Kind) -> None:
    registry = REGISTRIES[kind.registry]
    owner = registry.names().get(name)
    if owner is None:
        return
    own = f", or if it is yours, pip uninstall {owner}" if owner != "seqnlp" else ""
    raise InputError(
        f"the {registry.singular} name {name!r} is taken by {owner}; choose another{own}"
    )
