"""The command `seqnlp-timeseries`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seqnlp.errors import InputError, SeqnlpError

if TYPE_CHECKING:
    from seqnlp import Model
    from seqnlp_timeseries.anomaly import AnomalyTask
    from seqnlp_timeseries.corpus import Part
    from seqnlp_timeseries.forecast import ForecastTask

_model = click.argument("model", type=click.Path(path_type=Path))
_file = click.argument("file", type=click.Path(path_type=Path))
_corpus = click.option("--corpus", help="Another than the model's own: series:FILE.csv.")
_series = click.option("--series", multiple=True, help="Only this series; may be given again.")
_columns = click.option("--columns", multiple=True, metavar="FIELD=COLUMN",
                        help="Columns: value, time, series, anomaly.")  # fmt: skip
_output = click.option("--output", type=click.Path(path_type=Path), help="A CSV file to write.")
_plot = click.option(
    "--plot", "picture", type=click.Path(path_type=Path), help="A picture to draw."
)


@click.group()
def command() -> None:
    """Forecasts and anomalies of saved models, beyond `seqnlp predict` and `seqnlp evaluate`."""


@command.command(short_help="Measure a forecaster from rolling origins.")
@_model
@click.option("--origins", type=click.IntRange(1), default=8, show_default=True,
              help="Moments to forecast from, the last of each series.")  # fmt: skip
@click.option("--stride", type=click.IntRange(1), help="Steps between them.  [default: horizon]")
@_corpus
@_columns
@_series
@_plot
@click.option("--json", "as_json", is_flag=True, help="All figures as one JSON object.")
def backtest(
    model: Path, origins: int, stride: int | None, corpus: str | None, columns: tuple[str, ...],
    series: tuple[str, ...], picture: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Forecast with the MODEL in a folder from several moments behind its training."""
    from seqnlp_timeseries import backtest as rolling

    loaded, task = _forecaster(model)
    parts = _parts(loaded, corpus, columns, series)
    made = rolling.backtest(task, parts, origins=origins, stride=stride, name=model.name)
    if picture is not None:
        from seqnlp_timeseries.plots import draw_forecasts

        draw_forecasts(
            made, picture, title=f"{model.name}: {origins} origins, horizon {task.plan.horizon}"
        )
    found = made.figures()
    if as_json:
        by_origin = [figures for _, figures in made.by_origin(model.name)]
        click.echo(json.dumps({"systems": found, "origins": by_origin}))
        return
    click.echo(_table("system", found))
    moments = {_moment(made.rows.parts[made.rows.series[i]], int(made.rows.origins[i])): figures
               for i, figures in made.by_origin(model.name)}  # fmt: skip
    click.echo(f"\n{model.name} by origin (as dated in the first series)")
    click.echo(_table("origin", moments))


@command.command(short_help="Forecast what follows the end of a CSV file.")
@_model
@_file
@_columns
@_series
@_output
def forecast(
    model: Path, file: Path, columns: tuple[str, ...], series: tuple[str, ...], output: Path | None
) -> None:
    """Forecast with the MODEL what comes after the last values of each series in FILE."""
    from seqnlp_timeseries.corpus import Part
    from seqnlp_timeseries.forecast_report import Forecast

    _, task = _forecaster(model)
    parts = [Part(series=part.series, first=len(part.series.values))
             for part in _read(file, columns, series, task.plan.step)]  # fmt: skip
    answers = task.answer(task.read_parts(parts), batch_size=64)
    ends = [f"{end}_{100 * level:g}" for level in task.intervals for end in ("low", "high")]
    rows = []
    for part, answer in zip(parts, answers, strict=True):
        assert isinstance(answer, Forecast)
        bounds = [end for level in answer.intervals for end in answer.interval(level)]
        for step in range(len(answer.quantiles)):
            values = [answer.median[step], *(end[step] for end in bounds)]
            rows.append(
                [part.name, _moment(part, part.first + step), *(f"{v:.6g}" for v in values)]
            )
    _write(["series", "time", "forecast", *ends], rows, output)


@command.command(short_help="Find anomalies in a CSV file.")
@_model
@_file
@_columns
@_series
@_output
@_plot
@click.option(
    "--all", "every", is_flag=True, help="All values with their scores, not anomalies alone."
)
def detect(
    model: Path, file: Path, columns: tuple[str, ...], series: tuple[str, ...], output: Path | None,
    picture: Path | None, every: bool,
) -> None:  # fmt: skip
    """Find anomalies with the MODEL in the series of FILE; a score over 1 is one."""
    from seqnlp_timeseries.anomaly_report import Alarms

    _, task = _detector(model)
    parts = _read(file, columns, series, task.plan.step)
    answers = [answer for answer in task.answer(task.read_parts(parts), batch_size=64)
               if isinstance(answer, Alarms)]  # fmt: skip
    if picture is not None:
        from seqnlp_timeseries.plots import draw_alarms

        draw_alarms(parts, answers, picture, title=f"{file.name} by {model.name}")
    rows = [
        [part.name, _moment(part, place), f"{part.series.values[place]:.6g}", f"{score:.4g}"]
        for part, answer in zip(parts, answers, strict=True)
        for place, score in enumerate(answer.scores)
        if every or score > 1
    ]
    _write(["series", "time", "value", "score"], rows, output)
    found = sum(int(answer.flags.sum()) for answer in answers)
    total = sum(len(answer.scores) for answer in answers)
    click.echo(f"{found:,} of {total:,} values are anomalous", err=True)


@command.command(short_help="Draw a model's answers to the test split.")
@_model
@click.option("--output", type=click.Path(path_type=Path), required=True, help="The picture.")
@_corpus
@_columns
@_series
def plot(
    model: Path, output: Path, corpus: str | None, columns: tuple[str, ...], series: tuple[str, ...]
) -> None:
    """Draw what the MODEL says of its test split: forecasts from all origins, or anomalies."""
    from seqnlp import load
    from seqnlp_timeseries.anomaly_report import Alarms
    from seqnlp_timeseries.backtest import backtest
    from seqnlp_timeseries.forecast import ForecastTask
    from seqnlp_timeseries.plots import draw_alarms, draw_forecasts

    loaded = load(model)
    parts = _parts(loaded, corpus, columns, series)
    task = loaded.task
    if isinstance(task, ForecastTask):
        room = min(len(part.series.values) - max(part.first, task.plan.minimum) for part in parts)
        origins = max(1, room // task.plan.horizon)
        made = backtest(task, parts, origins=origins, name=model.name)
        draw_forecasts(made, output, title=f"{model.name}: {origins} origins")
        return
    _, detector = _detector(model)
    answers = detector.answer(detector.read_parts(parts), batch_size=64)
    alarms = [answer for answer in answers if isinstance(answer, Alarms)]
    draw_alarms(parts, alarms, output, title=f"anomalies by {model.name}")


def _forecaster(folder: Path) -> tuple[Model, ForecastTask]:
    from seqnlp import load
    from seqnlp_timeseries.forecast import ForecastTask

    model = load(folder)
    if not isinstance(model.task, ForecastTask):
        raise InputError(
            f"{folder} is a model of the task {model.settings.task!r}; expected forecast"
        )
    return model, model.task


def _detector(folder: Path) -> tuple[Model, AnomalyTask]:
    from seqnlp import load
    from seqnlp_timeseries.anomaly import AnomalyTask

    model = load(folder)
    if not isinstance(model.task, AnomalyTask):
        raise InputError(
            f"{folder} is a model of the task {model.settings.task!r}; expected anomaly"
        )
    return model, model.task


def _parts(
    model: Model, corpus: str | None, columns: tuple[str, ...], series: Sequence[str]
) -> list[Part]:
    """The series of a corpus with what the model has not learned from behind `first`."""
    from seqnlp_timeseries.backtest import choose_parts
    from seqnlp_timeseries.corpus import parts_of

    opened = model.corpus(corpus, _pairs(columns))
    split = "test" if "test" in opened.splits else "validation"
    return choose_parts(parts_of(opened.split(split)), series)


def _read(file: Path, columns: tuple[str, ...], names: Sequence[str], step: str) -> list[Part]:
    from seqnlp_timeseries.backtest import choose_parts
    from seqnlp_timeseries.corpus import Part
    from seqnlp_timeseries.reader import read_series

    series, notes = read_series(file, _pairs(columns))
    for note in notes:
        click.echo(f"note: {note}", err=True)
    own = str(series[0].timeline.step)
    if own != step:
        click.echo(
            f"note: {file} has steps of {own}; the model has learned steps of {step}", err=True
        )
    return choose_parts([Part(series=each, first=0) for each in series], names)


def _pairs(columns: Sequence[str]) -> dict[str, str]:
    found = dict(each.partition("=")[::2] for each in columns)
    known = ("value", "time", "series", "anomaly")
    for field, column in found.items():
        if field not in known or not column:
            raise InputError(
                f"--columns {field}={column}: expected one of {', '.join(known)}, = and a column"
            )
    return found


def _moment(part: Part, place: int) -> str:
    """When a value is; without a clock its number, from 1."""
    return part.series.timeline.text(place)


def _write(header: Sequence[str], rows: Sequence[Sequence[str]], output: Path | None) -> None:
    import csv
    from io import StringIO

    from seqnlp.files import write_text

    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    if output is None:
        click.echo(text.getvalue(), nl=False)
    else:
        write_text(output, text.getvalue())


def _table(title: str, found: dict[str, dict[str, float]]) -> str:
    from seqnlp_timeseries.forecast_report import columns_of, rows_of

    lines = [(title, *columns_of(found)), *rows_of(found)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            c.rjust(w) if i else c.ljust(w)
            for i, (c, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def main() -> None:
    """Run the command; an error is one line and a status."""
    try:
        command(standalone_mode=False)
    except SeqnlpError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_status)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
