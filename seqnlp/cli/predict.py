"""`seqnlp predict`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from seqnlp.cli.options import device_name, engine_option, model_argument, quantize_option
from seqnlp.errors import InputError
from seqnlp.types import Prediction

if TYPE_CHECKING:
    from seqnlp.tasks.base import Stream

FORMATS = ("text", "tsv", "jsonl")
SUFFIXES = {".txt", ".text", ".tsv", ".csv", ".json", ".jsonl", ".md"}
"""Endings by which an input that does not exist is taken for a mistyped file."""


@click.command(short_help="Answer texts with a saved model.")
@model_argument
@click.argument("inputs", nargs=-1)
@click.option(
    "--format",
    "layout",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="text: label, probability and text; tsv and jsonl: with all probabilities.",
)
@click.option("--output", type=click.Path(path_type=Path), help="A file instead of the screen.")
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@engine_option
@quantize_option
@click.option(
    "--stream",
    is_flag=True,
    help="Take the lines for pieces of one text: after each, the answer to the text so far, at "
    "once. A blank line begins another text and has no answer; Ctrl-C ends.",
)
def command(
    model: Path,
    inputs: tuple[str, ...],
    layout: str,
    output: Path | None,
    batch_size: int,
    device: str,
    engine: str | None,
    quantize: str | None,
    stream: bool,
) -> None:
    """Answer INPUTS with the MODEL in a folder.

    An input that is a file is read line by line; any other is a text itself; without inputs, or
    with "-", standard input is read. One answer a line, in order.
    """
    from seqnlp.bundle import load

    loaded = load(model, device=device_name(device, quantize), engine=engine)
    if quantize is not None:
        loaded = loaded.quantize(quantize)
    answers: Iterator[tuple[str, Prediction]]
    if stream:
        answers = _as_they_come(loaded.stream(), _texts(inputs))
    else:
        texts, shown = tee(_texts(inputs))
        # One batch at a time from a pipe: the first answers come before the last texts.
        window = 1024 if inputs and inputs != ("-",) else batch_size
        found = loaded.task.predict(texts, batch_size=batch_size, window=window)
        answers = zip(shown, found, strict=True)
    lines = (f"{line}\n".encode() for line in _lines(answers, layout))
    end = suppress(KeyboardInterrupt) if stream else nullcontext()
    if output is not None:
        from seqnlp.files import new_file

        with new_file(output) as file, end:
            file.writelines(lines)
        return
    out = sys.stdout.buffer
    try:
        with end:
            for line in lines:
                out.write(line)
                if stream:
                    out.flush()
        out.flush()
    except BrokenPipeError:
        # Whoever read the output has gone; closing must not complain once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


def _as_they_come(stream: Stream, pieces: Iterator[str]) -> Iterator[tuple[str, Prediction]]:
    for piece in pieces:
        if piece.strip():
            yield piece, stream.push(piece)
        else:
            stream.reset()


def _texts(inputs: tuple[str, ...]) -> Iterator[str]:
    for item in inputs or ("-",):
        if item == "-":
            if sys.stdin is None:
                raise InputError("standard input is closed; give texts or files")
            yield from _file_lines(sys.stdin.buffer, "standard input")
            continue
        path = Path(item) if "\n" not in item and len(item) < 4096 else None
        if path is not None and path.is_file():
            with path.open("rb") as file:
                yield from _file_lines(file, item)
        elif path is not None and path.is_dir():
            raise InputError(f"{item} is a folder; give texts or files")
        elif path is not None and path.suffix in SUFFIXES and not path.name.count(" "):
            raise InputError(
                f"{item}: no such file; a text that looks like one goes through a pipe"
            )
        else:
            yield item


def _file_lines(file: BinaryIO, name: str) -> Iterator[str]:
    for number, line in enumerate(file, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise InputError(f"{name}:{number}: not valid UTF-8") from error


def _lines(answers: Iterator[tuple[str, Prediction]], layout: str) -> Iterator[str]:
    first = True
    for text, answer in answers:
        shares = dict(answer.probabilities or {})
        if layout == "jsonl":
            record = {"text": text, "label": answer.output, "probabilities": shares}
            yield json.dumps(record, ensure_ascii=False)
            continue
        flat = " ".join(text.split())
        if layout == "text":
            yield f"{answer.output}\t{shares.get(answer.output, 1.0):.4f}\t{flat}"
            continue
        if first:
            first = False
            yield "\t".join(["label", *(f"p({label})" for label in shares), "text"])
        yield "\t".join([answer.output, *(f"{p:.6f}" for p in shares.values()), flat])
