"""The `seqnlp` command: finds the subcommand, and turns errors into one line and an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

import click

from seqnlp.cli.lazy import LazyGroup
from seqnlp.errors import OtherFailedError, SeqnlpError

# Name, module under seqnlp.cli, and the line that `--help` shows: no command's module is imported
# before it runs.
COMMANDS = {
    "train": ("train", "Train a model and save it with its figures."),
    "evaluate": ("evaluate", "Measure a saved model on a split of a corpus."),
    "diagnose": ("diagnose", "Say how gradients flow through a saved model."),
    "compare": ("compare", "Compare runs, seeds and cells."),
    "tune": ("tune", "Search for good settings."),
    "find-lr": ("find_lr", "Find a learning rate by letting it rise."),
    "predict": ("predict", "Answer texts with a saved model."),
    "export": ("export", "Write a saved model in a form that other programs run."),
    "serve": ("serve", "Answer over HTTP with saved models."),
    "push": ("push", "Put a saved model on the Hugging Face Hub."),
    "show": ("show", "Describe a saved model."),
    "list": ("listing", "List what is registered: cells, tokenizers, corpora, ..."),
    "corpus": ("corpus", "Look at a corpus."),
    "plugin": ("plugin", "Write a plugin, and check it."),
    "doctor": ("doctor", "Say what this machine can do, and why."),
}


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        # Half of the time that `--help` takes, if it is imported above.
        from importlib.metadata import version

        click.echo(f"seqnlp {version('seqnlp')}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: seqnlp train --task sentiment",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def cli(debug: bool) -> None:
    """Train, understand and ship small, fast recurrent sequence models."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 well, 1 a failed run, 2 usage or bad input, 130 Ctrl-C,
    141 where whoever read the output has gone.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(run(words, debug="--debug" in words))


def run(words: list[str], *, debug: bool) -> int:
    """Run the command line and return its exit status.

    `--debug` may stand anywhere: who repeats a failed command adds it at the end.
    """
    words = [word for word in words if word != "--debug"] or ["--help"]
    try:
        status = cli.main(words, prog_name="seqnlp", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.UsageError as error:
        if debug:
            raise
        # Processes that torchrun starts beside one another have the same words.
        if os.environ.get("LOCAL_RANK", "0") != "0":
            return 2
        context = error.ctx
        hint = f"; see {context.command_path} --help" if context is not None else ""
        return _fail(error.format_message().rstrip(".") + hint, 2)
    except (KeyboardInterrupt, click.Abort):
        if debug:
            raise
        return _fail("interrupted", 130)
    except OSError as error:
        if debug:
            raise
        return _fail(f"{error.filename or 'output'}: {error.strerror or error}", 1)
    except OtherFailedError as error:
        if debug:
            raise
        return error.exit_status
    except SeqnlpError as error:
        if debug:
            raise
        return _fail(str(error), error.exit_status)
    except Exception as error:
        if debug:
            raise
        from seqnlp.missteps import advise

        return _fail(f"unexpected {advise(error)}; --debug shows where", 1)


def _fail(message: str, status: int) -> int:
    # Where nobody reads standard error any more, the status still says it.
    with suppress(OSError):
        click.echo(f"error: {message}", err=True)
    return status


if __name__ == "__main__":
    main()
