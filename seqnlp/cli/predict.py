"""`seqnlp predict`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import tee
from pathlib import Path
from typing import TextIO

import click

from seqnlp.cli.options import model_argument
from seqnlp.errors import InputError
from seqnlp.types import Prediction

FORMATS = ("text", "tsv", "jsonl")


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
def command(
    model: Path,
    inputs: tuple[str, ...],
    layout: str,
    output: Path | None,
    batch_size: int,
    device: str,
) -> None:
    """Answer INPUTS with the MODEL in a folder.

    An input that is a file is read line by line; any other is a text itself; without inputs, or
    with "-", standard input is read. One answer a line, in order.
    """
    from seqnlp.bundle import load
    from seqnlp.training.run import choose_device

    loaded = load(model, device=str(choose_device(device)))
    texts, shown = tee(_texts(inputs))
    # One batch at a time from a pipe: the first answers come before the last texts.
    answers = loaded.task.predict(
        texts, batch_size=batch_size, window=1024 if inputs and inputs != ("-",) else batch_size
    )
    lines = _lines(zip(shown, answers, strict=True), layout)
    if output is None:
        for line in lines:
            sys.stdout.write(line + "\n")
        sys.stdout.flush()
        return
    from seqnlp.files import new_file

    with new_file(output) as file:
        file.writelines(f"{line}\n".encode() for line in lines)


def _texts(inputs: tuple[str, ...]) -> Iterator[str]:
    for item in inputs or ("-",):
        if item == "-":
            sys.stdin.reconfigure(encoding="utf-8", errors="strict")  # type: ignore[union-attr]
            yield from _file_lines(sys.stdin, "standard input")
        elif "\n" not in item and len(item) < 4096 and Path(item).is_file():
            with Path(item).open(encoding="utf-8") as file:
                yield from _file_lines(file, item)
        else:
            yield item


def _file_lines(file: TextIO, name: str) -> Iterator[str]:
    number = 0
    lines = iter(file)
    while True:
        number += 1
        try:
            line = next(lines)
        except StopIteration:
            return
        except UnicodeDecodeError as error:
            raise InputError(
                f"{name}:{number}: not valid UTF-8 in this line or soon after"
            ) from error
        yield line.rstrip("\r\n")


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
