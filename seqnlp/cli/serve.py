"""`seqnlp serve`."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import click

from seqnlp.cli.options import engine_option, quantize_option
from seqnlp.errors import InputError
from seqnlp.integrations.service.limits import Limits

F = TypeVar("F", bound=Callable[..., Any])

_LIMITS = {
    "batch_size": ("N", "Texts that are answered together at the most."),
    "max_wait": ("SECONDS", "How long the first text of a batch waits for others."),
    "max_body": ("BYTES", "A longer request is refused: 413."),
    "max_chars": ("N", "Characters of a text: 413."),
    "max_texts": ("N", "Texts of a request: 413."),
    "max_queue": ("N", "Texts of a model that wait for an answer: 503."),
    "max_concurrency": ("N", "Requests in work at once: 503."),
    "max_streams": ("N", "Answers that are streamed at once: 503."),
    "timeout": ("SECONDS", "From a request to its answer: 504."),
    "rate": ("N", "Requests a second of one client, by its address: 429.  [default: any]"),
}


def _limit_options(function: F) -> F:
    """`--max-body 1000000`, ..., gathered as the argument `limits`."""

    @functools.wraps(function)
    def gathered(*arguments: Any, **options: Any) -> Any:
        limits = {key: options.pop(key) for key in _LIMITS}
        return function(*arguments, limits=Limits(**limits), **options)

    usual, command = Limits(), gathered
    for key, (metavar, text) in reversed(_LIMITS.items()):
        default = getattr(usual, key)
        command = click.option(
            f"--{key.replace('_', '-')}",
            key,
            type=int if isinstance(default, int) else float,
            default=default,
            show_default=default is not None,
            metavar=metavar,
            help=text,
        )(command)
    return command  # type: ignore[return-value]


@click.command(short_help="Answer over HTTP with saved models.")
@click.argument("models", nargs=-1, required=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="0 is a free one.",
)
@click.option("--token", help="Ask it of every client; better given by SEQNLP_TOKEN.")
@click.option(
    "--threads",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="CPU threads of a model.",
)
@_limit_options
@click.option(
    "--drain",
    type=click.FloatRange(0, 86_400),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="After SIGTERM, for what was asked by then to be answered.",
)
@click.option(
    "--log",
    type=click.Path(path_type=Path),
    help="A file for events, in place of standard error.",
)
@engine_option
@quantize_option
def command(
    models: tuple[str, ...],
    host: str,
    port: int,
    token: str | None,
    threads: int,
    limits: Limits,
    drain: float,
    log: Path | None,
    engine: str | None,
    quantize: str | None,
) -> None:
    """Answer over HTTP with the MODELS in folders, FOLDER or NAME=FOLDER each, on a CPU.

    SIGHUP loads all of them again. SIGTERM ends the service when what was asked is answered.
    """
    from seqnlp.integrations.service import make_app, require_packages

    require_packages("fastapi", "prometheus_client", "uvicorn")
    import torch

    from seqnlp.integrations.service.models import names_of
    from seqnlp.integrations.service.server import address_of, bind, run

    named = names_of(models)
    token = token if token is not None else os.environ.get("SEQNLP_TOKEN")
    with ExitStack() as open_:
        events = sys.stderr
        if log is not None:
            try:
                events = open_.enter_context(log.open("a", encoding="utf-8"))
            except OSError as error:
                raise InputError(f"cannot write {log}: {error.strerror}") from error
        listening = open_.enter_context(bind(host, port))
        torch.set_num_threads(threads)
        app = make_app(
            named, limits=limits, token=token, quantize=quantize, engine=engine, log=events
        )
        address = address_of(listening)

        def ready() -> None:
            app.state.service.log.write("ready", address=address, models=list(named))
            click.echo(f"{address} answers with {', '.join(named)}; Ctrl-C ends it")

        run(app, listening, drain=drain, ready=ready)
