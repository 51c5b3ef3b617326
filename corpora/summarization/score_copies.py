"""Which unseen names and numbers a model copied right: the card's table.

`python corpora/summarization/score_copies.py ANSWERS [--split test]`: ANSWERS has a headline a line
for each report of the split, in its order. A word of a headline that no text of train has, in any
case, is a name or a number that could only be copied. Those of an answer, the first as many as the
summary has, are right where they stand in the summary's order (the longest common subsequence): of
two names in each other's place one counts. Standard library only.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from make_reports import words_of

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, kw_only=True)
class Copied:
    """names, numbers: unseen ones in summaries, and how many of them are right in the answers.
    exact: how many answers are their summaries, in any case.
    """

    answers: int
    names: tuple[int, int]
    numbers: tuple[int, int]
    exact: int

    @property
    def share(self) -> float:
        """Of all unseen names and numbers, the share that is right."""
        there, right = (a + b for a, b in zip(self.names, self.numbers, strict=True))
        return right / max(1, there)


def score(answers: Iterable[str], summaries: Iterable[str], known: frozenset[str]) -> Copied:
    """Count what was copied right.

    Args:
        known: the words of train, in lower case.
    """
    totals = {kind: [0, 0] for kind in (False, True)}  # whether a number: there, right
    rows = exact = 0
    for answer, summary in zip(answers, summaries, strict=True):
        wanted, found = (
            [w for w in words_of(text) if w not in known] for text in (summary, answer)
        )
        right = common(wanted, found[: len(wanted)])
        for words, place in ((wanted, 0), (right, 1)):
            for word in words:
                totals[word[0].isdigit()][place] += 1
        rows += 1
        exact += words_of(answer) == words_of(summary)
    (names, named), (numbers, numbered) = totals[False], totals[True]
    return Copied(answers=rows, names=(names, named), numbers=(numbers, numbered), exact=exact)


def common(wanted: Sequence[str], found: Sequence[str]) -> list[str]:
    """The longest common subsequence.

    >>> common(["tresby", "marlock", "4,210"], ["marlock", "tresby", "4,210"])
    ['marlock', '4,210']
    """
    best: list[list[list[str]]] = [
        [[] for _ in range(len(found) + 1)] for _ in range(len(wanted) + 1)
    ]
    for i, one in enumerate(wanted):
        for j, other in enumerate(found):
            longer = max(best[i][j + 1], best[i + 1][j], key=len)
            best[i + 1][j + 1] = [*best[i][j], one] if one == other else longer
    return best[-1][-1]


def read(split: str, column: int) -> list[str]:
    """A column of a split."""
    lines = (HERE / f"{split}.tsv").read_text(encoding="utf-8").splitlines()
    return [line.split("\t")[column] for line in lines[1:]]


def known_words() -> frozenset[str]:
    """The words of train, in lower case."""
    return frozenset(
        w for column in (0, 1) for text in read("train", column) for w in words_of(text)
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Score what was copied of a bundled report.")
    parser.add_argument("answers", type=Path, help="a headline a line; - is the standard input")
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    options = parser.parse_args()
    try:
        text = (
            sys.stdin.read() if str(options.answers) == "-" else options.answers.read_text("utf-8")
        )
    except OSError as error:
        print(f"cannot read {options.answers}: {error.strerror}", file=sys.stderr)
        return 2
    answers = text.removesuffix("\n").split("\n")
    summaries = read(options.split, 1)
    if len(answers) != len(summaries):
        print(
            f"{options.answers} has {len(answers):,} lines; expected {len(summaries):,}, one for "
            f"each report of {options.split}",
            file=sys.stderr,
        )
        return 2
    found = score(answers, summaries, known_words())
    print(f"unseen names and numbers copied right: {100 * found.share:.1f} %")
    for name, (there, right) in (("names", found.names), ("numbers", found.numbers)):
        print(f"{name}: {right:,} of {there:,}, {100 * right / max(1, there):.1f} %")
    print(f"headlines word by word: {found.exact:,} of {found.answers:,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
