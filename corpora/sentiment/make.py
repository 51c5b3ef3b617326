"""Makes the bundled sentiment corpus: `python corpora/sentiment/make.py [--check]`.

Deterministic and standard library only. Rows come in balanced sets (see grammar.py); a set stays
in one split, so that minimal pairs never straddle two. Only `Random.random()` is drawn from, the
one method whose sequence Python guarantees across versions.
"""

from __future__ import annotations

import argparse
import re
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TypeVar

from domains import ANYWHERE, DOMAINS, Domain
from grammar import (
    DEGREES,
    FRAMES,
    Flip,
    Frame,
    Plain,
    Slots,
    Swap,
    clause,
    clauses,
    fill,
    sentences,
    subject,
    template,
)
from lexicon import (
    ADJECTIVES,
    COMPANY,
    COUNTS,
    DAYS,
    FEELINGS,
    MONTHS,
    NOUNS,
    OPENINGS,
    PAST,
    PEOPLE,
    UNGRADED,
    VERBS,
)

HERE = Path(__file__).resolve().parent
SEED = 20
SIZES = {"train": 4000, "validation": 500, "test": 1000}
# Shares of the rows, in percent: each a multiple of 4, as the largest set has four rows.
SHARES = {"plain": 28, "negation": 16, "scope": 16, "contrast": 8, "comparison": 12,
          "expectation": 8, "change": 8, "perspective": 4}  # fmt: skip
WORDS = (5, 35)  # fewest and most words of a row
LABELS = ("negative", "positive")
NOVEL = "^"  # trails an adjective that is held out for its noun, until the row is written

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Row:
    label: str
    text: str
    phenomenon: str
    novel: bool  # holds a noun-adjective pair that train and validation never hold


def held_out(noun: str, adjective: str) -> bool:
    """Whether a pair is kept for the test split: about one in six."""
    return zlib.crc32(f"{noun}|{adjective}".encode()) % 6 == 0


class Writer:
    """Fills frames with words drawn from one seeded stream, for one split at a time."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.seen: set[str] = set()
        self.known: set[str] = set()  # the words of train

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self.random.random() * len(options))]

    def pick_two(self, options: Sequence[T]) -> tuple[T, T]:
        first = self.pick(options)
        return first, self.pick([option for option in options if option != first])

    def shuffle(self, items: Sequence[T]) -> list[T]:
        keys = [self.random.random() for _ in items]
        return [items[i] for i in sorted(range(len(items)), key=keys.__getitem__)]

    def write_split(self, split: str, size: int) -> list[Row]:
        """Whole sets until every phenomenon has its share of `size`, shuffled."""
        rows: list[Row] = []
        for phenomenon, share in SHARES.items():
            quota, made, queue = size * share // 100, 0, list[Frame]()
            while made < quota:
                queue = queue or self.shuffle(FRAMES[phenomenon])
                texts = self.write_set(queue.pop(), positive=made % 2 == 0, split=split)
                fits = all(WORDS[0] <= len(text.split()) <= WORDS[1] for text, _ in texts)
                keys = {text.lower().replace(NOVEL, "") for text, _ in texts}
                # A set must fill the quota exactly, so that each phenomenon stays balanced.
                if not fits or len(keys) < len(texts) or keys & self.seen:
                    continue
                words = {word for key in keys for word in words_of(key)}
                if made + len(texts) > quota or (split != "train" and not words <= self.known):
                    continue
                self.seen |= keys
                made += len(texts)
                rows += [
                    Row(
                        label=LABELS[good],
                        text=text.replace(NOVEL, ""),
                        phenomenon=phenomenon,
                        novel=NOVEL in text,
                    )
                    for text, good in texts
                ]
        if split == "train":
            self.known = {word for row in rows for word in words_of(row.text)}
        return self.shuffle(rows)

    def write_set(self, frame: Frame, *, positive: bool, split: str) -> list[tuple[str, bool]]:
        """The (text, is positive) rows of one frame in one domain."""
        domain = self.pick(DOMAINS)
        if isinstance(frame, Swap) and frame.lasting and not domain.lasting:
            domain = self.pick([other for other in DOMAINS if other.lasting])
        common, good, bad = self.draw(domain, frame, split)
        before, after = self.surround(domain)
        out: list[tuple[str, bool]] = []
        if isinstance(frame, Plain):
            out = [(fill(frame.text, common | (good if positive else bad)), positive)]
        elif isinstance(frame, Swap):
            for decides, other, label in ((good, bad, True), (bad, good, False)):
                slots = {f"d{k[1:]}": v for k, v in decides.items() if k[0] == "a"}
                slots |= {f"o{k[1:]}": v for k, v in other.items() if k[0] == "a"}
                out.append((fill(frame.text, common | slots | clauses(common, label)), label))
        elif isinstance(frame, Flip):
            degrees = {name: (self.pick(a), self.pick(b)) for name, (a, b) in DEGREES.items()}
            for side, text in enumerate((frame.straight, frame.turned)):
                slots = common | {name: pair[side] for name, pair in degrees.items()}
                out.append((fill(text, slots | good), side == 0))
                out.append((fill(text, slots | bad), side == 1))
        else:
            words = common | {"p": good["a"], "n": bad["a"], "pn": good["an"], "nn": bad["an"]}
            ends = common["item"], common["rival"]
            for text, favors in ((frame.favors, True), (frame.against, False)):
                for this, that, label in ((*ends, favors), (*ends[::-1], not favors)):
                    out.append((fill(text, words | {"this": this, "that": that}), label))
        return [(sentences(f"{before} {text} {after}"), label) for text, label in out]

    def draw(self, domain: Domain, frame: Frame, split: str) -> tuple[Slots, Slots, Slots]:
        """Words shared by the rows of a set, positive ones and negative ones."""
        text = template(frame)
        graded = re.search(r"(more|less) \{[dopn]\}", text) is not None
        aspects = domain.aspects
        of_item = "{S}" not in text
        first, second = self.pick_two(list(aspects))
        item = self.pick(list(domain.items))
        noun = item if of_item else first
        fits = domain.items[item] if of_item else aspects[first]
        # Half of the test sets must be novel; the others draw from everything.
        wants = split == "test" and self.random.random() < 0.5
        good, good2 = self.adjectives(noun, fits, 0, graded, split, wants)
        bad, bad2 = self.adjectives(noun, fits, 1, graded, split, wants)
        m_good, _ = self.adjectives(first, aspects[first], 0, False, split, wants)
        m_bad, _ = self.adjectives(first, aspects[first], 1, False, split, wants)
        n_good, _ = self.adjectives(second, aspects[second], 0, False, split, False)
        n_bad, _ = self.adjectives(second, aspects[second], 1, False, split, False)
        common = subject(first, self.pick(domain.tenses)) | {
            "X": f"{self.pick(('the', 'this'))} {item}",
            "item": f"this {item}",
            "rival": self.pick(domain.rivals),
            "who": self.pick(domain.who),
            "span": self.pick(domain.span),
            "rel": self.pick(domain.relative),
            "P": self.pick(PEOPLE),
        }
        aside = self.pick(domain.asides)
        common |= {"aside": aside.replace("{no}", ""), "aside_not": aside.replace("{no}", " not")}
        common |= self.details()
        tense = "past" if common["was"] in ("was", "were") else "present"
        for key, name, pos, neg in (("1", first, m_good, m_bad), ("2", second, n_good, n_bad)):
            about = subject(name, tense)
            common |= {f"noun{key}": about["S"], f"bare{key}": about["S"][4:],
                       f"was{key}": about["was"], f"good{key}": pos, f"bad{key}": neg}  # fmt: skip
        sides = []
        for side, one, two in ((0, good, good2), (1, bad, bad2)):
            words = {"a": one, "b": two, "an": self.pick(NOUNS[side]),
                     "av": self.pick(VERBS[side]), "ap": self.pick(PAST[side]),
                     "af": self.pick(FEELINGS[side])}  # fmt: skip
            quality = ("good", "bad")[side]
            words |= clause("M", common, "1", quality) | clause("N", common, "2", quality)
            sides.append(words)
        return common, sides[0], sides[1]

    def adjectives(
        self, noun: str, fits: str, side: int, graded: bool, split: str, wants: bool
    ) -> tuple[str, str]:
        """Two adjectives that fit `noun`; the first may be a held-out pair in the test split."""
        fitting = [word for quality in fits.split() for word in ADJECTIVES[quality][side]]
        options = [word for word in fitting if not (graded and word in UNGRADED)]
        known = [word for word in options if not held_out(noun, word)]
        novel = [word for word in options if held_out(noun, word)]
        spare = [word for word in fitting if not held_out(noun, word)]
        allowed = options if split == "test" else known or spare
        one = self.pick(novel if wants and novel else allowed)
        two = self.pick([word for word in spare if word != one])
        return one + NOVEL * (one in novel), two

    def details(self) -> Slots:
        return {"day": self.pick(DAYS), "month": self.pick(MONTHS), "count": self.pick(COUNTS),
                "person": self.pick(PEOPLE), "company": self.pick(COMPANY)}  # fmt: skip

    def surround(self, domain: Domain) -> tuple[str, str]:
        """Neutral text around the verdict: often after it, so that the verdict lies far back."""
        options = domain.context * 2 + ANYWHERE
        one, two = (
            fill(text, self.details() | {"rival": self.pick(domain.rivals)})
            for text in self.pick_two(options)
        )
        lot = self.random.random()
        before = one if lot < 0.25 else ""
        after = two if 0.18 < lot < 0.7 else ""
        if self.random.random() < 0.25:
            before = f"{before} {self.pick(OPENINGS)}"
        return before, after


def make() -> dict[str, list[Row]]:
    writer = Writer(SEED)
    return {split: writer.write_split(split, size) for split, size in SIZES.items()}


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def to_tsv(rows: list[Row]) -> str:
    return "label\ttext\n" + "".join(f"{row.label}\t{row.text}\n" for row in rows)


def counts(corpus: dict[str, list[Row]]) -> str:
    """The card's table: rows of each phenomenon in each split, half of them positive."""
    lines = ["| phenomenon | train | validation | test |", "|---|---:|---:|---:|"]
    for name in SHARES:
        cells = [str(sum(row.phenomenon == name for row in rows)) for rows in corpus.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines.append(f"| all | {' | '.join(str(len(rows)) for rows in corpus.values())} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the bundled sentiment corpus.")
    parser.add_argument("--check", action="store_true", help="compare with the files, write none")
    parser.add_argument("--counts", action="store_true", help="print the card's table as well")
    options = parser.parse_args()
    corpus = make()
    for split, rows in corpus.items():
        path, text = HERE / f"{split}.tsv", to_tsv(rows)
        if options.check:
            if not path.is_file() or path.read_bytes() != text.encode():
                found = "differs from what make.py writes" if path.is_file() else "is missing"
                print(f"{path}: {found}; run `python {Path(__file__).name}`", file=sys.stderr)
                return 1
        else:
            temporary = path.with_suffix(".tmp")
            temporary.write_bytes(text.encode())
            temporary.replace(path)
    if options.counts:
        print(counts(corpus))
        print(f"test rows with a held-out pair: {sum(row.novel for row in corpus['test'])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
