"""The recipes of this package, and the table in its README."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from seqnlp import load_settings
from seqnlp.files import shipped
from seqnlp.registry import tasks

PACKAGE = Path(__file__).parents[1]
RECIPES = sorted((PACKAGE / "recipes").glob("*.toml"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_key_of_a_recipe_is_read(recipe: Path) -> None:
    task = tasks.get(load_settings(recipe).task)
    settings = load_settings(recipe, base=task.defaults, unread=task.unread)
    assert settings.model.encoder == "transformer"
    assert task.unread(settings) == []
    assert {("encoders", "transformer")} <= set(task.named_parts(settings))


@pytest.mark.parametrize("recipe", ["multi30k", "aeslc"])
def test_a_transformer_is_named_over_a_shipped_recipe(recipe: str) -> None:
    path = shipped("recipes") / f"{recipe}.toml"
    task = tasks.get(load_settings(path).task)
    given = ["model.encoder=transformer", "head.decoder=transformer"]
    settings = load_settings(path, given, base=task.defaults, unread=task.unread)
    assert task.unread(settings) == []
    parts = task.named_parts(settings)
    assert {("encoders", "transformer"), ("decoders", "transformer")} <= set(parts)
    assert not any(kind in ("cells", "attentions") for kind, _ in parts)


def test_the_table_is_that_of_the_figures() -> None:
    script = PACKAGE / "benchmarks" / "compare.py"
    run = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
