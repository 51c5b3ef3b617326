"""What an exception out of a part means, and what its author usually has to mend."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

from seqnlp.errors import SeqnlpError

# The type's name, what its message says, and the remedy: of each, what torch and Python say.
_REMEDIES: tuple[tuple[str, str, str], ...] = (
    (
        "AttributeError", r"before Module\.__init__\(\) call",
        "call super().__init__(...) first in __init__",
    ),
    ("NameError", r"name '(?P<name>\w+)' is not defined", "import or define {name} in this file"),
    (
        "RuntimeError", r"modified by an inplace operation|a leaf Variable that requires grad",
        "change no tensor in place: write h = h * f, not h *= f or h.mul_(f)",
    ),
)  # fmt: skip
_DEFAULT = "make it work there: the line named is where it went wrong"


def describe(error: Exception, source: str | None) -> tuple[str, str]:
    """What an exception inside a check says, and the remedy.

    Args:
        error: what was raised.
        source: the file of the part that is checked: the line in it is named, if one took part.
    """
    message = " ".join(str(error).split())
    remedy = next(
        (
            text.format(**found.groupdict())
            for kind, pattern, text in _REMEDIES
            if _is_a(error, kind) and (found := re.search(pattern, message))
        ),
        None,
    )
    if isinstance(error, SeqnlpError):
        return f"{message}{_place(error, source)}", remedy or "mend what the message names"
    what = f"raised {type(error).__name__}: {message}{_place(error, source)}"
    return what, remedy or _DEFAULT


def _is_a(error: Exception, name: str) -> bool:
    return any(each.__name__ == name for each in type(error).__mro__)


def _place(error: Exception, source: str | None) -> str:
    """Where the part itself last had the word, or else code that is not this toolkit's."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if source is not None and frame.filename == source]
    if not own:
        return ""
    return f" at {_short(Path(own[-1].filename))}:{own[-1].lineno}"


def _short(path: Path) -> str:
    """Relative to where the reader is, if it lies below."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
