"""The kernels for inference write and read inside their arrays, by the word of AddressSanitizer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COMPILER = shutil.which("g++")

SCRIPT = """
import sys, torch
from seqnlp.nn import GRUCell, LSTMCell, LayerNormLSTMCell, quantize, unroll
from seqnlp.nn.engines import inference, inference_program, plans
right, wrong = sys.argv[1:]
known = inference_program.sources
inference_program.sources = lambda *args: known(*args).replace(right, wrong)
inference.PRODUCTS_A_THREAD.update(int8=1, float=1)
sizes = (1, 1, 1, 1), (1, 30, 64, 64), (5, 7, 13, 21), (70, 9, 33, 17), (3, 2, 5, 16)
for kind in (LSTMCell, GRUCell, LayerNormLSTMCell):
    for batch, time, inputs, hidden in sizes:
        cells = [kind(inputs, hidden)]
        cells.append(quantize(cells[0]))
        lengths = torch.randint(0, time + 1, (batch,))
        lengths[0] = time
        for threads in (1, 2):
            torch.set_num_threads(threads)
            with torch.no_grad():
                for reverse in (False, True):
                    for cell in cells:
                        x = torch.randn(batch, time, inputs)
                        unroll(cell, x, lengths, reverse=reverse, engine="fused")
                        unroll(cell, x, reverse=reverse, engine="fused")
found = [item for plan in plans._KNOWN.values() for item in plan.programs.items()]
assert {name for name, _ in found} == {"float", "int8"} and all(made for _, made in found)
print("clean")
"""


def run(folder: Path, right: str, wrong: str) -> subprocess.CompletedProcess[str]:
    """The script, its kernels compiled with checks, with something in their source replaced."""
    compiler = folder / "checked"
    compiler.write_text(
        f'#!/bin/sh\nunset LD_PRELOAD\nexec "{COMPILER}" -fsanitize=address,undefined -g "$@"\n'
    )
    compiler.chmod(0o755)
    assert COMPILER is not None
    asked = [[COMPILER, f"-print-file-name={name}.so"] for name in ("libasan", "libubsan")]
    libraries = [subprocess.check_output(words, text=True).strip() for words in asked]
    if not all(map(os.path.isabs, libraries)):
        pytest.skip("the compiler came without the libraries of its sanitizers")
    environment = {
        **os.environ,
        "LD_PRELOAD": " ".join(libraries),
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "halt_on_error=1",
        "SEQNLP_COMPILER": str(compiler),
        "SEQNLP_CACHE": str(folder / "cache"),
    }
    words = [sys.executable, "-c", SCRIPT, right, wrong]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.skipif(COMPILER is None or sys.platform != "linux", reason="needs GCC on Linux")
def test_no_access_leaves_its_array(tmp_path: Path) -> None:
    found = run(tmp_path, "nothing", "nothing")
    assert found.stdout == "clean\n", found.stderr[-3000:]
    short = run(
        tmp_path, "leaves(2 * c.leaves * count * h)", "leaves(2 * c.leaves * count * h - 1)"
    )
    assert "heap-buffer-overflow" in short.stderr
    assert short.returncode != 0
