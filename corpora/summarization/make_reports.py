"""Makes the bundled summarization corpus: `python corpora/summarization/make_reports.py [--check]`.

Deterministic and standard library only. A report is of a kind (kinds.py): what happened, told in
one of several ways, among sentences about something else. Names and numbers are invented
(invented.py), others for each split.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from affairs import AFFAIRS
from feats import FEATS
from invented import Dealer
from kinds import ANYWHERE, WORDS, Kind
from mishaps import MISHAPS

HERE = Path(__file__).resolve().parent
SEED = 5
SIZES = {"train": 8000, "validation": 500, "test": 1000}
LEAST, ENOUGH = 30, 50  # words of a report: it goes on to a number between
KINDS = (*MISHAPS, *AFFAIRS, *FEATS)
COLUMNS = ("document", "summary", "references", "references2")

CHOICE = re.compile(r"\(([^()]*)\)")
SLOT = re.compile(r"\{(\w+)\}")
INVENTED = re.compile(r"(place|who|firm|n)\d?")
WORD = re.compile(r"\w+(?:[.,]\w+)*")


@dataclass(frozen=True, kw_only=True)
class Report:
    """texts: one for each of `COLUMNS`."""

    kind: str
    texts: tuple[str, ...]


class Reporter:
    """Writes the reports of one split.

    Args:
        dealer: of names and numbers.
        draw: the source of chance.
    """

    def __init__(self, dealer: Dealer, draw: random.Random) -> None:
        self._dealer, self._draw = dealer, draw

    def report(self, kind: Kind) -> Report:
        variant = self._draw.choice(kind.variants)
        told = [self._choose(text, variant) for text in self._draw.choice(kind.told)]
        near = self._draw.sample(kind.beside, len(kind.beside))
        far = self._draw.sample(ANYWHERE, len(ANYWHERE))
        # What could mislead first, then anything until there are enough words.
        count = self._draw.choice((1, 2, 2, 3))
        enough = self._draw.randint(LEAST, ENOUGH)
        others: list[str] = []
        for text in [*near[:count], *far]:
            if len(others) < count or sum(len(each.split()) for each in told + others) < enough:
                others.append(self._choose(text, variant))
        self._draw.shuffle(others)

        used: set[str] = set()
        slots: dict[str, str] = {}
        told = [self._fill(text, slots, used) for text in told]
        # Another sentence tells of others, but for those of whom was told.
        others = [self._fill(text, dict(slots), used) for text in others]
        before = self._draw.choice((0, 0, 0, 1, 1, 2))
        document = " ".join([*others[:before], *told, *others[before:]])
        headlines = [
            self._fill(self._choose(text, variant), slots, used) for text in kind.headlines
        ]
        return Report(kind=kind.name, texts=(document, *headlines))

    def _choose(self, text: str, variant: Mapping[str, str]) -> str:
        """A text without choices, in which names and numbers alone are left to be filled in."""
        while found := CHOICE.search(text):
            chosen = self._draw.choice(found[1].split("|"))
            text = text[: found.start()] + chosen + text[found.end() :]
        words = {slot: self._draw.choice(several) for slot, several in WORDS.items()}
        # A value of the variant may have slots of its own.
        for _ in range(2):
            text = SLOT.sub(lambda slot: {**words, **variant}.get(slot[1], slot[0]), text)
        return re.sub(r" +(?=[ .,:]|$)", "", text)

    def _fill(self, text: str, slots: dict[str, str], used: set[str]) -> str:
        """A text with its names and numbers; what is dealt for a slot is kept in it."""
        for slot in SLOT.findall(text):
            if slot not in slots:
                kind = INVENTED.fullmatch(slot)
                assert kind is not None, slot
                slots[slot] = self._dealer.deal(kind[1], used)
                used.add(slots[slot])
        text = re.sub(r"\b([Aa])(?= [aeiouAEIOU])", r"\1n", text.format_map(slots))
        return text[0].upper() + text[1:]


def make() -> dict[str, list[Report]]:
    """The reports of every split; kinds take turns in an order that is drawn for each round."""
    taken = {word.lower() for word in WORD.findall(repr((KINDS, ANYWHERE, WORDS)))}
    corpus: dict[str, list[Report]] = {}
    for split, size in SIZES.items():
        draw = random.Random(f"{SEED} {split}")
        reporter = Reporter(Dealer(split, taken, draw), draw)
        rows = corpus[split] = []
        while len(rows) < size:
            for kind in draw.sample(KINDS, len(KINDS)):
                rows.append(reporter.report(kind))
        del rows[size:]
    return corpus


def write(reports: list[Report], split: str) -> str:
    """A split as its file has it; train has no references."""
    width = 2 if split == "train" else len(COLUMNS)
    rows = [COLUMNS, *(report.texts for report in reports)]
    return "".join("\t".join(row[:width]) + "\n" for row in rows)


def words_of(text: str) -> list[str]:
    """Words and numbers in lower case.

    >>> words_of("Ms. Tenkow saw 1,240 fans.")
    ['ms', 'tenkow', 'saw', '1,240', 'fans']
    """
    return WORD.findall(text.lower())


def counts(corpus: dict[str, list[Report]]) -> str:
    """The card's tables."""
    known = {word for report in corpus["train"] for text in report.texts for word in words_of(text)}
    rows: dict[str, list[str]] = {"reports": [f"{len(reports):,}" for reports in corpus.values()]}
    for column, name in ((0, "a report"), (1, "a headline")):
        lengths = [[len(r.texts[column].split()) for r in reports] for reports in corpus.values()]
        rows[f"words of {name}: fewest, mean, most"] = [
            f"{min(each)}, {sum(each) / len(each):.1f}, {max(each)}" for each in lengths
        ]
    texts = [[words_of(" ".join(r.texts[:2])) for r in reports] for reports in corpus.values()]
    rows["distinct words and numbers"] = [
        f"{len({word for words in each for word in words}):,}" for each in texts
    ]
    rows["names and numbers in a headline that train lacks, mean"] = [
        f"{sum(w not in known for r in reports for w in words_of(r.texts[1])) / len(reports):.2f}"
        for reports in corpus.values()
    ]
    rows["in a report"] = [
        f"{sum(len({*words_of(r.texts[0])} - known) for r in reports) / len(reports):.2f}"
        for reports in corpus.values()
    ]
    lines = ["| | train | validation | test |", "|---|---:|---:|---:|"]
    lines += [f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()]
    kinds = [Counter(report.kind for report in reports) for reports in corpus.values()]
    lines += ["", "| kind | train | validation | test |", "|---|---:|---:|---:|"]
    for kind in KINDS:
        lines.append(f"| {kind.name} | {' | '.join(f'{n[kind.name]:,}' for n in kinds)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the bundled summarization corpus.")
    parser.add_argument("--check", action="store_true", help="compare with the files, write none")
    parser.add_argument("--counts", action="store_true", help="print the card's tables as well")
    options = parser.parse_args()
    corpus = make()
    differing = 0
    for split, reports in corpus.items():
        path = HERE / f"{split}.tsv"
        data = write(reports, split).encode()
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
