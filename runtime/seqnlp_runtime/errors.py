"""What can go wrong, each said in one line."""

from __future__ import annotations


class RunnerError(Exception):
    """Base of every error that this package raises on purpose."""


class FolderError(RunnerError):
    """A folder that is no exported model, or a damaged one, or one of a newer format."""


class MissingPackageError(RunnerError):
    """A model whose texts are split by a package that is not installed."""
