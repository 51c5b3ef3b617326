"""`seqnlp export`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from seqnlp.cli.options import model_argument
from seqnlp.cli.screen import open_screen
from seqnlp.errors import InputError

if TYPE_CHECKING:
    from seqnlp.bundle import Model

Quantize = Literal["int8"] | None


@click.command(short_help="Write a saved model for other programs: ONNX, torch.export, C++.")
@model_argument
@click.option(
    "--format",
    "layout",
    type=click.Choice(["onnx", "torch", "aoti"]),
    default="onnx",
    show_default=True,
    help="What to write: a folder that seqnlp-runtime runs; a program of torch.export; or one that "
    "AOTInductor has compiled, for C++.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="PATH",
    help="A folder or, of programs, a file; an earlier export there is replaced.",
)
@click.option(
    "--quantize",
    type=click.Choice(["int8"]),
    help="Also write the weights as int8: smaller, faster, and a little less exact.",
)
def command(model: Path, layout: str, output: Path, quantize: Quantize) -> None:
    """Write the MODEL in a form that other programs run.

    \b
    seqnlp export runs/x --format onnx --output exported
    seqnlp-run exported "a stirring, funny film"
    seqnlp export runs/x --format torch --output model.pt2
    """  # noqa: D301 - \b keeps the lines apart
    check, write, hint = _FORMATS[layout]
    # What the export takes would be lost where it cannot be written.
    check(output)
    from seqnlp.bundle import load

    write(load(model), output, quantize)
    _show(output, hint)


def _check_onnx(output: Path) -> None:
    from seqnlp.integrations.onnx.export import check_folder
    from seqnlp.integrations.onnx.recording import require_packages

    require_packages()
    check_folder(output)


def _write_onnx(model: Model, output: Path, quantize: Quantize) -> None:
    from seqnlp.integrations.onnx.export import export_onnx

    export_onnx(model, output, quantize=quantize)


def _check_file(output: Path) -> None:
    if output.is_dir():
        raise InputError(f"{output}: a folder; a program is one file: {output / 'model.pt2'}")


def _write_torch(model: Model, output: Path, quantize: Quantize) -> None:
    from seqnlp.integrations.torch_export import save_program

    _refuse_int8(quantize)
    save_program(model, output)


def _write_aoti(model: Model, output: Path, quantize: Quantize) -> None:
    from seqnlp.integrations.torch_export import compile_program

    _refuse_int8(quantize)
    compile_program(model, output)


def _refuse_int8(quantize: Quantize) -> None:
    if quantize is not None:
        raise InputError("--quantize is for --format onnx: programs of torch keep float weights")


def _show(output: Path, hint: str) -> None:
    files = sorted(output.iterdir()) if output.is_dir() else [output]
    width = max(len(path.name) for path in files)
    screen = open_screen()
    for path in files:
        size = path.stat().st_size / 1e6
        screen.print(f"{path.name:{width}}  {size:8.2f} MB", markup=False, highlight=False)
    screen.print(hint.format(output), markup=False, highlight=False, soft_wrap=True)


_FORMATS: dict[str, tuple[Callable[[Path], None], Callable[[Model, Path, Quantize], None], str]] = {
    "onnx": (_check_onnx, _write_onnx, "to try it: seqnlp-run {} 'a text'"),
    "torch": (_check_file, _write_torch, "torch.export.load reads {}"),
    "aoti": (_check_file, _write_aoti, "torch._inductor.aoti_load_package reads {}"),
}
"""What sees that a format can be written, what writes it, and what to do next."""
