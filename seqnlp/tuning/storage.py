"""Where studies are kept: in memory, in a SQLite file or in a database, through Optuna."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqnlp.errors import InputError, MissingPackageError

if TYPE_CHECKING:
    import optuna

ATTRIBUTE = "seqnlp"
"""Under this name a study remembers what it was begun with."""
Identity = Mapping[str, Mapping[str, Any]]
"""What the trials of a study have in common: `search`, `sampler` and `settings`."""


def require_optuna() -> None:
    """Raise a MissingPackageError, unless Optuna is installed."""
    if find_spec("optuna") is None:
        raise MissingPackageError(
            "a search for settings needs the package optuna; pip install 'seqnlp[tune]'"
        )


def open_storage(where: str | None) -> optuna.storages.BaseStorage:
    """Open the database that studies are kept in, which is made where there is none.

    Args:
        where: a SQLite file, or a database's URL; None for memory.

    Raises:
        InputError: it cannot be opened.
        MissingPackageError: Optuna is not installed, or the driver of the database.
    """
    require_optuna()
    import optuna

    # Its own lines for each trial, which would tear the display.
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if where is None:
        return optuna.storages.InMemoryStorage()
    is_url = "://" in where
    if not is_url and not Path(where).resolve().parent.is_dir():
        raise InputError(f"--storage {where}: no folder {Path(where).parent}")
    url = where if is_url else f"sqlite:///{Path(where).resolve()}"
    options: dict[str, Any] = {}
    if url.startswith("sqlite"):
        # Several processes write, one after another.
        options = {"connect_args": {"timeout": 60}}
    try:
        with expected_warnings(), database_errors(where):
            return optuna.storages.RDBStorage(url, engine_kwargs=options)
    except ImportError as error:
        raise MissingPackageError(
            f"--storage {without_password(where)}: the database needs a package: {error}"
        ) from error


def open_study(
    storage: optuna.storages.BaseStorage,
    name: str,
    where: str | None,
    *,
    maximize: bool,
    identity: Identity,
) -> optuna.Study:
    """Open a study, or begin it.

    Args:
        where: the storage, as the user names it.
        identity: what it is begun with, or must have been.

    Raises:
        InputError: it was begun with something else.
    """
    import optuna

    with expected_warnings(), database_errors(where):
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            direction="maximize" if maximize else "minimize",
            load_if_exists=True,
        )
        known = study.user_attrs.get(ATTRIBUTE)
        if known is None and not study.get_trials(deepcopy=False):
            study.set_user_attr(ATTRIBUTE, {key: dict(value) for key, value in identity.items()})
            return study
    place = f"the study {name!r}" + (f" in {without_password(where)}" if where else "")
    if known is None:
        raise InputError(f"{place} was not made by seqnlp tune; name another --study")
    if difference := first_difference(known, identity):
        raise InputError(
            f"{place} was begun with {difference}; name another --study, or give what it has"
        )
    return study


def first_difference(then: Identity, now: Identity) -> str:
    """What a study has and what it is asked for, in words, where that differs; else nothing."""
    settings = _flat(then["settings"]), _flat(now["settings"])
    parts = [
        *((key, *(each.get(key) for each in settings)) for key in _first(settings)),
        *_pairs("--sampler", then["sampler"], now["sampler"]),
        *_pairs("--search", then["search"], now["search"]),
        *(
            (key, *(each.get(key) for each in settings))
            for key in sorted({*settings[0], *settings[1]})
        ),
    ]
    for key, old, new in parts:
        if old != new:
            return f"{key} {_told(old)}, not {_told(new)}"
    return ""


def _first(settings: tuple[dict[str, Any], dict[str, Any]]) -> list[str]:
    """Task and corpus: whoever has taken another of these has taken another study."""
    keys = {*settings[0], *settings[1]}
    return ["task", *sorted(key for key in keys if key.startswith("corpus."))]


def _pairs(
    name: str, then: Mapping[str, Any], now: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    for key in [*then, *(key for key in now if key not in then)]:
        label = name if key == "name" else f"{name} {key}"
        yield label, then.get(key), now.get(key)


def _told(value: object) -> str:
    return "unset" if value is None else str(value)


def _flat(tables: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted key to value, of nested tables."""
    found: dict[str, Any] = {}
    for key, value in tables.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def without_password(where: str | None) -> str:
    """A storage as it may be shown: the password of a URL is left out."""
    if where is None or "://" not in where or "@" not in where:
        return where or "memory"
    scheme, _, rest = where.partition("://")
    credentials, _, host = rest.rpartition("@")
    return f"{scheme}://{credentials.partition(':')[0]}@{host}"


@contextmanager
def database_errors(where: str | None) -> Iterator[None]:
    """Turn what a database raises into an InputError."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

    name = without_password(where)
    try:
        yield
    except (StorageInternalError, DBAPIError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) else error
        detail = str(getattr(cause, "orig", None) or cause or error)
        raise InputError(f"--storage {name}: {' '.join(detail.split())}") from error
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise InputError(
            f"--storage {name}: no database's URL; expected a file, such as study.db, or "
            "postgresql://user@host/name"
        ) from error
    except RuntimeError as error:
        # A database of another version of Optuna.
        raise InputError(f"--storage {name}: {' '.join(str(error).split())}") from error


@contextmanager
def expected_warnings() -> Iterator[None]:
    """Leave out what Optuna warns of parts that are used knowingly."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield
