"""The benchmark of summarizers runs on any corpus. Nothing is timed here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "summarization.py"


@pytest.mark.slow
def test_what_copying_costs_is_told(reports_corpus: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    done = subprocess.run(
        [
            sys.executable, SCRIPT, "--corpus", reports_corpus, "--steps", "1", "--rounds", "1",
            "--shares", "0", "1", "--markdown", page,
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = re.findall(
        r"^\| (.*) \| ([\d.]+) \| at most ([\d.]+) \| (.*) \|$", page.read_text(), re.M
    )
    assert [row[0] for row in rows] == [
        "training with copying, over without",
        "training with copying and coverage, over without",
        "peak memory with 100% of words unknown, over none",
    ]
    assert [row[2] for row in rows] == ["1.08", "1.35", "1.1"]
    assert all(float(row[1]) > 0 for row in rows)
    assert re.fullmatch(r"[\d,.]+, [\d,.]+ steps a second", rows[0][3])
