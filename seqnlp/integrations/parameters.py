"""The parameters of an estimator as settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np

from seqnlp import registry
from seqnlp.config import Settings, change_settings, load_settings
from seqnlp.errors import SettingsError
from seqnlp.integrations.fitting import completed
from seqnlp.recipes import find_recipe

KEYS = {
    "cell": "model.cell", "cell_options": "model.cell_options",
    "hidden_size": "model.hidden_size", "layers": "model.layers",
    "bidirectional": "model.bidirectional", "embedding_size": "model.embedding_size",
    "pooling": "head.pooling", "attention": "head.attention", "evidence": "head.evidence",
    "tokenizer": "text.tokenizer", "normalizers": "text.normalizers",
    "min_count": "text.min_count", "ngram_buckets": "text.ngram_buckets",
    "max_tokens": "text.max_tokens", "epochs": "train.epochs",
    "batch_size": "train.batch_size", "lr": "train.lr", "ensemble": "ensemble",
    "device": "device",
}  # fmt: skip
"""The parameters that are settings by a shorter name; None says nothing."""


def settings_from_parameters(
    parameters: Mapping[str, Any], changes: Mapping[str, Any], *, where: str
) -> Settings:
    """Settings with every default written out.

    Args:
        parameters: those of `SequenceClassifier`, by name.
        changes: what the data say, by dotted key.
        where: begins the message of an error.

    Raises:
        SettingsError: a value that a parameter cannot have.
        UnknownNameError: no part has that name.
    """
    base, said = parameters["settings"], dict(changes)
    if isinstance(base, Mapping):
        said, base = {**base, **said}, None
    if not isinstance(base, Settings | str | os.PathLike | None):
        raise SettingsError(
            f"{where}: settings: settings, a recipe or a mapping are expected, not {base!r}"
        )
    if not isinstance(base, Settings):
        base = load_settings(None if base is None else find_recipe(os.fspath(base)))
    for name, key in KEYS.items():
        value = parameters[name]
        if value is not None:
            said[key] = value.item() if isinstance(value, np.generic) else value
    if parameters["validation_share"]:
        share = parameters["validation_share"]
        said["corpus.validation_share"] = share.item() if isinstance(share, np.generic) else share
    random = parameters["random_state"]
    if isinstance(random, np.random.RandomState):
        random = random.randint(2**31 - 1)
    if random is not None:
        if not isinstance(random, Integral):
            raise SettingsError(
                f"{where}: random_state: a whole number or a RandomState is expected, not "
                f"{random!r}"
            )
        said["seed"] = int(random)
    unread = registry.tasks.get("sentiment").unread
    return completed(change_settings(base, said, where=where, unread=unread))
