"""Which split a file is, by its name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

SPLITS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}
"""File name without its endings to split; names such as `test_2016` are looked at after these."""

TEST = re.compile(r"test[-_.\d]")


def assign_splits(stems: Iterable[str]) -> dict[str, list[str]]:
    """Split name to the stems that claim it.

    `test` is the stem of that name, else the only one that begins with it, else the first by name
    of several, each of which is a split by its own name too.

    >>> assign_splits(["train", "dev", "test_2017", "test_2016"]) == {
    ...     "train": ["train"], "validation": ["dev"], "test": ["test_2016"],
    ...     "test_2016": ["test_2016"], "test_2017": ["test_2017"]}
    True
    """
    found: dict[str, list[str]] = {}
    tests = []
    for stem in stems:
        if split := SPLITS.get(stem):
            found.setdefault(split, []).append(stem)
        elif TEST.match(stem):
            tests.append(stem)
    if "test" in found or len(tests) > 1:
        found |= {stem: [stem] for stem in tests}
    if tests:
        found.setdefault("test", [min(tests)])
    return found


def note_test(splits: Mapping[str, object]) -> list[str]:
    """What to say where `test` is the first of several test files.

    >>> note_test({"test": 1, "test_a": 1, "test_b": 2})
    ['test is test_a, the first of 2 test files by name']
    """
    others = [name for name in splits if name != "test" and TEST.match(name)]
    return [
        f"test is {name}, the first of {len(others)} test files by name"
        for name in others
        if splits[name] == splits.get("test")
    ]
