"""Makes the bundled parallel corpus: `python corpora/translation/make_stories.py [--check]`.

Deterministic and standard library only. Sentences are drawn one after another; what meets in one
(combinations.py) says which split it may be in. Test and validation sentences have at least one
combination that train never has, and no word that it lacks.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import english
import german
from combinations import combinations, split_of
from stories import Stories

HERE = Path(__file__).resolve().parent
SEED = 30
SIZES = {"train": 12000, "validation": 600, "test": 1000}
# What is new in the sentences of validation and test, in percent.
SHARES = {"structure": 24, "object": 36, "adjective": 40}
WORDS = (4, 16)  # fewest and most of a side


@dataclass(frozen=True, kw_only=True)
class Pair:
    """kind: of the held-out combination that it counts for; empty in train."""

    source: str
    target: str
    kind: str


def make() -> dict[str, list[Pair]]:
    """The pairs of every split, in the order in which they were drawn."""
    stories = Stories(SEED)
    # Train first: the words of the others must be in it.
    drawn: dict[str, list[Pair]] = {"train": [], "validation": [], "test": []}
    sources: set[str] = set()
    targets: set[str] = set()
    later: list[tuple[str, Pair]] = []
    known: Counter[str] = Counter()
    while any(len(pairs) < SIZES[split] for split, pairs in drawn.items()):
        meaning = stories.sentence()
        found = {
            (split_of(kind, each), kind)
            for kind, several in combinations(meaning).items()
            for each in several
        }
        splits = {split for split, _ in found} - {"train"}
        pair = Pair(source=english.sentence(meaning), target=german.sentence(meaning), kind="")
        long = [len(text.split()) for text in (pair.source, pair.target)]
        if len(splits) > 1 or not WORDS[0] <= min(long) <= max(long) <= WORDS[1]:
            continue
        if pair.source in sources or pair.target in targets:
            continue
        sources.add(pair.source)
        targets.add(pair.target)
        if not splits:
            if len(drawn["train"]) < SIZES["train"]:
                drawn["train"].append(pair)
                known.update(words_of(pair))
            continue
        (split,) = splits
        for kind in SHARES:
            if (split, kind) in found:
                later.append((split, Pair(source=pair.source, target=pair.target, kind=kind)))
                break
        if len(drawn["train"]) == SIZES["train"]:
            _choose(drawn, later, known)
            later.clear()
    return drawn


def _choose(
    drawn: dict[str, list[Pair]], later: list[tuple[str, Pair]], known: Counter[str]
) -> None:
    """Add to validation and test what they still need."""
    for split, pair in later:
        quota = SIZES[split] * SHARES[pair.kind] // 100
        there = sum(each.kind == pair.kind for each in drawn[split])
        if there < quota and all(word in known for word in words_of(pair)):
            drawn[split].append(pair)


def words_of(pair: Pair) -> set[str]:
    """The words of both sides, each with its side, as they are written."""
    sides = {"en": pair.source, "de": pair.target}
    return {f"{side}:{word}" for side, text in sides.items() for word in re.findall(r"\w+", text)}


def counts(corpus: dict[str, list[Pair]]) -> str:
    """The card's table."""
    lines = ["| | train | validation | test |", "|---|---:|---:|---:|"]
    rows: dict[str, list[str]] = {"pairs": [f"{len(pairs):,}" for pairs in corpus.values()]}
    for side, name in (("source", "English"), ("target", "German")):
        texts = [[getattr(pair, side) for pair in pairs] for pairs in corpus.values()]
        means = [[len(text.split()) for text in split] for split in texts]
        rows[f"{name} words a sentence: fewest, mean, most"] = [
            f"{min(m)}, {sum(m) / len(m):.1f}, {max(m)}" for m in means
        ]
        words = [{w.lower() for text in split for w in re.findall(r"\w+", text)} for split in texts]
        rows[f"distinct {name} words"] = [f"{len(each):,}" for each in words]
    for kind in SHARES:
        rows[f"new {kind}"] = [
            str(sum(pair.kind == kind for pair in pairs)) for pairs in corpus.values()
        ]
    lines += [f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the bundled parallel corpus.")
    parser.add_argument("--check", action="store_true", help="compare with the files, write none")
    parser.add_argument("--counts", action="store_true", help="print the card's table as well")
    options = parser.parse_args()
    corpus = make()
    differing = 0
    for split, pairs in corpus.items():
        for code, side in (("en", "source"), ("de", "target")):
            path = HERE / f"{split}.{code}"
            data = "".join(f"{getattr(pair, side)}\n" for pair in pairs).encode()
            if options.check:
                if not path.is_file() or path.read_bytes() != data:
                    what = "differs from what the script writes" if path.is_file() else "is missing"
                    print(f"{path}: {what}; run `python {Path(__file__).name}`", file=sys.stderr)
                    differing = 1
            else:
                temporary = path.with_suffix(".tmp")
                temporary.write_bytes(data)
                temporary.replace(path)
    if options.counts:
        print(counts(corpus))
    return differing


if __name__ == "__main__":
    sys.exit(main())
