"""Kernels write where they may: every emitted and every fixed source under AddressSanitizer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

GCC = shutil.which("g++")

RUN = """
import torch
from seqnlp import registry, unroll
from seqnlp.nn.engines import build, call

torch.set_num_threads(2)
call._PRODUCTS_A_THREAD = 1  # however little there is to do
for dtype in (torch.float32, torch.float64):
    for name in KINDS:
        for time, *sizes in ((130, 3, 5), (130, 17, 70), (9, 1, 1), (9, 5, 33)):
            cell = registry.cells.get(name)(*sizes).to(dtype)
            for lengths in (None, [time, 7, 0, time - 3]):
                for reverse in (False, True):
                    x = torch.randn(4, time, sizes[0], dtype=dtype, requires_grad=True)
                    given = None if lengths is None else torch.tensor(lengths)
                    out, state = unroll(cell, x, given, reverse=reverse, engine="fused")
                    (out.sum() + sum(leaf.abs().sum() for leaf in state)).backward()
assert build.built() > 0, build.obstacle()
print("finished")
"""

LOSS = """
import torch
from seqnlp.nn.engines import build, softmax_loss

torch.set_num_threads(2)
softmax_loss._NUMBERS_A_THREAD = 1
softmax_loss._LOGITS = 1
for dtype in (torch.float32, torch.float64):
    for rows, classes, size in ((1, 1, 1), (47, 33, 5), (49, 300, 40), (200, 9, 530)):
        for bias in (True, False):
            shapes = [(rows, size), (classes, size), (classes,)]
            given = [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]
            x, weight, b = given
            targets = torch.randint(classes, (rows,))
            loss = softmax_loss.softmax_loss(x, weight, b if bias else None, targets, smoothing=0.1)
            loss.backward()
assert build.built() > 0, build.obstacle()
print("finished")
"""

SCORES = """
import torch
from seqnlp.nn.engines import additive, build

torch.set_num_threads(2)
additive._NUMBERS, additive._NUMBERS_A_THREAD = 0, 1
for dtype in (torch.float32, torch.float64):
    for batch, count, positions, size in ((1, 1, 1, 1), (3, 2, 5, 17), (2, 4, 3, 130)):
        shapes = [(batch, count, size), (batch, positions, size), (size,)]
        given = [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]
        additive.additive_scores(*given, torch.rand(batch, positions) < 0.5).sum().backward()
assert build.built() > 0, build.obstacle()
print("finished")
"""

GREATEST = """
import torch
from seqnlp.nn.engines import build, greatest

torch.set_num_threads(2)
greatest._WORTH_A_THREAD = 1
with torch.no_grad():
    for rows, size, count in ((1, 1, 1), (3, 63, 63), (50, 65, 2), (7, 700, 64), (30, 64, 1)):
        for forbidden in ([], [0], [0, size - 1]):
            logits = torch.randn(rows, size)
            greatest.most_probable(logits, count, torch.tensor(forbidden, dtype=torch.long))
            logits[:] = float("nan")
            greatest.most_probable(logits, count, torch.tensor(forbidden, dtype=torch.long))
assert build.built() > 0, build.obstacle()
print("finished")
"""

FEEDING = """
import torch
from seqnlp.nn import RecurrentDecoder, dropout_sites, feeding
from seqnlp.nn.engines import build, call, dropout
from seqnlp.types import Encoded

torch.set_num_threads(2)
call._PRODUCTS_A_THREAD = call._ROWS_A_THREAD = dropout._ELEMENTS_A_THREAD = 1
run = feeding._run_fused
feeding._run_fused = lambda *given: run(*given) or exit("not fused")
for kind in ("additive", "dot"):
    for size, memory, hidden, output in ((3, 5, 5, 2), (17, 33, 33, 70), (1, 1, 1, 1)):
        decoder = RecurrentDecoder(
            size, memory, 4, output_size=output, cell="gru", hidden_size=hidden,
            attention=kind, input_feeding=True,
        )
        for name in ("context", "output"):
            (site,) = dropout_sites(decoder)[name]
            site.rate, site.kind = 0.3, "fast"
        for lengths, sources in (([5, 7, 0, 4], [9, 1, 3, 0]), ([7] * 4, [9] * 4)):
            mask = torch.arange(9) < torch.tensor(sources)[:, None]
            x, states = torch.randn(4, 7, size), torch.randn(4, 9, memory)
            summary = torch.randn(4, 4)
            x, states, summary = (t.requires_grad_() for t in (x, states, summary))
            encoded = Encoded(states=states, mask=mask, summary=summary)
            decoded = decoder(
                x, torch.tensor(lengths), decoder.prepare(encoded),
                decoder.initial_state(encoded), want_weights=True,
            )
            (decoded.outputs.sum() + decoded.weights.sum()).backward()
assert build.built() > 0, build.obstacle()
print("finished")
"""

WRITE_PAST_A_TENSOR = """
import ctypes, torch
from seqnlp.nn.engines import build

library = build.load('extern "C" void write(float *x, long i) { x[i] = 1; }')
x = torch.zeros(1000)
library.write(ctypes.c_void_p(x.data_ptr()), ctypes.c_long(INDEX))
print("finished")
"""


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a new process of which the kernels, and memory, are instrumented."""
    assert GCC is not None
    compiler = folder / "g++"
    compiler.write_text(f'#!/bin/sh\nexec {GCC} -fsanitize=address "$@"\n')
    compiler.chmod(0o755)
    libraries = [
        subprocess.run(
            [GCC, f"-print-file-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in ("libasan.so", "libstdc++.so.6")
    ]
    if not all(Path(library).is_absolute() for library in libraries):
        pytest.skip("AddressSanitizer is not installed")
    environment = {
        **os.environ,
        "LD_PRELOAD": " ".join(libraries),
        # Python itself frees little at its end.
        "ASAN_OPTIONS": "detect_leaks=0",
        "SEQNLP_COMPILER": str(compiler),
        "SEQNLP_CACHE": str(folder),
    }
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(GCC is None or sys.platform != "linux", reason="needs g++ on Linux"),
]


@pytest.mark.parametrize(
    "code",
    [
        RUN.replace("KINDS", repr(["min_gru", "qrnn", "lru"])),
        RUN.replace("KINDS", repr(["lstm", "gru", "layer_norm_lstm", "slstm"])),
        LOSS,
        FEEDING,
        SCORES,
        GREATEST,
    ],
    ids=["linear", "gated", "loss", "feeding", "scores", "greatest"],
)
def test_kernels_touch_no_memory_but_their_own(code: str, tmp_path: Path) -> None:
    found = run(code, tmp_path)
    assert "AddressSanitizer" not in found.stderr, found.stderr
    assert found.stdout == "finished\n", found.stderr


@pytest.mark.parametrize(("index", "caught"), [(999, False), (1000, True)])
def test_a_write_past_the_end_of_a_tensor_would_be_seen(
    index: int, caught: bool, tmp_path: Path
) -> None:
    found = run(WRITE_PAST_A_TENSOR.replace("INDEX", str(index)), tmp_path)
    assert ("heap-buffer-overflow" in found.stderr) == caught, found.stderr
