"""What copying costs a summarizer: time of training, and memory as words become unknown.

    python benchmarks/summarization.py --markdown summarization.md --check

One model on `aeslc`, e-mails to their subject lines: a joint vocabulary of which the words of
subjects are generated, 128 units in each direction of an LSTM, another LSTM with "general"
attention, 32 documents of up to 150 tokens a batch, on one core. Every contender is a process of
its own; in each round each trains for some steps, in turn, on the same batches, and a ratio is the
median over the rounds, in CPU time.

For memory, a share of the words of each document is replaced by words that occur nowhere else: up
to one that has no word left which the model knows. The vocabulary stays as it was. What is measured
is the most memory that a process ever held, of which most is the libraries': so its growth in
training is given, too. What grows are tables of the corpus, by some hundred bytes for each distinct
word, and the same share varies by 3 % from run to run.

Corpora are found through SEQNLP_DATA; `--corpus` names another, such as the bundled `reports`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from translators.protocol import Contender
from translators.race import Bench, Ratio, compare, table_of

MODEL = (
    "task=summarization",
    "text.tokenizer=regex",
    "text.max_tokens=150",
    "text.min_count=3",
    "model.cell=lstm",
    "model.embedding_size=128",
    "model.hidden_size=128",
    "head.joint=true",
    "head.outputs=targets",
    "head.tie_all=true",
    "head.attention=general",
    "head.input_feeding=false",
    "head.decoder_layers_after=0",
    "head.copying=true",
    "head.coverage_loss=0.0",
    "train.batch_size=32",
    "train.epochs=1000",
    "hooks.schedule=false",
)


def train_with_copying(bench: Bench, given: argparse.Namespace) -> Iterator[Ratio]:
    """The time of training without copying, with it, and with coverage as well."""
    sides = {
        "generating": "head.copying=false",
        "copying": "head.copying=true",
        "coverage": "head.coverage_loss=1.0",
    }
    contenders = [start(bench, name, given.corpus, changed) for name, changed in sides.items()]
    plain, *others = bench.race(contenders, unit="steps")
    bench.close()
    for name, most, speeds in zip(
        ("copying", "copying and coverage"), (1.08, 1.35), others, strict=True
    ):
        # A ratio of times: the plain one's speed over the other's.
        yield compare(f"training with {name}, over without", plain, speeds, most=most, unit="steps")


def remember_unknown_words(bench: Bench, given: argparse.Namespace) -> Iterator[Ratio]:
    """Peak memory in training, over that with the first share of unknown words, which is none."""
    steps = bench.steps * (bench.rounds + 1)
    first: list[float] = []
    for share in given.shares:
        contender = start(bench, f"unknown {share:g}", given.corpus, unknown=share)
        ready = contender.ask("count")["peak_mb"]
        peak = contender.ask("train", steps=steps)["peak_mb"]
        grown = peak - ready
        bench.close()
        first = first or [peak, grown]
        detail = f"{peak:.0f} MB, of which {grown:.0f} in training"
        if share:
            yield Ratio(
                what=f"peak memory with {share:.0%} of words unknown, over none",
                value=peak / first[0],
                most=1.1,
                detail=f"{detail}; without {first[0]:.0f} and {first[1]:.0f}",
            )


def start(
    bench: Bench, name: str, corpus: str, *changed: str, unknown: float | None = None
) -> Contender:
    """The model, some of its settings changed."""
    return bench.seqnlp(name, (*MODEL, f"corpus.name={corpus}", *changed), unknown=unknown)


def main() -> int:
    """Run the benchmark; status 1 where `--check` finds a figure that is not as asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--corpus", default="aeslc")
    parser.add_argument("--cases", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--steps", type=int, default=20, help="of training a turn")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each contender")
    parser.add_argument(
        "--shares", nargs="*", type=float, default=[0.0, 0.1, 0.3, 1.0], help="of unknown words"
    )
    parser.add_argument("--markdown", type=Path, help="a file for the table")
    parser.add_argument("--check", action="store_true", help="fail where a figure is not as asked")
    given = parser.parse_args()
    found: list[Ratio] = []
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(Path(scratch), steps=given.steps, rounds=given.rounds)
        try:
            for case in given.cases:
                for ratio in CASES[case](bench, given):
                    print(ratio.row(), flush=True)
                    found.append(ratio)
        finally:
            bench.close()
    if given.markdown:
        given.markdown.write_text(table_of(found), encoding="utf-8")
    return int(given.check and not all(ratio.met for ratio in found))


CASES: dict[str, Callable[[Bench, argparse.Namespace], Iterator[Ratio]]] = {
    "time": train_with_copying,
    "memory": remember_unknown_words,
}

if __name__ == "__main__":
    sys.exit(main())
