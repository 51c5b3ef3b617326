"""Recipes: settings that suit a corpus, by path or by the name they are shipped under."""

from __future__ import annotations

from pathlib import Path

from seqnlp.config import read_toml
from seqnlp.errors import SettingsError, suggest
from seqnlp.files import shipped


def find_recipe(name: str) -> Path:
    """A recipe by path, or one that comes with the package by name (`sst2`).

    Raises:
        SettingsError: neither is there; the message has the shipped names.
    """
    path = Path(name)
    if path.is_file():
        return path
    known = shipped_recipes()
    if path.stem in known and path.parent.name in ("", "recipes"):
        return known[path.stem]
    raise SettingsError(f"{name}: no such recipe; {suggest(path.stem, known)}")


def recipe_for(corpus: str) -> Path | None:
    """The shipped recipe of a corpus, by the name that the corpus is opened with."""
    for path in shipped_recipes().values():
        if read_toml(path).get("corpus", {}).get("name") == corpus:
            return path
    return None


def shipped_recipes() -> dict[str, Path]:
    """The recipes that come with the package, by name."""
    return {path.stem: path for path in sorted(shipped("recipes").glob("*.toml"))}
