"""How tests call the command line."""

from __future__ import annotations

import pytest

from seqnlp.cli.main import run
from tests.toy import SMALL

SETS = [word for item in SMALL for word in ("--set", item)]


def call(capfd: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of `seqnlp WORDS`."""
    status = run([str(word) for word in words], debug=False)
    out, err = capfd.readouterr()
    return status, out, err


def train(capfd: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Train a small classifier."""
    return call(capfd, "train", "--task", "sentiment", *SETS, *words)
