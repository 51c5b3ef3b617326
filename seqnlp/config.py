"""Settings: typed values read from TOML recipes; an unknown key is an error that names the nearest.

`Settings` describes a run completely. Saved beside the model, it repeats the run. `build`, of
`seqnlp.validation`, gives the same care to the options of registered parts.
"""

from __future__ import annotations

import copy
import math
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from seqnlp.errors import SettingsError
from seqnlp.validation import build, validate_section

__all__ = [
    "DEFAULT_HOOKS",
    "CorpusSettings",
    "ModelSettings",
    "Names",
    "Section",
    "Settings",
    "TextSettings",
    "TrainSettings",
    "build",
    "change_settings",
    "load_settings",
    "read_toml",
    "settings_from",
    "settings_value",
    "validate_section",
]

Names = Annotated[
    tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)
]
"""Several names, or one without brackets."""

PPMI = "ppmi"
"""The value of `text.vectors` that is no file; a file of that name is `./ppmi`."""


def _path_as_written(value: object) -> object:
    """A path as text, which never is `PPMI`."""
    if not isinstance(value, Path):
        return value
    return f"./{value}" if str(value) == PPMI else str(value)


class Section(BaseModel):
    """A table of a recipe: frozen, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class CorpusSettings(Section):
    """Where the examples come from."""

    name: str = "reviews"
    """A bundled corpus, a name on SEQNLP_DATA, a path, `hf:owner/name` or `nltk:name`."""
    columns: dict[str, str] = {}
    """Field to column, where the column's name is not one of the usual ones."""
    source: str | None = None
    """The language that is read of a parallel corpus, as its files name it: "de"."""
    target: str | None = None
    """The language that is written."""
    max_ratio: float = Field(default=9.0, ge=0)
    """Training pairs whose one side has more than so many times the words of the other are left
    out; 0 keeps all."""
    validation_share: float = Field(default=0.1, gt=0, lt=1)
    """The share of train that is cut off where the corpus has no validation split."""
    test_share: float = Field(default=0.0, ge=0, lt=1)
    """The share of train that is cut off before, where it has no test split; 0 does without."""


class TextSettings(Section):
    """From text to ids."""

    normalizers: Names = ("nfc", "lowercase")
    tokenizer: str = "regex"
    tokenizer_options: dict[str, Any] = {}
    min_count: int = Field(default=1, ge=1)
    """Tokens seen less often in train are unknown words."""
    max_size: int | None = Field(default=None, ge=3)
    """The most frequent tokens that make the vocabulary, special ones included."""
    ngram_buckets: int = Field(default=20_000, ge=0, le=100_000_000)
    """Rows of the table of hashed character n-grams; 0 is without."""
    ngram_sizes: tuple[int, int] = (3, 6)
    max_tokens: int = Field(default=400, ge=1)
    """Longer documents are cut, or read in chunks of this many tokens."""
    long_documents: Literal["chunk", "truncate"] = "chunk"
    vectors: Annotated[str | None, BeforeValidator(_path_as_written)] = None
    """Word vectors to begin with: `ppmi` for vectors from co-occurrences in train, or a file in
    word2vec or GloVe text format, gzip or plain."""
    vectors_options: dict[str, Any] = {}
    """Options of `ppmi`, see below."""


class ModelSettings(Section):
    """The encoder and what it reads; a task's own parts are in `head`."""

    embedding_size: int = Field(default=100, ge=1, le=65_536)
    embedding_scale: float = Field(default=0.1, gt=0)
    """Standard deviation of the first word and n-gram vectors."""
    ngram_pooling: Literal["mean", "sum"] = "mean"
    """How the n-gram vectors of a token are put together."""
    encoder: str = "recurrent"
    encoder_options: dict[str, Any] = {}
    """Options of an encoder other than `recurrent`, whose options are the keys below."""
    cell: str = "lstm"
    cell_options: dict[str, Any] = {}
    hidden_size: int = Field(default=128, ge=1, le=65_536)
    layers: int = Field(default=1, ge=1, le=256)
    bidirectional: bool = True
    residual: bool = False
    layer_norm: bool = False
    engine: str = "auto"
    input_init: str = "auto"
    recurrent_init: str = "auto"
    forget_bias: float = 1.0
    zoneout_output: float = Field(default=0.0, ge=0, lt=1)
    """Rate at which each unit of the output keeps its old value at a step, in gated cells."""
    zoneout_memory: float = Field(default=0.0, ge=0, lt=1)
    """The same of the memory, in cells that have one beside their output."""


class TrainSettings(Section):
    """How the weights are found."""

    epochs: int = Field(default=10, ge=1)
    batch_size: int = Field(default=32, ge=1)
    """Examples a batch, over all processes; with `batch_tokens`, the most examples a batch."""
    batch_tokens: int | None = Field(default=None, ge=1)
    """Tokens a batch, padding counted."""
    accumulate: int = Field(default=1, ge=1)
    """In how many parts a process computes its share of a batch: more take less memory and more
    time, and the gradients are the same to rounding."""
    precision: Literal["float32", "bf16", "fp16"] = "float32"
    """What a GPU computes with; weights stay float32, and so does all on a CPU."""
    optimizer: str = "AdamW"
    """A class of torch.optim."""
    optimizer_options: dict[str, Any] = {}
    lr: float = Field(default=2e-3, gt=0)
    refit: bool = False
    """Once validation has chosen the epoch, train again up to it on train and validation."""
    monitor: str = "accuracy"
    """The validation figure that chooses the best epoch; `loss` is minimized, and so are errors."""


DEFAULT_HOOKS: dict[str, dict[str, Any] | bool] = {
    "dropout": {"word": 0.1, "embedding": 0.4, "layer": 0.3, "output": 0.4},
    "clip": {"norm": 5.0},
    "early_stopping": {"patience": 4},
    "best_checkpoint": {},
    "checkpoint": {},
}
"""Hooks of a run whose recipe says nothing else; a recipe's hooks are added to these."""


class Settings(Section):
    """Everything that a training run depends on."""

    task: str = "sentiment"
    seed: int = Field(default=0, ge=0, lt=2**32)
    ensemble: int = Field(default=1, ge=1, le=1000)
    """Models trained with seeds seed, seed + 1, ... and saved as one."""
    device: str = "auto"
    threads: int | None = Field(default=None, ge=1, le=512)
    corpus: CorpusSettings = CorpusSettings()
    text: TextSettings = TextSettings()
    model: ModelSettings = ModelSettings()
    head: dict[str, Any] = {}
    """The task's own options."""
    train: TrainSettings = TrainSettings()
    hooks: dict[str, dict[str, Any] | bool] = DEFAULT_HOOKS
    """Hook name to its options; `true` for none, `false` leaves out one that is on by default."""

    def to_toml(self) -> str:
        """The settings as a recipe; unset keys are left out."""
        import tomli_w

        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))


def load_settings(
    recipe: Path | None = None,
    overrides: Iterable[str] = (),
    *,
    base: Mapping[str, Any] | None = None,
    unread: Callable[[Settings], Iterable[str]] | None = None,
) -> Settings:
    """Read a recipe and change it by `a.b=value` overrides, whose values are TOML or bare words.

    Args:
        recipe: a TOML file; without one, the defaults.
        overrides: strings such as `train.epochs=8` and `model.cell=gru`, later ones win.
        base: settings under the recipe's, such as a task's own defaults.
        unread: names the keys that no part of a model of these settings reads, see `Task.unread`.
            Where an encoder or decoder is named over a recipe or defaults, theirs are left behind.

    Raises:
        SettingsError: a file that is no TOML (with its line), an unknown key (with the nearest),
            a value of the wrong type.
    """
    tables: dict[str, Any] = _merged({"hooks": DEFAULT_HOOKS}, base or {})
    where = "settings"
    if recipe is not None:
        where = str(recipe)
        tables = _merged(tables, read_toml(recipe))
    own: dict[str, Any] = {}
    for override in overrides:
        _override(tables, override)
        _override(own, override)
    levels = [base or {}, {} if recipe is None else read_toml(recipe), own]
    return _without_unread(tables, where, levels, unread)


def change_settings(
    settings: Settings,
    changes: Mapping[str, Any],
    *,
    where: str = "settings",
    unread: Callable[[Settings], Iterable[str]] | None = None,
) -> Settings:
    """Settings that differ from others in what some keys say, as by `--set`.

    >>> change_settings(Settings(), {"train.lr": 0.1, "hooks.clip.norm": 1.0}).train.lr
    0.1

    Args:
        settings: what is said of all other keys.
        changes: dotted key to value.
        where: begins the message of an error.
        unread: as `load_settings` has it.

    Raises:
        SettingsError: an unknown key or a value of the wrong type.
    """
    own: dict[str, Any] = {}
    base = settings.model_dump(exclude_unset=True) | {"hooks": settings.hooks}
    for key, value in changes.items():
        *path, last = key.split(".")
        table, under = own, base
        for part in path:
            table = table.setdefault(part, {})
            under = {} if isinstance(under.get(part, True), bool) else under[part]
            if not isinstance(table, dict) or not isinstance(under, dict):
                raise SettingsError(f"{where}: {key}: {part!r} is a value, not a table")
        if isinstance(table.get(last), dict):
            raise SettingsError(f"{where}: {key} is a table, not a value")
        table[last] = value
    return _without_unread(_merged(base, own), where, [base, own], unread)


def _without_unread(
    tables: dict[str, Any],
    where: str,
    levels: Sequence[Mapping[str, Any]],
    unread: Callable[[Settings], Iterable[str]] | None,
) -> Settings:
    """Settings of tables, less what was set for a part that another was named over."""
    settings = settings_from(tables, where)
    if unread is None:
        return settings
    left = [key.split(".") for key in unread(settings) if _is_left_behind(key, levels)]
    for table, key in left:
        tables[table].pop(key)
    return settings_from(tables, where) if left else settings


def _is_left_behind(key: str, levels: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a part that would read the key was named at a higher level than the key was set."""
    parts = ("head.decoder",) if key.startswith("head.") else ("model.encoder", "head.decoder")

    def level(path: str) -> int:
        table, name = path.split(".")
        return max((n for n, each in enumerate(levels) if name in each.get(table, {})), default=-1)

    return level(key) < max(map(level, parts))


def settings_from(tables: Mapping[str, Any], where: str) -> Settings:
    """Validate plain tables; `where` begins the message of an error.

    Raises:
        SettingsError: an unknown key, a value of the wrong type, or a number that is not finite.
    """
    _check_finite(tables, where)
    return validate_section(Settings, tables, where)


def _check_finite(value: object, where: str, key: str = "") -> None:
    """Refuse inf and nan wherever they stand: no part means them, and none could be saved."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            _check_finite(inner, where, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_finite(inner, where, key)
    elif isinstance(value, float) and not math.isfinite(value):
        raise SettingsError(f"{where}: {key}: expected a finite number, not {value}")


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        SettingsError: it is missing, not UTF-8 or not TOML; the message has the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(f"{path}: no such file") from error
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SettingsError(f"{path}:{line}: not valid UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not TOML: {error}") from error
    except RecursionError as error:
        raise SettingsError(f"{path}: not settings: values within values, too deep") from error


def _merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """`high` over `low`, table by table; neither is changed, nor shared with the result."""
    result: dict[str, Any] = copy.deepcopy(dict(low))
    for key, value in high.items():
        _leave_options(result, key, value)
    for key, value in high.items():
        under = result.get(key)
        both = isinstance(under, Mapping) and isinstance(value, Mapping)
        result[key] = _merged(under, value) if both else copy.deepcopy(value)  # type: ignore[arg-type]
    return result


def _override(tables: dict[str, Any], override: str) -> None:
    key, sign, text = override.partition("=")
    path = key.strip().split(".")
    if not sign or not all(path):
        raise SettingsError(f"--set {override}: expected key=value, such as train.epochs=8")
    table = tables
    for part in path[:-1]:
        inner = table.setdefault(part, {})
        if isinstance(inner, bool) and table is tables.get("hooks"):
            inner = table[part] = {}  # An option of a hook switches it on, as in a recipe.
        if not isinstance(inner, dict):
            raise SettingsError(f"--set {override}: {part!r} is a value, not a table")
        table = inner
    value = settings_value(text.strip())
    _leave_options(table, path[-1], value)
    table[path[-1]] = value


def _leave_options(table: dict[str, Any], key: str, value: object) -> None:
    """Where another part is named, the options of the one that was named before mean nothing."""
    if key in table and table[key] != value:
        table.pop(f"{key}_options", None)


def settings_value(text: str) -> object:
    """A TOML value, or else the text itself, so that `model.cell=gru` needs no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
