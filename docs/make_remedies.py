"""Trains what docs/remedies.md shows, and writes the page, its plots and their figures.

python docs/make_remedies.py             trains all, some 15 minutes on one core, and draws
python docs/make_remedies.py clipping    trains what one remedy shows, and draws
python docs/make_remedies.py --draw      draws from the figures in docs/remedies/figures.json

It needs matplotlib, and for the external memory the package in plugins/seqnlp-memory.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from matplotlib import rc_context
from remedy_runs import HEAD, PROBLEMS, REMEDIES, Case, Remedy, flags_of

import seqnlp
from seqnlp.data import open_corpus
from seqnlp.diagnosis import diagnose
from seqnlp.errors import TrainingError, suggest
from seqnlp.files import write_text
from seqnlp.plotting import COLORS, new_figure, svg_of, tidy
from seqnlp.registry import tasks

HERE = Path(__file__).parent
FIGURES = HERE / "remedies" / "figures.json"
SEEDS = (0, 1)
NAMES = [each.name for each in REMEDIES]
FEW = 2000
"""Training texts of the small sentiment corpus: so few that a network learns them by heart."""

Run = dict[str, Any]
"""epochs: the records of the training. carry: what the recurrence carries back. seconds: of a
processor, with opening and measuring. error: why it failed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--draw", action="store_true", help="train nothing")
    given = parser.parse_args()
    for name in given.names:
        if name not in NAMES:
            parser.error(f"no remedy {name!r}; {suggest(name, NAMES)}")
    runs: dict[str, Run] = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    if not given.draw:
        chosen = [each for each in REMEDIES if not given.names or each.name in given.names]
        train_all(chosen, runs, afresh=bool(given.names))
    for remedy in REMEDIES:
        draw(remedy, runs, HERE / "remedies" / f"{remedy.name}.svg")
    write_text(HERE / "remedies.md", page(runs))


def train_all(remedies: Iterable[Remedy], runs: dict[str, Run], *, afresh: bool) -> None:
    """Add the runs that are missing, and write them as they come."""
    every = {key_of(each, case, seed) for each in REMEDIES for case in each.cases for seed in SEEDS}
    for key in runs.keys() - every:
        del runs[key]
    done = set[str]()
    # Seed after seed, so that what is broken off has something of each.
    wanted = [
        (seed, remedy, case) for seed in SEEDS for remedy in remedies for case in remedy.cases
    ]
    with TemporaryDirectory() as folder:
        few = write_few(Path(folder) / "few")
        for seed, remedy, case in wanted:
            key = key_of(remedy, case, seed)
            if seed in SEEDS[remedy.seeds :] or key in done or (key in runs and not afresh):
                continue
            done.add(key)
            runs[key] = train(remedy, case, seed, few)
            last = runs[key]["epochs"][-1:] or [runs[key]["error"]]
            print(f"{key}: {last[0]}", file=sys.stderr, flush=True)
            text = json.dumps(dict(sorted(runs.items())))
            write_text(FIGURES, text.replace('}, "', '},\n"') + "\n")


def key_of(remedy: Remedy, case: Case, seed: int) -> str:
    """What a run is known by: remedies share those of the same settings."""
    return " ".join([remedy.problem, *case.sets, f"seed={seed}"])


def write_few(folder: Path) -> Path:
    """The bundled reviews with the first texts of train alone."""
    folder.mkdir()
    for split in ("train", "validation", "test"):
        lines = (HERE.parent / "corpora" / "sentiment" / f"{split}.tsv").read_text().splitlines()
        kept = lines[: FEW + 1] if split == "train" else lines
        (folder / f"{split}.tsv").write_text("\n".join(kept) + "\n")
    return folder


def train(remedy: Remedy, case: Case, seed: int, few: Path) -> Run:
    problem = PROBLEMS[remedy.problem]
    task = tasks.get(problem.task)
    name = problem.corpus.replace("FEW", str(few))
    overrides = [f"task={problem.task}", f"corpus.name={name}", "threads=1", f"seed={seed}"]
    settings = seqnlp.load_settings(
        overrides=[*overrides, *problem.sets, *case.sets], base=task.defaults
    )
    started = time.process_time()
    try:
        model = seqnlp.train(settings)
    except TrainingError as error:
        return {"epochs": [], "carry": [], "seconds": 0.0, "error": str(error)}
    seconds = time.process_time() - started
    course = model.metrics["training"][0]["epochs"]
    figures = ("train_loss", *task.figures)
    epochs = [
        {name: float(f"{each[name]:.4g}") for name in figures if name in each} for each in course
    ]
    carry: list[float] = []
    if problem.carries and seed == 0:
        corpus = open_corpus(name, fields=task.fields, seed=seed)
        found = diagnose(model, corpus, split="validation", examples=16)
        carry = [float(f"{each:.3g}") for each in found.layers[0].flow.carry]
    return {"epochs": epochs, "carry": carry, "seconds": round(seconds, 1), "error": ""}


def found(remedy: Remedy, case: Case, runs: Mapping[str, Run]) -> list[Run]:
    keys = [key_of(remedy, case, seed) for seed in SEEDS[: remedy.seeds]]
    return [runs[key] for key in keys if key in runs]


def draw(remedy: Remedy, runs: Mapping[str, Run], path: Path) -> None:
    """Left the course of a figure, medians over seeds in a band of all; right what else is seen."""
    problem = PROBLEMS[remedy.problem]
    figure = new_figure(7.2, 2.5)
    left, right = figure.subplots(1, 2)
    for case, color in zip(remedy.cases, COLORS, strict=False):
        made = found(remedy, case, runs)
        curves(left, made, problem.figure, color, case.label)
        if problem.carries:
            carried: list[float] = next((run["carry"] for run in made if run["carry"]), [])
            right.plot(range(len(carried)), [max(each, 1e-12) for each in carried], color=color)
        else:
            curves(right, made, problem.beside, color, "")
    tidy(left, x="epoch", y=f"validation {problem.figure_name}")
    left.legend(fontsize=7, frameon=False)
    scale(left, problem.scale)
    if problem.carries:
        tidy(right, x="steps back from the end", y="gradient carried")
        scale(right, "log")
    else:
        tidy(right, x="epoch", y=problem.beside_name)
        scale(right, problem.beside_scale)
    # Letters as text, where outlines would make most of the file.
    with rc_context({"svg.fonttype": "none"}):
        write_text(path, re.sub(r"\n +", "\n", svg_of(figure)))


def scale(axes: Any, name: str) -> None:
    """A logarithmic axis of whole decades, for fewer than one has no number on it."""
    if name != "log":
        return
    axes.set_yscale("log")
    low, high = (math.log10(end) for end in axes.get_ylim())
    axes.set_ylim(10 ** math.floor(low), 10 ** math.ceil(high))
    axes.minorticks_off()


def curves(axes: Any, made: Sequence[Run], name: str, color: str, label: str) -> None:
    courses = [[each[name] for each in run["epochs"]] for run in made if run["epochs"]]
    if not courses:
        axes.plot([], [], color=color, label=f"{label}: fails" if label else "")
        return
    steps = range(1, 1 + min(map(len, courses)))
    columns = list(zip(*courses, strict=False))
    axes.plot(steps, [statistics.median(each) for each in columns], color=color, label=label)
    if len(courses) > 1:
        axes.fill_between(steps, list(map(min, columns)), list(map(max, columns)), color=color,
                      alpha=0.15, linewidth=0)  # fmt: skip


def page(runs: Mapping[str, Run]) -> str:
    parts = [HEAD.format(seeds=", ".join(map(str, SEEDS)), few=FEW)]
    for remedy in REMEDIES:
        parts.append(f"## {remedy.title}\n\n{remedy.text.strip()}\n")
        parts.append(table(remedy, runs))
        parts.append(f"![{remedy.title}](remedies/{remedy.name}.svg)\n")
    return "\n".join(parts)


def table(remedy: Remedy, runs: Mapping[str, Run]) -> str:
    """What is typed, and the figures of the best epoch: median over seeds, least and most."""
    problem = PROBLEMS[remedy.problem]
    names = [f"{name} {unit}".strip() for _, name, unit, _ in problem.columns]
    lines = [
        f"{problem.told}{'' if remedy.seeds > 1 else ' Of seed 0 alone.'}\n",
        f"| | type | {' | '.join(names)} |",
        "|---|---" + "|---" * len(names) + "|",
    ]
    for case in remedy.cases:
        made = [run for run in found(remedy, case, runs) if run["epochs"]]
        cells = [told(made, figure, digits) for figure, _, _, digits in problem.columns]
        typed = flags_of(case)
        lines.append(f"| {case.label} | {typed} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def told(made: Sequence[Run], figure: str, digits: Callable[[float], str]) -> str:
    if not made:
        return "fails"
    values = [value_of(run, figure) for run in made]
    middle = digits(statistics.median(values))
    if len(values) == 1 or digits(min(values)) == digits(max(values)):
        return middle
    return f"{middle} ({digits(min(values))} to {digits(max(values))})"


def value_of(run: Run, figure: str) -> float:
    """A figure of the best epoch; of the last, where its name ends with "last"."""
    name, _, which = figure.partition(" ")
    if name == "seconds":
        return float(run["seconds"])
    best = min(run["epochs"], key=lambda each: each["loss"])
    return float((run["epochs"][-1] if which == "last" else best)[name])


if __name__ == "__main__":
    main()
