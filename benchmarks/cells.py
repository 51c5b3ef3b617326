"""What a step of every cell costs on every engine, relative to torch's own modules.

    python benchmarks/cells.py --markdown cells.md --check

Training is forward and backward to the inputs and to all weights; inference is forward in
evaluation, without gradients. Each figure is the median over rounds in which a call and its peer
take turns. The peers are nn.LSTM, nn.GRU and nn.RNN, given their input in the order of axes that
is faster for them; ours get [B, T, I]. A cell that torch does not have is compared with nn.LSTM.

Beside the engines, `torch` is its module, `loop` its cell (nn.LSTMCell and so on) in a plain loop,
as `reference` is for our cells; `products` are the matrix products alone, below which none can go
that has them in floating point; `int8` is a cell with quantized weights.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import torch
from recurrence.cases import (
    FLOOR,
    INT8,
    LOOP,
    MODES,
    TORCHS,
    Plan,
    Row,
    register_peephole,
    time_cells,
    time_ragged,
    time_stacked,
)
from recurrence.compiling import Cost, time_compilation
from recurrence.contenders import PEEPHOLE, Size
from recurrence.report import Report
from recurrence.targets import check
from recurrence.timing import Effort, describe_machine

from seqnlp import registry

SIZES = ("25,64,256", "50,32,256", "100,16,512", "400,8,256", "2000,4,256", "30,1,256")
CASES = ("cells", "two-threads", "stacked", "ragged", "compile", "batch-one")


def run_case(name: str, plan: Plan, *, quick: bool) -> Iterator[Row | Cost]:
    """A named case. Of "cells", "two-threads" and "batch-one" are what their targets speak of."""
    own = replace(plan, cells=[PEEPHOLE], engines=plan.engines or ["auto"])
    if name == "cells":
        yield from time_cells(plan)
    elif name == "two-threads":
        yield from time_cells(replace(own, threads=[2], modes=["training"]))
    elif name == "batch-one":
        single = [size for size in plan.sizes if size.batch == 1]
        yield from time_cells(replace(plan, sizes=single, modes=["inference"]))
    elif name == "stacked":
        yield from time_stacked(own)
    elif name == "ragged":
        yield from time_ragged(replace(own, cells=[PEEPHOLE, "lstm"]), count=4 if quick else 12)
    else:
        yield from time_compilation(runs=1 if quick else 3)


def main() -> None:
    """Measure, and write the tables."""
    chosen = _parse()
    torch.set_flush_denormal(True)
    # On a GPU cuDNN's recurrences round to it unless told not to, and torch's products do not.
    torch.backends.cudnn.allow_tf32 = False
    gc.freeze()  # what is there now stays; only what the calls leave is looked through
    found: list[Row | Cost] = []
    for name in chosen.cases:
        for each in run_case(name, _plan(chosen), quick=chosen.quick):
            print(each, file=sys.stderr, flush=True)
            found.append(each)
    rows = [each for each in found if isinstance(each, Row)]
    costs = [each for each in found if isinstance(each, Cost)]
    report = Report(
        machine=describe_machine(), rows=rows, costs=costs,
        verdicts=check(rows, costs) if chosen.check else None,
    )  # fmt: skip
    print(report.markdown(), end="")
    if chosen.markdown is not None:
        chosen.markdown.write_text(report.markdown(), encoding="utf-8")
    if chosen.json is not None:
        chosen.json.write_text(report.json(), encoding="utf-8")
    if chosen.plot is not None:
        report.plot(chosen.plot)


def _plan(chosen: argparse.Namespace) -> Plan:
    effort = Effort(rounds=chosen.rounds)
    if chosen.quick:
        effort = Effort(rounds=min(3, chosen.rounds), least=0, most=0.3, fewest=1)
    return Plan(
        cells=chosen.cells, engines=chosen.engines, sizes=chosen.sizes, modes=chosen.mode,
        threads=chosen.threads, effort=effort, device=chosen.device,
    )  # fmt: skip


def _parse() -> argparse.Namespace:
    register_peephole()
    cells, engines = list(registry.cells.names()), list(registry.engines.names())
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--cases", nargs="+", choices=CASES, default=CASES[:-1], help="default: all but batch-one")
    add("--cells", nargs="+", choices=cells, help="default: all")
    add(
        "--engines",
        nargs="+",
        choices=[*engines, "auto", TORCHS, LOOP, FLOOR, INT8],
        help="default: all in the case cells, else what auto picks",
    )
    add("--sizes", nargs="+", type=_size, metavar="T,B,H", help=f"default: {' '.join(SIZES)}")
    add("--threads", nargs="+", type=int, default=[1], metavar="N")
    add("--mode", nargs="+", choices=MODES, default=MODES)
    add("--device", default="cpu")
    add("--rounds", type=int, default=11, help="of each comparison; fewer where it takes long")
    add("--quick", action="store_true", help="a minute: few cells, sizes and rounds")
    add("--json", type=Path, help="write every figure to this file")
    add("--markdown", type=Path, help="also write the tables to this file")
    add("--plot", type=Path, help="draw the ratios into this file (needs matplotlib)")
    add("--check", action="store_true", help="set the targets beside the figures")
    chosen = parser.parse_args()
    if chosen.plot is not None and find_spec("matplotlib") is None:
        parser.error("--plot needs matplotlib, which is not installed")
    few = [PEEPHOLE, "lstm", "gru"]
    chosen.cells = chosen.cells or (few if chosen.quick else cells)
    chosen.sizes = chosen.sizes or [Size.parse(text) for text in SIZES[:: 5 if chosen.quick else 1]]
    if chosen.engines is None and chosen.quick:
        chosen.engines = [name for name in engines if name != "reference"] + ["auto", TORCHS, INT8]
    return chosen


def _size(text: str) -> Size:
    try:
        return Size.parse(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"a size is T,B,H, three positive integers, not {text!r}"
        ) from None


if __name__ == "__main__":
    main()
