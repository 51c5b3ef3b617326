"""The first command of the README does what the corpus was made to show."""

from __future__ import annotations

from pathlib import Path

import pytest

import seqnlp


@pytest.fixture(scope="module")
def figures() -> dict[str, float]:
    """Test accuracy of the default run and of its baselines."""
    metrics = seqnlp.train(seqnlp.load_settings()).metrics
    return {
        "model": metrics["test"]["accuracy"]["value"],
        **{name: report["accuracy"]["value"] for name, report in metrics["baselines"].items()},
    }


def test_an_lstm_reads_the_order_of_words(figures: dict[str, float]) -> None:
    assert figures["model"] > 0.95


def test_a_bag_of_words_does_not(figures: dict[str, float]) -> None:
    assert figures["bag of words"] < 0.75
    assert figures["majority class"] == pytest.approx(0.5)


def test_every_shipped_recipe_is_valid() -> None:
    from seqnlp import registry
    from seqnlp.config import read_toml
    from seqnlp.files import shipped
    from seqnlp.training.preparation import complete, make_hooks

    recipes = sorted(shipped("recipes").glob("*.toml"))
    assert {path.stem for path in recipes} == {
        "aeslc", "movie_reviews", "mr", "multi30k", "reviews", "sst2", "sst5", "trec",
    }  # fmt: skip
    for path in recipes:
        task = registry.tasks.get(read_toml(path)["task"])
        settings = complete(seqnlp.load_settings(path, base=task.defaults))
        assert make_hooks(settings, Path())


def test_the_default_settings_are_the_recipe_of_the_bundled_corpus() -> None:
    from seqnlp.files import shipped

    assert seqnlp.load_settings(shipped("recipes") / "reviews.toml") == seqnlp.Settings()
