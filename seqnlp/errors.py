"""What can go wrong, said so that the reader can mend it: what was asked for, what was expected,
and the nearest thing that exists.

The command line prints the message alone and exits with `exit_status`: 2 for usage and bad input,
1 for a run that failed.
"""

from __future__ import annotations

from collections.abc import Iterable


class SeqnlpError(Exception):
    """Base of every error that this package raises on purpose."""

    exit_status = 1


class InputError(SeqnlpError):
    """A file, a text or an argument that cannot be used as it is."""

    exit_status = 2


class SettingsError(InputError):
    """A recipe or a `--set` value that does not describe a run."""


class UnknownNameError(InputError):
    """A name that nothing is registered under.

    Args:
        kind: what was looked up, in the singular: "cell", "tokenizer".
        name: the name that was asked for.
        known: the names that exist.
        hint: what to say where none of them is near.
        remedy: what to say in any case.
    """

    def __init__(
        self, kind: str, name: str, known: Iterable[str], hint: str = "", *, remedy: str = ""
    ) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        hint = remedy or ("" if near(name, self.known) else hint)
        more = f"; {hint}" if hint else ""
        super().__init__(f"no {kind} is named {name!r}; {suggest(name, self.known)}{more}")


class NameTakenError(SeqnlpError):
    """Two things claim one name of a registry."""


class MissingPackageError(InputError):
    """A part of the toolkit needs a package that is not installed."""


class BundleError(InputError):
    """A folder that is not a model, or a damaged one, or one from a newer version."""


class TrainingError(SeqnlpError):
    """A run that could not go on; the message names the step and what to try."""


class StoppedError(SeqnlpError):
    """A run that a signal has ended before there was a model to keep.

    Args:
        message: with what to do to go on.
        signal: its number; the exit status is 128 more, as of a process that it kills.
    """

    def __init__(self, message: str, *, signal: int) -> None:
        super().__init__(message)
        self.exit_status = 128 + signal


class LostProcessError(SeqnlpError):
    """A process that trained with this one is gone; what was written down can be gone on with."""


class OtherFailedError(SeqnlpError):
    """Another process of the same training has failed and says why: nobody need hear of it twice.

    Args:
        status: that this process exits with.
    """

    def __init__(self, status: int) -> None:
        super().__init__("another process of this training has failed")
        self.exit_status = status


def suggest(name: str, known: Iterable[str]) -> str:
    """Say which known name is nearest to `name`, or list them all when none is near.

    >>> suggest("lstn", ["gru", "lstm"])
    "did you mean 'lstm'? known: gru, lstm"
    """
    names = sorted(known)
    listing = f"known: {', '.join(names)}" if names else "none is known"
    best = near(name, names)
    return listing if best is None else f"did you mean {best!r}? {listing}"


def near(name: str, known: Iterable[str]) -> str | None:
    """The known name that is nearest to `name`, if one is near."""
    import difflib  # no command that succeeds waits for it

    names = sorted(known)
    found = difflib.get_close_matches(name.lower(), [n.lower() for n in names], n=1, cutoff=0.6)
    return next((n for n in names if [n.lower()] == found), None)
