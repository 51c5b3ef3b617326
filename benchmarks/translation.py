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
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from translators.protocol import Answer, Contender
from translators.race import Bench, Ratio, compare, find_corpus, table_of

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


class Race(Bench):
    """With the peers of translation.

    Args:
        peer: the Python that has JoeyNMT, if any.
        scratch, steps, rounds: see `Bench`.
    """

    def __init__(self, scratch: Path, *, peer: Path | None, steps: int, rounds: int) -> None:
        super().__init__(scratch, steps=steps, rounds=rounds)
        self.peer, self.corpus = peer, find_corpus(CORPUS)

    def plain(self) -> Contender:
        """Plain PyTorch."""
        script = str(HERE / "translators" / "peer_plain.py")
        return self.start("plain", [sys.executable, script, str(self.corpus), "1"], 1)

    def joeynmt(self, python: Path) -> Contender:
        """JoeyNMT in its own environment."""
        script = str(HERE / "translators" / "peer_joeynmt.py")
        command = [str(python), script, str(self.corpus), str(self.scratch), "1"]
        return self.start("joeynmt", command, 1)


def train_against_peers(bench: Race) -> Iterator[Ratio]:
    """The same model in seqnlp, plain PyTorch and JoeyNMT, trained; then JoeyNMT's translations."""
    ours, plain = bench.seqnlp("seqnlp", SAME), bench.plain()
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


def translate_against(ours: Contender, peer: Contender, bench: Race) -> Iterator[Ratio]:
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


def train_recipe(bench: Race) -> Iterator[Ratio]:
    """The shipped recipe against the plain model."""
    recipe = HERE.parent / "recipes" / "multi30k.toml"
    contenders = [bench.seqnlp("recipe", ENDLESS, recipe=recipe), bench.plain()]
    speeds = bench.race(contenders)
    bench.close()
    yield compare("the recipe of multi30k in training, over plain PyTorch", *speeds, least=1.6)


def train_own_cell(bench: Race) -> Iterator[Ratio]:
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


def train_on_two_threads(bench: Race) -> Iterator[Ratio]:
    """Two threads over one, by wall time."""
    contenders = [bench.seqnlp("two threads", SAME, threads=2), bench.seqnlp("one thread", SAME)]
    speeds = bench.race(contenders, wall=True)
    bench.close()
    yield compare("two threads in training, over one", *speeds, least=1.6)


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
        bench = Race(Path(scratch), steps=given.steps, rounds=given.rounds, peer=given.joeynmt)
        try:
            for case in given.cases:
                for ratio in CASES[case](bench):
                    print(ratio.row(), flush=True)
                    found.append(ratio)
        finally:
            bench.close()
    if given.markdown:
        given.markdown.write_text(table_of(found), encoding="utf-8")
    return int(given.check and not all(ratio.met for ratio in found))


CASES: dict[str, Callable[[Race], Iterator[Ratio]]] = {
    "peers": train_against_peers,
    "recipe": train_recipe,
    "cells": train_own_cell,
    "threads": train_on_two_threads,
}

if __name__ == "__main__":
    sys.exit(main())
