"""How fast translators train and translate, side by side: seqnlp, JoeyNMT and plain PyTorch.

    python benchmarks/translation.py --joeynmt ENV/bin/python --markdown translation.md --check

All are given `multi30k_tok`, German to English, and one model: words seen twice or more, embeddings
and GRUs of 256 units, in both directions in the encoder, additive attention with input feeding, 64
sentences a batch, on one core. Every contender is a process of its own; in each round each trains
for some steps, in turn, and a ratio is the median over the rounds. Then seqnlp's weights are given
to JoeyNMT, and both translate the test split. What else is compared: the shipped recipe of
`multi30k` with plain PyTorch, a cell written in ten lines with the stock LSTM, and two threads with
one.

JoeyNMT 2.3.0 needs an environment of its own (`pip install --no-deps joeynmt==2.3.0` beside torch);
without `--joeynmt` its rows are left out. Corpora are found through SEQNLP_DATA.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from recurrence.timing import describe_machine
from translators.protocol import Answer, Contender

HERE = Path(__file__).parent
CORPUS = "multi30k_tok"
SAME = (
    "task=translation",
    f"corpus.name={CORPUS}",
    "corpus.source=de",
    "corpus.target=en",
    "text.normalizers=[]",
    "text.tokenizer=whitespace",
    "text.min_count=2",
    "text.max_tokens=100",
    "model.cell=gru",
    "model.embedding_size=256",
    "model.hidden_size=256",
    "head.tie_embeddings=false",
    "head.attention=additive",
    "head.attention_options={size=256}",
    "head.input_feeding=true",
    "head.label_smoothing=0.0",
    "train.optimizer=Adam",
    "train.optimizer_options={}",
    "train.lr=1e-3",
    "train.epochs=1000",
    "hooks.schedule=false",
    "hooks.dropout={embedding=0.3,memory=0.3,context=0.3,layer=0.0,output=0.0}",
)
"""JoeyNMT's model and training in settings of seqnlp."""

ENDLESS = ("train.epochs=1000", "hooks.schedule=false")


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A figure of one contender over that of another, and what it should be."""

    what: str
    value: float
    most: float | None = None
    least: float | None = None
    detail: str = ""

    @property
    def met(self) -> bool:
        """Whether it is as asked."""
        low = self.least is None or self.value >= self.least
        return low and (self.most is None or self.value <= self.most)

    def row(self) -> str:
        """A line of a Markdown table."""
        asked = f"at least {self.least:g}" if self.least is not None else f"at most {self.most:g}"
        return f"| {self.what} | {self.value:.2f} | {asked} | {self.detail} |"


class Bench:
    """Starts contenders and lets them take turns.

    Args:
        scratch: for their files and logs.
        steps: of training a turn.
        rounds: turns of each, after one to warm up.
        peer: the Python that has JoeyNMT, if any.
    """

    def __init__(self, scratch: Path, *, steps: int, rounds: int, peer: Path | None) -> None:
        self.scratch, self.steps, self.rounds, self.peer = scratch, steps, rounds, peer
        self.corpus = find_corpus(CORPUS)
        self._started: list[Contender] = []

    def start(self, name: str, command: Sequence[str], threads: int) -> Contender:
        """A contender on as many cores as threads, where the system can bind it to them."""
        cores = ["taskset", "-c", ",".join(map(str, range(threads)))] if threads == 1 else []
        environment = {
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
            "PYTHONPATH": str(HERE),
        }
        log = self.scratch / f"{name.replace(' ', '-')}.log"
        contender = Contender(name, [*cores, *command], environment, log)
        self._started.append(contender)
        return contender

    def seqnlp(
        self,
        name: str,
        overrides: Sequence[str] = SAME,
        *,
        recipe: Path | None = None,
        threads: int = 1,
    ) -> Contender:
        """A seqnlp task on settings of its own."""
        given = {
            "recipe": None if recipe is None else str(recipe),
            "overrides": list(overrides),
            "threads": threads,
        }
        script = str(HERE / "translators" / "peer_seqnlp.py")
        return self.start(name, [sys.executable, script, json.dumps(given)], threads)

    def plain(self) -> Contender:
        """Plain PyTorch."""
        script = str(HERE / "translators" / "peer_plain.py")
        return self.start("plain", [sys.executable, script, str(self.corpus), "1"], 1)

    def joeynmt(self, python: Path) -> Contender:
        """JoeyNMT in its own environment."""
        script = str(HERE / "translators" / "peer_joeynmt.py")
        command = [str(python), script, str(self.corpus), str(self.scratch), "1"]
        return self.start("joeynmt", command, 1)

    def race(self, contenders: Sequence[Contender], *, wall: bool = False) -> list[list[float]]:
        """Target tokens a second of each contender in each round, the first left out."""
        speeds: list[list[float]] = [[] for _ in contenders]
        for turn in range(self.rounds + 1):
            for found, contender in zip(speeds, contenders, strict=True):
                answer = contender.ask("train", steps=self.steps)
                if turn:
                    found.append(answer["tokens"] / answer["wall" if wall else "cpu"])
        return speeds

    def close(self) -> None:
        """End all contenders."""
        for contender in self._started:
            contender.close()
        self._started.clear()


def train_against_peers(bench: Bench) -> Iterator[Ratio]:
    """The same model in seqnlp, plain PyTorch and JoeyNMT, trained; then JoeyNMT's translations."""
    ours, plain = bench.seqnlp("seqnlp"), bench.plain()
    contenders = [ours, plain, *([bench.joeynmt(bench.peer)] if bench.peer else [])]
    speeds = bench.race(contenders)
    yield compare("training, over plain PyTorch", speeds[0], speeds[1], least=1.0)
    if bench.peer:
        peer = contenders[2]
        yield compare("training, over JoeyNMT", speeds[0], speeds[2], least=2.7)
        peaks = [each.ask("train", steps=1)["peak_mb"] for each in (ours, peer)]
        yield Ratio(
            what="peak memory in training, of JoeyNMT's",
            value=peaks[0] / peaks[1],
            most=0.8,
            detail=f"{peaks[0]:.0f} MB, {peaks[1]:.0f} MB",
        )
        yield from translate_against(ours, peer, bench)
    bench.close()


def translate_against(ours: Contender, peer: Contender, bench: Bench) -> Iterator[Ratio]:
    """Greedy and beam search of both with one set of weights, which have learned for a while."""
    ours.ask("train", steps=2 * 453)
    weights = str(bench.scratch / "weights.npz")
    ours.ask("save", path=weights)
    peer.ask("load", path=weights)
    for beam, least in ((1, 4.0), (5, 3.0)):
        answers: tuple[list[Answer], list[Answer]] = ([], [])
        for _ in range(3):
            for kept, contender in zip(answers, (ours, peer), strict=True):
                kept.append(contender.ask("translate", beam=beam))
        speeds = [[each["sentences"] / each["cpu"] for each in kept] for kept in answers]
        same = sum(
            one == other
            for one, other in zip(answers[0][0]["texts"], answers[1][0]["texts"], strict=True)
        )
        name = "greedy" if beam == 1 else f"beam {beam}"
        ratio = compare(f"translating, {name}, over JoeyNMT", *speeds, least=least)
        share = f"; {same} of {len(answers[0][0]['texts']):,} answers the same"
        yield replace(ratio, detail=ratio.detail + share)


def train_recipe(bench: Bench) -> Iterator[Ratio]:
    """The shipped recipe against the plain model."""
    recipe = HERE.parent / "recipes" / "multi30k.toml"
    contenders = [bench.seqnlp("recipe", ENDLESS, recipe=recipe), bench.plain()]
    speeds = bench.race(contenders)
    bench.close()
    yield compare("the recipe of multi30k in training, over plain PyTorch", *speeds, least=1.6)


def train_own_cell(bench: Bench) -> Iterator[Ratio]:
    """A cell of ten lines in place of the stock LSTM, with and without input feeding."""
    for feeding in ("true", "false"):
        settings = (*SAME, f"head.input_feeding={feeding}")
        cells = ("peephole", "lstm")
        contenders = [bench.seqnlp(cell, (*settings, f"model.cell={cell}")) for cell in cells]
        own, stock = bench.race(contenders)
        bench.close()
        name = "with" if feeding == "true" else "without"
        # A ratio of times: the stock cell's speed over the other's.
        what = f"ten-line cell, time of the LSTM's, {name} input feeding"
        yield compare(what, stock, own, most=1.1)


def train_on_two_threads(bench: Bench) -> Iterator[Ratio]:
    """Two threads over one, by wall time."""
    contenders = [bench.seqnlp("two threads", threads=2), bench.seqnlp("one thread")]
    speeds = bench.race(contenders, wall=True)
    bench.close()
    yield compare("two threads in training, over one", *speeds, least=1.6)


def compare(
    what: str,
    one: Sequence[float],
    other: Sequence[float],
    *,
    least: float | None = None,
    most: float | None = None,
) -> Ratio:
    """The median of ratios within rounds."""
    ratios = [first / second for first, second in zip(one, other, strict=True)]
    medians = statistics.median(one), statistics.median(other)
    return Ratio(
        what=what,
        value=statistics.median(ratios),
        least=least,
        most=most,
        detail=f"{medians[0]:,.0f}, {medians[1]:,.0f} a second",
    )


def find_corpus(name: str) -> Path:
    """The folder of a corpus on SEQNLP_DATA.

    Raises:
        SystemExit: it is not there.
    """
    for root in os.environ.get("SEQNLP_DATA", "").split(os.pathsep):
        if root and (Path(root) / name).is_dir():
            return Path(root) / name
    raise SystemExit(f"SEQNLP_DATA names no folder with {name}")


def main() -> int:
    """Run the benchmark; status 1 where `--check` finds a figure that is not as asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--joeynmt", type=Path, help="the Python of an environment with JoeyNMT")
    parser.add_argument("--cases", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--steps", type=int, default=25, help="of training a turn")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each contender")
    parser.add_argument("--markdown", type=Path, help="a file for the table")
    parser.add_argument("--check", action="store_true", help="fail where a figure is not as asked")
    given = parser.parse_args()
    found: list[Ratio] = []
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(Path(scratch), steps=given.steps, rounds=given.rounds, peer=given.joeynmt)
        try:
            for case in given.cases:
                for ratio in CASES[case](bench):
                    print(ratio.row(), flush=True)
                    found.append(ratio)
        finally:
            bench.close()
    head = ["| what | ratio | asked | speeds |", "|---|---|---|---|"]
    machine = "; ".join(f"{name} {value}" for name, value in describe_machine().items())
    table = "\n".join([machine, "", *head, *(ratio.row() for ratio in found)])
    if given.markdown:
        given.markdown.write_text(table + "\n", encoding="utf-8")
    return int(given.check and not all(ratio.met for ratio in found))


CASES: dict[str, Callable[[Bench], Iterator[Ratio]]] = {
    "peers": train_against_peers,
    "recipe": train_recipe,
    "cells": train_own_cell,
    "threads": train_on_two_threads,
}

if __name__ == "__main__":
    sys.exit(main())
