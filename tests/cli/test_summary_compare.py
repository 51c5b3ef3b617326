"""`seqnlp compare` of summarizers of both kinds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.calling import call


def test_written_summaries_are_compared_with_picked_ones(
    reports_run: Path, extracts_run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    status, out, err = call(capfd, "compare", extracts_run, reports_run, "--json")
    assert (status, err) == (0, "")
    figures = json.loads(out)["figures"]
    assert figures["rouge1"]["second"] > figures["rouge1"]["first"]
    assert figures["rouge1"]["wins"] == 1.0
