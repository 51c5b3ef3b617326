"""The contracts of all kinds, each imported when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from seqnlp.testing.contract import Contract

# The name of the contract; its module has the name of the kind.
_NAMES = {
    "cells": "check_cell",
    "encoders": "check_encoder",
    "decoders": "check_decoder",
    "attentions": "check_attention",
    "poolings": "check_pooling",
    "normalizers": "check_normalizer",
    "tokenizers": "check_tokenizer",
    "corpora": "check_corpus",
    "tasks": "check_task",
    "hooks": "check_hook",
}


class _Contracts(Mapping[str, Contract[Any]]):
    def __getitem__(self, kind: str) -> Contract[Any]:
        name = _NAMES[kind]
        found: Contract[Any] = getattr(importlib.import_module(f"seqnlp.testing.{kind}"), name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)


CONTRACTS: Mapping[str, Contract[Any]] = _Contracts()
"""The contract of each kind, by its plural: "cells"."""
