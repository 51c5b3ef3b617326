"""`seqnlp-speech`: what the toolkit's own commands have no place for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqnlp.errors import InputError, SeqnlpError
from seqnlp_speech.options import SearchOptions

if TYPE_CHECKING:
    from seqnlp import Model
    from seqnlp_speech.task import SpeechTask

MODEL = click.argument("model", type=click.Path(path_type=Path))


class Commands(click.Group):
    """Shows what goes wrong in a line, like the toolkit's own."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SeqnlpError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(error.exit_status)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Speech for seqnlp: make a corpus, measure searches, see peaks, listen."""


@main.command()
@click.argument("kind", type=click.Choice(["digits", "commands"]))
@click.option("--output", type=click.Path(path_type=Path), required=True, help="A new folder.")
@click.option("--utterances", type=int, default=3000, show_default=True, help="Of train.")
@click.option("--voices", type=int, default=40, show_default=True, help="In train.")
@click.option(
    "--held-out", type=int, default=12, show_default=True, help="In validation and test, each."
)
@click.option("--most-words", type=int, default=6, show_default=True, help="Digits at a time.")
@click.option(
    "--noise", metavar="LOW:HIGH", help="Add noise, its signal-to-noise ratio drawn from this, dB."
)
@click.option("--rate", type=int, default=16_000, show_default=True, help="Samples a second.")
@click.option("--seed", type=int, default=0, show_default=True)
def make(kind: str, output: Path, noise: str | None, **options: int) -> None:
    """Make a corpus of KIND by eSpeak NG, in voices of which none is in two splits."""
    from seqnlp_speech.espeak import open_synthesizer
    from seqnlp_speech.making import Plan, make_corpus, total

    plan = Plan(kind=kind, noise=None if noise is None else _ratios(noise), **options)
    with (
        open_synthesizer() as speak,
        click.progressbar(length=total(plan), label="speaking", file=sys.stderr) as bar,
    ):
        manifest = make_corpus(plan, output, speak, advance=bar.update)
    click.echo(f"{total(plan):,} utterances in {manifest}; try next:")
    click.echo(f"  seqnlp train --task speech --corpus speech:{manifest}")


@main.command()
@MODEL
@click.option("--split", default="test", show_default=True)
@click.option("--corpus", help="Another corpus than the model's own: speech:manifest.tsv.")
@click.option("--beam-size", type=click.IntRange(1), help="Prefixes; 1 and more search a beam.")
@click.option("--lm-weight", type=click.FloatRange(0), default=0.0, show_default=True)
@click.option("--symbol-bonus", type=float, default=0.0, show_default=True)
def evaluate(
    model: Path,
    split: str,
    corpus: str | None,
    beam_size: int | None,
    lm_weight: float,
    symbol_bonus: float,
) -> None:
    """Error rates of a MODEL with another search than it was trained with."""
    import time

    loaded, task = _load(model)
    if beam_size is not None:
        task.search = SearchOptions(
            method="beam", beam_size=beam_size, lm_weight=lm_weight, symbol_bonus=symbol_bonus
        )
    elif lm_weight or symbol_bonus:
        raise InputError("a language model and a bonus are for a beam: give --beam-size too")
    chosen = loaded.corpus(corpus)
    started = time.perf_counter()
    report = loaded.evaluate(chosen, split)
    seconds = time.perf_counter() - started
    for name in ("cer", "wer"):
        figure = report[name]
        low, high = 100 * figure["low"], 100 * figure["high"]
        click.echo(f"{figure['name']} {100 * figure['value']:.2f} % [{low:.2f}, {high:.2f}]")
    click.echo(
        f"{100 * report['right']:.1f} % of {report['examples']:,} utterances without an error, "
        f"in {seconds:.1f} s"
    )


@main.command()
@MODEL
@click.argument("sound", type=click.Path(path_type=Path))
@click.option("--plot", type=click.Path(path_type=Path), help="Draw them into a PNG or SVG.")
def peaks(model: Path, sound: Path, plot: Path | None) -> None:
    """Where in a SOUND a MODEL hears each symbol of its answer."""
    from seqnlp_speech.answering import peaks_of

    loaded, task = _load(model)
    answer = loaded(str(sound))
    for symbol, second in peaks_of(answer):
        click.echo(f"{second:8.3f}\t{symbol}")
    if plot is not None:
        from seqnlp_speech.plotting import draw_peaks

        draw_peaks(task, sound, plot)


@main.command()
@MODEL
@click.option("--rate", type=click.IntRange(1000), default=16_000, show_default=True)
@click.option("--chunk", type=click.FloatRange(0.02, 10), default=0.2, show_default=True)
@click.option(
    "--pause", type=click.FloatRange(0.1), default=0.8, show_default=True,
    help="Seconds of silence that end a text.",
)  # fmt: skip
def listen(model: Path, rate: int, chunk: float, pause: float) -> None:
    """Write down what a MODEL hears on standard input while it arrives.

    The sound is 16-bit samples of one channel. The model reads in one direction.

    \b
    arecord -t raw -f S16_LE -r 16000 | seqnlp-speech listen runs/digits
    """  # noqa: D301 - \b keeps the line apart
    from seqnlp_speech.listening import transcribe

    _, task = _load(model)
    terminal = sys.stdout.isatty()
    before = ""
    for text, ended in transcribe(task, sys.stdin.buffer, rate=rate, chunk=chunk, pause=pause):
        if terminal:
            click.echo(f"\r{text.ljust(len(before))}", nl=ended)
        elif ended:
            click.echo(text)
        before = "" if ended else text


def _load(folder: Path) -> tuple[Model, SpeechTask]:
    import seqnlp
    from seqnlp_speech.task import SpeechTask

    loaded = seqnlp.load(folder)
    if not isinstance(loaded.task, SpeechTask):
        raise InputError(
            f"{folder} is a model of the task {loaded.settings.task!r}; expected one of 'speech'"
        )
    return loaded, loaded.task


def _ratios(text: str) -> tuple[float, float]:
    low, colon, high = text.partition(":")
    try:
        return float(low), float(high if colon else low)
    except ValueError as error:
        raise InputError(f"--noise {text}: expected LOW:HIGH in dB, such as 10:30") from error
