"""The contracts of seqnlp.testing, for all parts of the package but the cells."""

from __future__ import annotations

import pytest

from seqnlp.testing import check_corpus, check_task

CORPORA = ["copy:1-3,bits=3", "reverse:1-3,symbols=4", "repeat_copy:1-2,repeats=1-2"]
FEW = "train=64,validation=12,each=3"


@pytest.mark.parametrize("check", check_task.names)
@pytest.mark.parametrize("name", CORPORA)
def test_the_contract_of_tasks_holds(name: str, check: str) -> None:
    """Of a cell that is quick; what the memory cells owe is in their own contract."""
    quick = {"model": {"cell": "gru", "cell_options": {}}}
    check_task("recall", only=check, corpus=f"{name},{FEW}", settings=quick)


@pytest.mark.parametrize("check", check_corpus.names)
@pytest.mark.parametrize("name", CORPORA)
def test_the_contract_of_corpora_holds(name: str, check: str) -> None:
    family, _, argument = name.partition(":")
    check_corpus(family, only=check, task="recall", argument=f"{argument},{FEW}")
