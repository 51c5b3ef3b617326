"""What the `datasets` library loads: datasets of the Hugging Face hub, and folders it has saved."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqnlp.errors import InputError, suggest


def load_hub(path: str, config: str | None) -> Mapping[str, Any]:
    """The datasets of a name on the hub, or of a folder, by the names of their splits.

    Raises:
        InputError: the hub cannot be reached, has no such dataset, or needs a configuration named;
            or the folder cannot be read.
    """
    import datasets
    from datasets.exceptions import DatasetNotFoundError

    where = f"hf:{path}" + (f":{config}" if config else "")
    if is_saved(Path(path)):
        return _load_saved(path, config, where)
    try:
        loaded: Mapping[str, Any] = datasets.load_dataset(path, config)
    except DatasetNotFoundError as error:
        raise InputError(
            f"{where}: the hub has no such dataset, or it is private or gated: {_line(error)}"
        ) from error
    except ConnectionError as error:
        offline = os.environ.get("HF_HUB_OFFLINE")
        why = f"HF_HUB_OFFLINE is {offline}" if offline else _line(error)
        raise InputError(
            f"{where}: the Hugging Face hub cannot be reached, and the dataset is not in the "
            f"local cache ({why})"
        ) from error
    except ValueError as error:
        configs = _configs(path)
        if config is None and len(configs) > 1:
            raise InputError(
                f"{where}: several configurations; choose one, as in hf:{path}:{configs[0]}; "
                f"known: {', '.join(configs)}"
            ) from error
        if config is not None and configs and config not in configs:
            raise InputError(
                f"{where}: no configuration {config!r}; {suggest(config, configs)}"
            ) from error
        raise InputError(f"{where}: {_line(error)}") from error
    except Exception as error:  # the library raises many kinds for data that it cannot read
        raise InputError(f"{where}: cannot be loaded: {_line(error.__cause__ or error)}") from error
    return loaded


def is_saved(folder: Path) -> bool:
    """Whether a folder is what `save_to_disk` of the `datasets` library writes."""
    one = all((folder / name).is_file() for name in ("dataset_info.json", "state.json"))
    return one or (folder / "dataset_dict.json").is_file()


def _load_saved(path: str, config: str | None, where: str) -> Mapping[str, Any]:
    import datasets

    if config is not None:
        raise InputError(f"{where}: saved by save_to_disk, which keeps one configuration; drop it")
    try:
        loaded = datasets.load_from_disk(path)
    except Exception as error:  # as above
        raise InputError(f"{where}: cannot be loaded: {_line(error.__cause__ or error)}") from error
    return loaded if isinstance(loaded, datasets.DatasetDict) else {"train": loaded}


def _configs(path: str) -> list[str]:
    import datasets

    try:
        names: list[str] = datasets.get_dataset_config_names(path)
    except ValueError:  # the message of the first attempt says why
        return []
    return names


def _line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
