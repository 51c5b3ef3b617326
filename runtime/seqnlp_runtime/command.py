"""`seqnlp-run`: answer texts on the command line, one JSON object a line."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import NoReturn

from seqnlp_runtime.errors import RunnerError


class _Parser(argparse.ArgumentParser):
    """Says in one line what was mistyped, as `seqnlp` does."""

    def error(self, message: str) -> NoReturn:
        raise RunnerError(f"{message}; see {self.prog} --help")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit: 0 well, 2 usage or bad input, 130 Ctrl-C, 141 where whoever read
    the output has gone.
    """
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    try:
        given = _parser().parse_args(arguments)
        if given.batch_size < 1:
            raise RunnerError(f"--batch-size {given.batch_size}: expected 1 or more")
        from seqnlp_runtime.model import load

        model = load(given.folder, threads=given.threads, int8=given.int8)
        if given.decode:
            model.search_by(dict(map(_pair, given.decode)))
        texts = iter(given.texts) if given.texts else _lines()
        for block in _blocks(texts, given.batch_size):
            for text, answer in zip(block, model.predict(block), strict=True):
                line = json.dumps({"text": text, **answer.as_dict()}, ensure_ascii=False)
                sys.stdout.buffer.write(line.encode("utf-8", "backslashreplace") + b"\n")
            sys.stdout.buffer.flush()
    except RunnerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Closing must not complain once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return 0


def _blocks(texts: Iterator[str], size: int) -> Iterator[list[str]]:
    """So many texts at a time; what is wrong with one is raised behind those before it."""
    block: list[str] = []
    try:
        for text in texts:
            block.append(text)
            if len(block) == size:
                yield block
                block = []
    except RunnerError:
        if block:
            yield block
        raise
    if block:
        yield block


def _lines() -> Iterator[str]:
    """Texts of standard input, one a line.

    Raises:
        RunnerError: a line is not UTF-8.
    """
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise RunnerError(f"standard input:{number}: not valid UTF-8") from error


def _pair(word: str) -> tuple[str, object]:
    """A key and its value, which is JSON, or else a text.

    Raises:
        RunnerError: no pair.
    """
    key, equals, value = word.partition("=")
    if not equals:
        raise RunnerError(f"--decode {word}: expected KEY=VALUE")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="seqnlp-run",
        description="Answer texts with a model that `seqnlp export --format onnx` has written; "
        "one JSON object a line.",
    )
    parser.add_argument("folder", help="what was exported")
    parser.add_argument("texts", nargs="*", help="to be answered; without, lines of standard input")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU (default: 1)")
    parser.add_argument("--int8", action="store_true", help="take int8 weights")
    parser.add_argument("--batch-size", type=int, default=1, help="texts at once (default: 1)")
    parser.add_argument(
        "--decode", action="append", metavar="KEY=VALUE",
        help="how outputs are searched for, as in the model's head.decoding: beam=5, n_best=3",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    main()
