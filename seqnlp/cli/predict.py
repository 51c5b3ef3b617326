"""`seqnlp predict`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence, Set
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

import click

from seqnlp.cli.answers import FORMATS, writer_for
from seqnlp.cli.decoding import decoding_options, set_decoding
from seqnlp.cli.following import following
from seqnlp.cli.inputs import check_outputs, read_blocks, read_texts
from seqnlp.cli.options import device_name, engine_option, model_argument, quantize_option
from seqnlp.errors import InputError
from seqnlp.types import Prediction

if TYPE_CHECKING:
    from seqnlp.cli.attention_map import MapPrinter
    from seqnlp.cli.explain import CopyPrinter
    from seqnlp.tasks.base import Stream, Task

WINDOW = 1024
"""Texts of a file that are read at once; batches are of texts of like length among them."""


_PICTURES = {
    ".avif", ".bmp", ".eps", ".gif", ".heic", ".ico", ".jpeg", ".jpg", ".pdf", ".pgf", ".pgm",
    ".png", ".pnm", ".ppm", ".ps", ".psd", ".raw", ".rgba", ".svg", ".svgz", ".tga", ".tif",
    ".tiff", ".webp",
}  # fmt: skip
"""Endings of pictures, most of which there are not, which is then said."""
_PAGES = {".htm", ".html", ".shtml", ".xhtml"}


class Answering(Protocol):
    """See `Task.answer_texts`."""

    def __call__(self, texts: Sequence[str], *, batch_size: int) -> list[Prediction]: ...


class FilterCommand(click.Command):
    """A filter, which Ctrl-C ends without a word.

    Its `--attention` and `--explain copy` may be followed by a file.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _with_files(args))

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(130)


def _with_files(words: Sequence[str]) -> list[str]:
    """`--attention FILE` as one word, where the next one looks like a picture and no text; and
    the page behind `--explain copy` as an option of its own.
    """
    result: list[str] = []
    for word in words:
        if result and result[-1] == "--attention=" and _ends_in(word, _PICTURES):
            result[-1] += word
        elif _ends_in(word, _PAGES) and (
            result[-2:] == ["--explain", "copy"] or result[-1:] == ["--explain=copy"]
        ):
            result.append(f"--explain-page={word}")
        else:
            result.append("--attention=" if word == "--attention" else word)
    return result


def _ends_in(word: str, endings: Set[str]) -> bool:
    return Path(word).suffix.lower() in endings and " " not in word


@click.command(cls=FilterCommand, short_help="Answer texts with a saved model.")
@model_argument
@click.argument("inputs", nargs=-1)
@click.option(
    "--format",
    "layout",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="text: label, probability and text, or the output alone, with --n-best its number and "
    "score; tsv and jsonl: all that is known.",
)
@click.option("--output", type=click.Path(path_type=Path), help="A file instead of the screen.")
@decoding_options
@click.option(
    "--attention",
    metavar="[FILE]",
    help="Show what the outputs attend to, on standard error or in a .png, .svg or .pdf.",
)
@click.option(
    "--alignments",
    type=click.Path(path_type=Path),
    help="A file of alignments between words, a line for each text, in the format of Pharaoh.",
)
@click.option(
    "--explain",
    type=click.Choice(["copy"]),
    help="Show which words were copied and from where, on standard error, or in the .html file "
    "that follows.",
)
@click.option("--explain-page", type=click.Path(path_type=Path), hidden=True)
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
    decoding: dict[str, object],
    attention: str | None,
    alignments: Path | None,
    explain: str | None,
    explain_page: Path | None,
    batch_size: int,
    device: str,
    engine: str | None,
    quantize: str | None,
    stream: bool,
) -> None:
    """Answer INPUTS with the MODEL in a folder.

    An input that is a file is read line by line, or answered as a whole where the task reads no
    texts; any other is a text itself; without inputs, or with "-", standard input is read, and each
    line answered before the next is waited for. One answer a line, in order.
    """
    from seqnlp.bundle import load
    from seqnlp.files import new_file
    from seqnlp.tasks.alignment import align_words
    from seqnlp.tasks.decoding import pharaoh

    picture = Path(attention) if attention else None
    if output is None and sys.stdout is None:
        raise InputError("standard output is closed; name a file by --output")
    check_outputs(
        inputs,
        {
            "--output": output,
            "--alignments": alignments,
            "--attention": picture,
            "--explain copy": explain_page,
        },
    )
    maps = _maps(attention)
    loaded = load(model, device=device_name(device, quantize), engine=engine)
    if quantize is not None:
        loaded = loaded.quantize(quantize)
    task = loaded.task
    set_decoding(task, decoding)
    if maps is not None:
        sides = list(task.pipelines.values())
        maps.labels = (sides[0].tokenizer.label, sides[-1].tokenizer.label)
    for option, given in (("--attention", maps), ("--alignments", alignments)):
        if given is not None and task.decoding is None:
            raise InputError(
                f"{option} is for tasks that write texts, and not for {task.settings.task!r}"
            )
    answering = task.answer_texts if explain is None else _explained(task)
    writer = writer_for(
        layout,
        decodes=task.decoding is not None,
        n_best=1 if task.decoding is None else task.decoding.n_best,
        maps=maps is not None,
    )
    blocks = (
        _as_they_come(loaded.stream(), read_texts(inputs, whole=task.reads_files))
        if stream
        else _answered(task, answering, inputs, batch_size)
    )
    with ExitStack() as open_:
        out: BinaryIO = sys.stdout.buffer
        if output is not None:
            out = open_.enter_context(new_file(output))
        words = open_.enter_context(new_file(alignments)) if alignments is not None else None
        advance = open_.enter_context(
            following(inputs, shown=output is not None and not stream, whole=task.reads_files)
        )
        copies = _copies(explain, explain_page, task, open_)
        if stream:
            open_.enter_context(suppress(KeyboardInterrupt))
        for block in blocks:
            for text, answer in block:
                out.writelines(f"{line}\n".encode() for line in writer.lines(text, answer))
                if words is not None:
                    words.write(f"{pharaoh(align_words(answer, task.pipelines))}\n".encode())
                if maps is not None:
                    out.flush()
                    maps.show(answer)
                if copies is not None:
                    out.flush()
                    copies.show(answer)
            out.flush()
            advance(len(block))


def _maps(attention: str | None) -> MapPrinter | None:
    if attention is None:
        return None
    from seqnlp.cli.attention_map import MapPrinter

    return MapPrinter(Path(attention) if attention else None)


def _copies(
    explain: str | None, page: Path | None, task: Task, open_: ExitStack
) -> CopyPrinter | None:
    if explain is None:
        return None
    from seqnlp.cli.explain import CopyPrinter

    return CopyPrinter(page, task.pipelines, open_)


def _explained(task: Task) -> Answering:
    """How a task answers texts and says what it copied.

    Raises:
        InputError: it copies nothing.
    """
    from seqnlp.tasks.writing_task import WritingTask

    if not isinstance(task, WritingTask) or not task.options.copying:
        raise InputError(
            "--explain copy is for models that copy words: of a task that writes, trained with "
            f"head.copying = true; this one is of the task {task.settings.task!r}"
        )

    def answer(texts: Sequence[str], *, batch_size: int) -> list[Prediction]:
        return task.answer(task.read_texts(texts), batch_size=batch_size, want_copies=True)

    return answer


def _answered(
    task: Task, answering: Answering, inputs: tuple[str, ...], batch_size: int
) -> Iterator[Sequence[tuple[str, Prediction]]]:
    # input.de is a mistyped file, where German is read.
    languages = task.settings.corpus.source, task.settings.corpus.target
    suffixes = [f".{language}" for language in languages if language]
    size = max(WINDOW, batch_size)
    for block in read_blocks(inputs, size=size, suffixes=suffixes, whole=task.reads_files):
        answers = answering(block, batch_size=batch_size)
        yield list(zip(block, answers, strict=True))


def _as_they_come(
    stream: Stream, pieces: Iterator[str]
) -> Iterator[Sequence[tuple[str, Prediction]]]:
    for piece in pieces:
        if piece.strip():
            yield [(piece, stream.push(piece))]
        else:
            stream.reset()
