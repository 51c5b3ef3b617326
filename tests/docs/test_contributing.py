""" "Add a cell in five minutes", as a reader does it: files, pip, the commands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import ROOT, blocks, commands

PAGE = ROOT / "CONTRIBUTING.md"


def test_a_cell_in_five_minutes(tmp_path: Path, toy_corpus: Path) -> None:
    project, site = tmp_path / "project", tmp_path / "site"
    project.mkdir()
    files = [block for block in blocks(PAGE) if block.file]
    for block in files:
        assert block.file is not None
        (project / block.file).write_text(block.text)
    assert sorted(path.name for path in project.iterdir()) == ["pyproject.toml", "seqnlp_ligru.py"]

    # `pip install .`, without a network and into a folder of the test's own.
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    offline = ["--no-deps", "--no-index"]
    wheels = tmp_path / "wheels"
    _run([*pip, "wheel", *offline, "--no-build-isolation", "-w", wheels, project], tmp_path)
    wheel = next(wheels.glob("*.whl"))
    _run([*pip, "install", *offline, "--target", site, wheel], tmp_path)

    environment = {"PYTHONPATH": str(site)}
    listing, training = [words for _, words, _ in commands(PAGE)]
    seqnlp = [sys.executable, "-m", "seqnlp"]
    told = _run([*seqnlp, *listing], tmp_path, environment)
    assert re.search(r"\bligru +seqnlp-ligru\b", told)
    assert "Light GRU, which has no reset gate" in told

    small = ["--corpus", toy_corpus, "--epochs", "1", "--hidden-size", "8", "--threads", "1"]
    _run([*seqnlp, *training, *small, "--output", "run", "--quiet"], tmp_path, environment)
    manifest = json.loads((tmp_path / "run" / "bundle.json").read_text())
    part = {"kind": "cells", "name": "ligru", "package": "seqnlp-ligru", "version": "0.1.0"}
    assert part in manifest["requires"]
    answer = _run([*seqnlp, "predict", "run", "fine"], tmp_path, environment)
    assert answer.split("\t")[0] in ("positive", "negative")

    # Where the package is missing, it is named.
    failed = subprocess.run(
        [*seqnlp, "predict", "run", "fine"], cwd=tmp_path, capture_output=True, text=True
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
