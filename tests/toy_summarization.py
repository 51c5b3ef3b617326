"""Short reports small enough to learn in seconds: who did what, by names that no other text has."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

from seqnlp import registry
from seqnlp.config import Settings, load_settings

VERBS = {"bought": "buys", "sold": "sells", "painted": "paints", "lost": "loses"}
THINGS = ("a boat", "a house", "an old car", "a mill")
DAYS = ("Monday", "Tuesday", "Friday")
SYLLABLES = ("ka", "lo", "mi", "ru", "te", "vo", "sa", "ne", "du", "pi")

SMALL_SUMMARIZATION = [
    "model.embedding_size=32", "model.hidden_size=32", "model.engine=reference",
    "text.normalizers=['nfc', 'lowercase']", "text.tokenizer=regex", "text.min_count=3",
    "train.epochs=12", "train.lr=0.02", "train.batch_size=16", "threads=1",
    "hooks.dropout=false",
]  # fmt: skip


def name_of(number: int) -> str:
    """A name for each number below 1,000, no two the same."""
    first, second, third = (SYLLABLES[number // 10**place % 10] for place in range(3))
    return (first + second + third).capitalize()


def reports() -> list[tuple[str, str]]:
    """(document, summary) of every combination, each with two names of its own."""
    made = []
    cases = itertools.product(VERBS, THINGS, DAYS, range(4))
    for number, (verb, thing, day, _) in enumerate(cases):
        who, other = name_of(2 * number), name_of(2 * number + 501)
        sentences = [f"On {day} {who} {verb} {thing}.", f"{other} was there and saw it."]
        if number % 4 > 1:
            sentences = [f"It rained on {day} when {other} came.", f"{who} {verb} {thing}."]
        made.append((" ".join(sentences), f"{who} {VERBS[verb]} {thing}"))
    return made


def write_reports(folder: Path) -> Path:
    """A folder with train, validation and test, the latter with other references."""
    folder.mkdir(parents=True, exist_ok=True)
    everything = reports()
    splits = {
        "train": [row for n, row in enumerate(everything) if n % 6 > 1],
        "validation": everything[0::6],
        "test": everything[1::6],
    }
    for split, rows in splits.items():
        lines = []
        for document, summary in rows:
            row: dict[str, object] = {"document": document, "summary": summary}
            if split == "test":
                row["references"] = [f"{summary} today", summary.partition(" ")[0]]
            lines.append(json.dumps(row))
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def small_summarization(corpus: Path, *overrides: str) -> Settings:
    """Settings of a run that takes a few seconds."""
    given = [
        "task=summarization", f'corpus.name="{corpus}"', *SMALL_SUMMARIZATION, *overrides,
    ]  # fmt: skip
    return load_settings(None, given, base=registry.tasks.get("summarization").defaults)
