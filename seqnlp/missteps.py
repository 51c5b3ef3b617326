"""What an exception out of a part means, where it was raised, and what its author has to mend.

Used wherever code of a plugin may fail: in its checks, when a cell is traced, on the command line.
"""

from __future__ import annotations

import re
import sysconfig
import traceback
from pathlib import Path

from seqnlp.errors import SeqnlpError

# The type, what its message says, and the remedy; groups of the pattern are filled in.
_REMEDIES: tuple[tuple[type[BaseException], str, str], ...] = (
    (
        AttributeError,
        r"before Module\.__init__\(\) call|no attribute '_(modules|parameters|buffers)'",
        "call super().__init__ first in __init__, with the arguments that it takes",
    ),
    (
        TypeError,
        r"instantiate abstract class .* abstract methods? (?P<names>.+)",
        "write what is missing: {names}",
    ),
    (
        TypeError,
        r"__init__\(\) missing .* positional arguments?: (?P<names>.+)",
        "hand them to super().__init__: {names}",
    ),
    (
        TypeError,
        r"(?P<method>\w+)\(\) got an unexpected keyword argument '(?P<name>\w+)'",
        "let {method} take it: add {name} to its arguments",
    ),
    (
        TypeError,
        r"(?P<method>\w+)\(\) takes .* positional arguments? but|"
        r"(?P<same>\w+)\(\) missing .* positional argument",
        "give the method the arguments of its base class, in their order: "
        "update(self, x_gates, h_gates, state), forward(self, x, state)",
    ),
    (
        TypeError,
        r"must be Tensor, not tuple|can't multiply sequence|unsupported operand .*tuple|"
        r"can only concatenate tuple",
        "take one tensor of the tuple: x_gates[0], state[0]",
    ),
    (NameError, r"name '(?P<name>\w+)' is not defined", "import or define {name} in this file"),
    (
        ModuleNotFoundError,
        r"No module named '(?P<name>[^']+)'",
        "install {name}, and add it to the dependencies in pyproject.toml",
    ),
    (ImportError, r"cannot import name '(?P<name>\w+)'", "correct the import of {name}"),
    (
        AttributeError,
        r"module '(?P<module>[\w.]+)' has no attribute '(?P<name>\w+)'",
        "correct {name}: {module} has nothing of that name",
    ),
    (
        AttributeError,
        r"object has no attribute '(?P<name>\w+)'",
        "set self.{name} in __init__, or correct the name",
    ),
    (
        ValueError,
        r"values to unpack",
        "unpack as many as there are: a GatedCell has as many gates as gates = ... says, and a "
        "state of as many leaves as states = ...",
    ),
    (
        IndexError,
        r"(tuple|list) index out of range",
        "count from 0 and up to as many as there are: gates = ... and states = ... of a GatedCell "
        "say so",
    ),
    (
        RuntimeError,
        r"modified by an inplace operation|modified in-?place|used in an in-place operation",
        "change no tensor in place: write h = f * h, not h *= f, h.mul_(f) or h[:] = ...",
    ),
    (
        RuntimeError,
        r"numpy\(\)|does not require grad and does not have a grad_fn",
        "compute on torch tensors alone: no detach(), item(), numpy() or torch.no_grad()",
    ),
    (
        RuntimeError,
        r"same dtype|expected scalar type|[Ff]ound dtype|but got.*(Double|Float)Tensor",
        "make new tensors like those at hand, x.new_zeros(...) or torch.eye(n).to(x), and "
        "constants by self.register_buffer, so that they are of the weights' type",
    ),
    (
        RuntimeError,
        r"same device",
        "make new tensors like those at hand, x.new_zeros(...), and constants by "
        "self.register_buffer, so that they are where the weights are",
    ),
    (
        RuntimeError,
        r"reshape tensor of 0 elements",
        "write every size out: -1 cannot be found where another axis is 0",
    ),
    (
        RuntimeError,
        r"shapes cannot be multiplied|size mismatch",
        "compare the sizes of the weight, made in __init__, with what it is multiplied with here",
    ),
    (
        RuntimeError,
        r"must match|broadcast|shape '.*' is invalid",
        "compare the shapes here: a row is x [B, I] with leaves [B, ...], the rows first",
    ),
    (
        RuntimeError,
        r"Boolean value of Tensor",
        "choose number by number: torch.where(condition, a, b) in place of if",
    ),
    (
        ValueError,
        r"more than 1 value per channel",
        "say rows_interact = True on the class: its rows meet in training",
    ),
    (SystemExit, r"", "raise an error that says what is wrong; only a command may end Python"),
    (RecursionError, r"", "let the method end: it calls itself, perhaps for super()"),
    (SeqnlpError, r"the key '(?P<name>\w+)' is required", "give the option {name} a default"),
    (
        SeqnlpError,
        r"how many gates it has",
        "set gates on the class, to as many as update reads",
    ),
    (
        SeqnlpError,
        r"update returned",
        "return all leaves in a tuple: return (h,), with its comma, or return h, c",
    ),
)
_DEFAULT = "look at the line named: there it went wrong"
_LONGEST = 240


def describe(error: Exception | SystemExit, source: str | None = None) -> tuple[str, str]:
    """What an exception out of a part says, with the place in the part, and the remedy.

    Args:
        error: what was raised.
        source: the file of the part, whose last line that was run is named; where it had no part
            in this, the last line that is neither this toolkit's nor torch's nor Python's own.
    """
    message = _shortened(" ".join(str(error).split()))
    where = place(error, source)
    at = f" at {where}" if where else ""
    found = remedy(error)
    if isinstance(error, SeqnlpError):
        what, _, said = message.rpartition("; ")
        if found is None and what:
            return f"{what}{at}", said
        return f"{message}{at}", found or "mend what is named"
    return f"raised {type(error).__name__}: {message}{at}", found or _DEFAULT


def advise(error: Exception) -> str:
    """The error's name and message, and where a plugin's code may have raised it also the place
    and the remedy.
    """
    where, found = place(error), remedy(error)
    told = f"{type(error).__name__}: {_shortened(' '.join(str(error).split()))}"
    told += f" at {where}" if where else ""
    # Some are raised where the plugin's code has been left: by torch, when gradients are computed;
    # or has not been entered, since a method is missing.
    outside = isinstance(error, RuntimeError) or "abstract class" in told
    return f"{told}; {found}" if found and (where or outside) else told


def remedy(error: BaseException) -> str | None:
    """What the author of a part usually has to mend where such an error is raised."""
    message = " ".join(str(error).split())
    for kind, pattern, text in _REMEDIES:
        found = re.search(pattern, message) if isinstance(error, kind) else None
        if found is not None:
            return text.format(**found.groupdict())
    return None


def place(error: BaseException, source: str | None = None) -> str:
    """File and line in the part; see `describe`. Empty where none took part."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.lineno]
    own = [frame for frame in frames if frame.filename == source]
    own = own or [frame for frame in frames if not _is_tool(frame.filename)]
    return f"{_short(Path(own[-1].filename))}:{own[-1].lineno}" if own else ""


_OWN = str(Path(__file__).parent)
_STANDARD = sysconfig.get_paths()["stdlib"]
_LIBRARIES = re.compile(r"[/\\](site|dist)-packages[/\\](torch|numpy|pydantic|click|pyarrow)[/\\_]")


def _is_tool(path: str) -> bool:
    """Whether a file belongs to what a part is run by, and not to the part."""
    if path.startswith(("<", _OWN)) or _LIBRARIES.search(path):
        return True
    return path.startswith(_STANDARD) and "-packages" not in path


def _shortened(message: str) -> str:
    message = message.partition(" Hint: ")[0]
    return message if len(message) <= _LONGEST else f"{message[:_LONGEST]} ..."


def _short(path: Path) -> str:
    """Relative to where the reader is, if it lies below."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
