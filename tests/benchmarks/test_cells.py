"""The benchmark of the cells runs, and says of every figure what it is. Nothing is timed here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = ["--quick", "--sizes", "3,2,4", "2,1,4", "--rounds", "1"]


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "cells.py", *words],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def table(markdown: str, title: str) -> dict[tuple[str, ...], list[str]]:
    """The lines of a table by their first three cells."""
    section = markdown.partition(f"### {title}\n")[2].partition("###")[0]
    lines = [line.strip("| ").split("|") for line in section.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line] for line in lines]
    return {tuple(line[:3]): line[3:] for line in cells}


def test_every_engine_stands_in_the_tables_beside_its_peer(tmp_path: Path) -> None:
    out, page = tmp_path / "cells.json", tmp_path / "cells.md"
    done = run(
        "--cases", "cells", "stacked", "ragged", "--cells", "lstm", "my_peephole", *SMALL,
        "--engines", "reference", "native", "torch", "loop", "products", "int8",
        "--json", out, "--markdown", page, "--check",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert page.read_text(encoding="utf-8") == done.stdout

    lines = table(done.stdout, "Inference, one layer, one thread (CPU time)")
    assert lines["cell", "engine", "relative to"] == ["T3 B2 H4", "T2 B1 H4"]
    asked = [("lstm", "native"), ("lstm", "reference"), ("my_peephole", "reference")]
    own = [
        (peer, kind) for peer in ("nn.LSTM", "nn.GRU", "nn.RNN") for kind in ("loop", "products")
    ]
    for cell, engine in asked:
        assert (cell, engine, "nn.LSTM") in lines
    for peer, kind in own:
        assert (peer, kind, peer) in lines
    assert ("nn.GRU", "torch", "nn.LSTM") in lines
    assert ("my_peephole", "native", "nn.LSTM") not in lines
    assert {("lstm", "int8", "nn.LSTM"), ("my_peephole", "int8", "nn.LSTM")} <= set(lines)
    for key, figures in lines.items():
        if key[2] in ("nn.LSTM", "nn.GRU", "nn.RNN"):
            form = r"(\*\*)?\d+\.\d\d(\*\*)? \(\d+\.\d\d to \d+\.\d\d\)"
            assert all(re.fullmatch(form, figure) for figure in figures), (key, figures)

    # A single row is no training.
    training = table(done.stdout, "Training, one layer, one thread (CPU time)")
    assert training["cell", "engine", "relative to"] == ["T3 B2 H4"]
    assert ("lstm", "int8", "nn.LSTM") not in training
    for peer in ("padded", "packed"):
        title = f"Training, ragged batches, the peer {peer}, one thread (CPU time)"
        assert ("lstm", "native", "nn.LSTM") in table(done.stdout, title)
    stacked = table(done.stdout, "Training, two layers in both directions, one thread (CPU time)")
    assert ("my_peephole", "reference", "nn.LSTM") in stacked

    rows = json.loads(out.read_text())["rows"]
    assert {row["case"] for row in rows} == {"cells", "stacked", "ragged", "packed"}
    assert all(row["figures"]["cpu_ms"] > 0 < row["figures"]["peer_wall_ms"] for row in rows)
    # What the table marks is what `auto` picks: one engine a cell.
    marked = {(row["cell"], row["engine"]) for row in rows if row["auto"]}
    assert {cell for cell, _ in marked} <= {"lstm", "my_peephole"}
    assert len({row["engine"] for row in rows if row["cell"] == "lstm" and row["auto"]}) <= 2


def test_the_targets_stand_beside_the_figures() -> None:
    done = run(
        "--cases", "batch-one", "compile", "--cells", "lstm", "--sizes", "30,1,8", "--rounds", "1",
        "--engines", "auto", "--quick", "--check",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    verdicts = done.stdout.partition("### Targets\n")[2]
    for what in (
        r"LSTM, one row \| lstm by \w+, inference, T30 B1 H8 \| 0\.8",
        r"LSTM \| lstm by \w+, inference, T30 B1 H8 \| 1\.02",
        r"compile, first time, s \|  \| 4",
        r"compile, from the cache, ms \|  \| 50",
    ):
        assert re.search(rf"^\| {what} \| [\d.]+ \| (met|not met) \|$", verdicts, re.MULTILINE), (
            what
        )
    assert "| recompiles over lengths and batch sizes |  | 0 | 0.000 | met |" in verdicts


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--cells", "lstn"], "invalid choice: 'lstn'"),
        (["--sizes", "25,64"], "a size is T,B,H, three positive integers, not '25,64'"),
        (["--sizes", "0,1,2"], "a size is T,B,H, three positive integers, not '0,1,2'"),
    ],
)
def test_a_wrong_choice_is_an_error_of_one_line(words: list[str], told: str) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert told in done.stderr.splitlines()[-1]
