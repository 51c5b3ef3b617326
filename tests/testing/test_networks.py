"""Our encoders, attentions and poolings keep their contracts."""

from __future__ import annotations

from typing import Any

import pytest

from seqnlp import registry
from seqnlp.testing import check_attention, check_encoder, check_pooling

OURS = "seqnlp"


def names(kind: str) -> list[str]:
    found: dict[str, str] = registry.REGISTRIES[kind].names()
    return [name for name, distribution in found.items() if distribution == OURS]


@pytest.mark.parametrize(
    "options",
    [
        {"layers": 2, "residual": True, "layer_norm": True, "engine": "reference"},
        {"cell": "gru", "bidirectional": False, "engine": "reference"},
        {"cell": "min_lstm", "engine": "reference"},
    ],
)
def test_recurrent_encoders(options: dict[str, Any]) -> None:
    report = check_encoder("recurrent", **options)
    streams = {each.check: each.what for each in report.findings}["streams, or says that it cannot"]
    assert "streams" in streams


@pytest.mark.parametrize("name", names("encoders"))
def test_encoders(name: str) -> None:
    assert check_encoder(name).ok


@pytest.mark.parametrize("name", names("attentions"))
def test_attentions(name: str) -> None:
    assert check_attention(name).ok


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("additive", {"coverage": True}),
        ("multi_head", {"heads": 2, "size": 6}),
        ("dot", {"scaled": True}),
    ],
)
def test_attentions_with_options(name: str, options: dict[str, Any]) -> None:
    report = check_attention(name, **options)
    history = {each.check: each for each in report.findings}["a history is read where it says so"]
    assert history.outcome == ("passed" if "coverage" in options else "skipped")


@pytest.mark.parametrize("name", names("poolings"))
def test_poolings(name: str) -> None:
    assert check_pooling(name).ok
