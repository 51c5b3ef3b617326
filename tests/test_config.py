from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from seqnlp.config import (
    DEFAULT_HOOKS,
    Settings,
    build,
    change_settings,
    load_settings,
    settings_from,
)
from seqnlp.errors import InputError, SettingsError


def test_without_a_recipe_the_defaults_hold() -> None:
    assert load_settings() == Settings()


def test_overrides_reach_every_key_and_later_ones_win(tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text('seed = 4\n[model]\ncell = "gru"\nlayers = 2\n[hooks.average]\ndecay = 0.9\n')
    settings = load_settings(
        recipe,
        ["model.cell=rnn", "train.lr=1e-4", "train.lr=2e-4", "text.normalizers=['nfc']",
         "hooks.dropout.word=0.25", "hooks.clip=false", "corpus.columns.text=review body"],
    )  # fmt: skip
    assert settings.seed == 4
    assert settings.model.cell == "rnn"
    assert settings.model.layers == 2
    assert settings.train.lr == 2e-4
    assert settings.text.normalizers == ("nfc",)
    assert settings.hooks["clip"] is False
    assert settings.hooks["average"] == {"decay": 0.9}
    assert settings.hooks["dropout"] == {**dict(DEFAULT_HOOKS["dropout"] or {}), "word": 0.25}
    assert settings.corpus.columns == {"text": "review body"}


def test_options_go_with_the_part_that_they_are_of(tmp_path: Path) -> None:
    base = {"text": {"tokenizer": "bpe", "tokenizer_options": {"size": 300}}}
    recipe = tmp_path / "r.toml"
    recipe.write_text('[model]\ncell = "gru"\ncell_options = {a = 1}\n')
    same = load_settings(
        recipe, ["text.tokenizer=bpe", "text.tokenizer_options.min_count=1"], base=base
    )
    assert same.text.tokenizer_options == {"size": 300, "min_count": 1}
    assert same.model.cell_options == {"a": 1}
    other = load_settings(recipe, ["text.tokenizer=char", "model.cell=rnn"], base=base)
    assert other.text.tokenizer_options == {}
    assert other.model.cell_options == {}
    recipe.write_text('[text]\ntokenizer = "regex"\n')
    assert load_settings(recipe, base=base).text.tokenizer_options == {}
    recipe.write_text('[text]\ntokenizer_options = {size = 400}\ntokenizer = "unigram"\n')
    assert load_settings(recipe, base=base).text.tokenizer_options == {"size": 400}


def test_an_override_leaves_the_defaults_as_they_are() -> None:
    before = Settings()
    load_settings(None, ["hooks.dropout.word=0.9", "hooks.clip.norm=77"])
    assert load_settings() == before == Settings()


def test_the_toml_of_settings_gives_the_same_settings() -> None:
    settings = load_settings(None, ["text.vectors=vectors.txt", "hooks.clip=false", "seed=7"])
    assert settings_from(tomllib.loads(settings.to_toml()), "again") == settings


@pytest.mark.parametrize(
    ("given", "kept"),
    [("ppmi", "ppmi"), ("./ppmi", "./ppmi"), (Path("ppmi"), "./ppmi"), (Path("a.txt"), "a.txt")],
)
def test_a_file_of_vectors_is_not_taken_for_ppmi(given: str | Path, kept: str) -> None:
    settings = settings_from({"text": {"vectors": given}}, "settings")
    assert settings.text.vectors == kept
    assert settings_from(tomllib.loads(settings.to_toml()), "again") == settings


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.cel=gru", "no key 'model.cel'; did you mean 'cell'"),
        ("trian.epochs=3", "no key 'trian'; did you mean 'train'"),
        ("train.epochs=many", "train.epochs: Input should be a valid integer.*not 'many'"),
        ("train.epochs=0", "train.epochs: Input should be greater than or equal to 1, not 0"),
        ("corpus.validation_share=1", "corpus.validation_share: Input should be less than 1"),
        ("epochs", "--set epochs: expected key=value, such as train.epochs=8"),
        ("=3", "expected key=value"),
        ("seed.x=3", "seed"),
    ],
)
def test_a_wrong_override_is_one_clear_line(override: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as error:
        load_settings(None, [override])
    assert "\n" not in str(error.value)


def test_overriding_below_a_value_says_so(tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text("seed = 4\n")
    with pytest.raises(SettingsError, match="'seed' is a value, not a table"):
        load_settings(recipe, ["seed.x=1"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = = 3\n", r"bad.toml: not TOML: .*line 1"),
        (b"seed = 1\n# \xff\n", r"bad.toml:2: not valid UTF-8"),
        (b"[model]\ncells = 'gru'\n", r"bad.toml: no key 'model.cells'; did you mean 'cell'"),
    ],
)
def test_a_wrong_recipe_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=message):
        load_settings(path)


def test_a_missing_recipe_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="none.toml: no such file"):
        load_settings(tmp_path / "none.toml")
    with pytest.raises(SettingsError, match="directory"):
        load_settings(tmp_path)


def _make(size: int, *, rate: float = 0.5, names: tuple[str, ...] = ()) -> tuple[object, ...]:
    if rate > 1:
        raise ValueError("rate must be at most 1")
    if rate < 0:
        raise InputError("rate must not be negative")
    return size, rate, names


def test_build_converts_to_the_annotated_types() -> None:
    assert _make(3, rate=0.25, names=("a",)) == build(
        _make, {"rate": "0.25", "names": ["a"]}, where="x", size=3
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 1, "rat": 1}, "hooks.mine: no key 'rat'; did you mean 'rate'"),
        ({"size": 1, "rate": "x"}, "hooks.mine.rate: Input should be a valid number.*not 'x'"),
        ({}, "hooks.mine: the key 'size' is required"),
        ({"size": 1, "rate": 2}, "hooks.mine: rate must be at most 1"),
        ({"size": 1, "rate": -1}, "hooks.mine: rate must not be negative"),
    ],
)
def test_build_says_which_option_is_wrong(options: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        build(_make, options, where="hooks.mine")


def test_what_the_caller_gives_is_not_open_to_the_user() -> None:
    with pytest.raises(SettingsError, match="no key 'size'"):
        build(_make, {"size": 3}, where="x", size=1)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("hooks.schedule.warmup=nan", "hooks.schedule.warmup: expected a finite number, not nan"),
        ("hooks.clip.norm=inf", "hooks.clip.norm: expected a finite number, not inf"),
        ("train.lr=inf", "train.lr: expected a finite number, not inf"),
        ("model.forget_bias=-inf", "model.forget_bias: expected a finite number, not -inf"),
        (
            "hooks.schedule.milestones=[1.0, nan]",
            "hooks.schedule.milestones: expected a finite number, not nan",
        ),
    ],
)
def test_numbers_are_finite_wherever_they_stand(override: str, message: str) -> None:
    """A run whose settings could not be written would be lost at its end."""
    with pytest.raises(SettingsError, match=re.escape(f"settings: {message}")):
        load_settings(None, [override])


def test_an_option_of_a_hook_switches_it_on() -> None:
    off = {"hooks": {"clip": False, "average": True}}
    for key, options in (("clip.norm", {"norm": 1.0}), ("average.decay", {"decay": 1.0})):
        hook = key.partition(".")[0]
        assert load_settings(None, [f"hooks.{key}=1.0"], base=off).hooks[hook] == options
        changed = change_settings(settings_from(off, "settings"), {f"hooks.{key}": 1.0})
        assert changed.hooks[hook] == options
    with pytest.raises(SettingsError, match="'bidirectional' is a value, not a table"):
        load_settings(None, ["model.bidirectional=true", "model.bidirectional.x=1"])
