""" "Add a cell in five minutes", as a reader does it: the commands, pip, two files."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import ROOT, blocks, commands

PAGE = ROOT / "CONTRIBUTING.md"
SEQNLP = [sys.executable, "-m", "seqnlp"]


def test_a_cell_in_five_minutes(tmp_path: Path, toy_corpus: Path) -> None:
    new, check, train = [words for _, words, _ in commands(PAGE)]
    told = _run([*SEQNLP, *new], tmp_path)
    project = tmp_path / "seqnlp-ligru"
    for line in ("seqnlp plugin check ligru", "seqnlp train --cell ligru"):
        assert f"  {line}\n" in told
    files = [block for block in blocks(PAGE) if block.file]
    assert len(files) == 2
    for block in files:
        assert block.file is not None
        place = tmp_path / block.file
        assert place.is_file(), "the template has no such file"
        place.write_text(block.text)
    # Forty lines, with the commands, is all that there is to type.
    typed = sum(block.text.count("\n") for block in files)
    assert typed + sum(block.text.count("$ ") for block in blocks(PAGE, "console")) < 40

    # `pip install`, without a network and into a folder of the test's own.
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    offline = ["--no-deps", "--no-index"]
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    _run([*pip, "wheel", *offline, "--no-build-isolation", "-w", wheels, project], tmp_path)
    wheel = next(wheels.glob("*.whl"))
    _run([*pip, "install", *offline, "--target", site, wheel], tmp_path)

    environment = {"PYTHONPATH": str(site)}
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    found = _run([*pytest, "-k", "formula or docstring or padding"], project, environment)
    assert re.search(r"\d+ passed", found)
    assert "failed" not in _run(
        [*SEQNLP, *check, "--only", "gradients are right"], tmp_path, environment
    )
    told = _run([*SEQNLP, "list", "cells"], tmp_path, environment)
    assert re.search(r"\bligru +seqnlp-ligru\b", told)
    assert "Light GRU, which has no reset gate" in told

    small = ["--corpus", toy_corpus, "--epochs", "1", "--hidden-size", "8", "--threads", "1"]
    _run([*SEQNLP, *train, *small, "--output", "run", "--quiet"], tmp_path, environment)
    manifest = json.loads((tmp_path / "run" / "bundle.json").read_text())
    part = {"kind": "cells", "name": "ligru", "package": "seqnlp-ligru", "version": "0.1.0"}
    assert part in manifest["requires"]
    answer = _run([*SEQNLP, "predict", "run", "fine"], tmp_path, environment)
    assert answer.split("\t")[0] in ("positive", "negative")

    # Where the package is missing, it is named.
    failed = subprocess.run(
        [*SEQNLP, "predict", "run", "fine"], cwd=tmp_path, capture_output=True, text=True
    )
    assert failed.returncode == 2
    assert "pip install seqnlp-ligru" in failed.stderr


def _run(words: list[object], folder: Path, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        list(map(str, words)),
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout
