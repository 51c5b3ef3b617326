"""The contracts of tasks and corpora, over small models."""

from __future__ import annotations

import pytest
import torch

from seqnlp.testing import check_corpus, check_task

SMALL = {"model": {"hidden_size": 8}, "train": {"epochs": 1}, "head": {"epoch_windows": 256}}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("check", check_task.names)
@pytest.mark.parametrize("name", ["forecast", "anomaly"])
def test_the_contract_of_tasks(name: str, check: str) -> None:
    check_task(name, only=check, settings=SMALL)


@pytest.mark.parametrize("check", check_corpus.names)
def test_the_contract_of_corpora(check: str) -> None:
    check_corpus("series", only=check, task="forecast")
