"""A parallel corpus small enough to learn in seconds: the German verb moves to the end."""

from __future__ import annotations

import itertools
from pathlib import Path

from seqnlp import registry
from seqnlp.config import Settings, load_settings

NOUNS = {"Der Hund": "The dog", "Die Katze": "The cat", "Das Kind": "The child",
         "Ein Mann": "A man", "Eine Frau": "A woman"}  # fmt: skip
OBJECTS = {"den Ball": "the ball", "das Haus": "the house", "die Blume": "the flower",
           "einen Baum": "a tree"}  # fmt: skip
VERBS = {"sehen": "see", "malen": "draw", "suchen": "look for"}
MODALS = {"will": "wants to", "kann": "can"}

SMALL_TRANSLATION = [
    "model.embedding_size=32", "model.hidden_size=32", "model.embedding_scale=0.1",
    "model.engine=reference", "text.tokenizer=regex", "train.epochs=20", "train.lr=0.02",
    "train.batch_size=16", "threads=1", "hooks.dropout=false",
]  # fmt: skip


def pairs() -> list[tuple[str, str]]:
    """(German, English) of every combination."""
    made = []
    for noun, modal, object_, verb in itertools.product(NOUNS, MODALS, OBJECTS, VERBS):
        german = f"{noun} {modal} {object_} {verb}."
        english = f"{NOUNS[noun]} {MODALS[modal]} {VERBS[verb]} {OBJECTS[object_]}."
        made.append((german, english))
    return made


def write_pairs(folder: Path) -> Path:
    """A folder with train, val and test, each in two languages."""
    folder.mkdir(parents=True, exist_ok=True)
    everything = pairs()
    splits = {
        "train": [pair for n, pair in enumerate(everything) if n % 7 > 1],
        "val": everything[0::7],
        "test": everything[1::7],
    }
    for name, part in splits.items():
        for language, texts in zip(("de", "en"), zip(*part, strict=True), strict=True):
            (folder / f"{name}.{language}").write_text("\n".join(texts) + "\n", encoding="utf-8")
    return folder


def small_translation(corpus: Path, *overrides: str) -> Settings:
    """Settings of a run that takes a few seconds."""
    given = [
        "task=translation", f'corpus.name="{corpus}"', "corpus.source=de", "corpus.target=en",
        *SMALL_TRANSLATION, *overrides,
    ]  # fmt: skip
    return load_settings(None, given, base=registry.tasks.get("translation").defaults)
