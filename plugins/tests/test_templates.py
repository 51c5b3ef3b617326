"""What `seqnlp plugin new` writes, installed from wheels by `plugins/install.py`, with no edit."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seqnlp.registry import REGISTRIES
from seqnlp.workshop.kinds import KINDS

MADE = Path(os.environ.get("SEQNLP_MADE", "nowhere"))
SMALL = [
    "--epochs", "1", "--hidden-size", "8", "--threads", "1", "--quiet", "--output", "run",
    "--set", "model.embedding_size=8", "--set", "text.ngram_buckets=50",
]  # fmt: skip

pytestmark = pytest.mark.skipif(
    not MADE.is_dir(), reason="SEQNLP_MADE names no folder that plugins/install.py has made"
)


def _run(*words: object, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *map(str, words)], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_found_by_its_metadata(kind: str) -> None:
    name, registry = f"my-{kind}", REGISTRIES[KINDS[kind].registry]
    assert registry.names()[name] == f"seqnlp-{name}"
    assert registry.summary(name)
    module = sys.modules[registry.get(name).__module__]
    assert MADE not in Path(str(module.__file__)).parents
    metadata = importlib.metadata.metadata(f"seqnlp-{name}")
    assert metadata["Keywords"] == "seqnlp-plugin"
    assert metadata["License-Expression"] == "MIT"


@pytest.mark.parametrize("kind", KINDS)
def test_it_trains_by_the_command_that_new_prints(kind: str, tmp_path: Path) -> None:
    use = KINDS[kind].use.format(name=f"my-{kind}").split()
    _run(*use, *SMALL, folder=tmp_path)
    # One line: what a translator says that has hardly learned may be nothing.
    assert _run("seqnlp", "predict", "run", "A fine film.", folder=tmp_path).count("\n") == 1


def test_it_is_checked_by_the_command_that_new_prints(tmp_path: Path) -> None:
    told = _run("seqnlp", "plugin", "check", "my-tokenizer", folder=tmp_path)
    assert "my-tokenizer" in told


def test_types_are_strict() -> None:
    _run("mypy", "--strict", *sorted(MADE.glob("*/seqnlp_*")), folder=MADE)


@pytest.mark.parametrize("kind", KINDS)
def test_style_is_clean(kind: str) -> None:
    folder = MADE / f"seqnlp-my-{kind}"
    _run("ruff", "check", ".", folder=folder)
    _run("ruff", "format", "--check", ".", folder=folder)
