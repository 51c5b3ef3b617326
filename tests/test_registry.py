from __future__ import annotations

import subprocess
import sys

import pytest

from seqnlp.errors import NameTakenError, UnknownNameError
from seqnlp.registry import REGISTRIES, Registry, cells


@pytest.mark.parametrize("kind", REGISTRIES)
def test_every_built_in_name_loads_and_has_a_summary(kind: str) -> None:
    registry = REGISTRIES[kind]
    for name, package in registry.names().items():
        if package != "seqnlp":  # a plugin that happens to be installed
            continue
        part = registry.get(name)
        first = (part.__doc__ or "").strip().splitlines()[0]
        assert registry.summary(name) == first
        assert len(first) > 10


def test_listing_imports_no_part() -> None:
    code = (
        "import sys\n"
        "from seqnlp.registry import REGISTRIES\n"
        "for registry in REGISTRIES.values():\n"
        "    for name in registry.names():\n"
        "        registry.summary(name)\n"
        "print(sorted({'torch', 'spacy', 'nltk', 'seqnlp.nn', 'seqnlp.tasks'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == "[]"


def test_a_miss_suggests_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="no cell is named 'lstn'; did you mean 'lstm'"):
        cells.get("lstn")
    with pytest.raises(UnknownNameError, match="no corpus is named"):
        REGISTRIES["corpora"].summary("nope")


def test_a_taken_name_raises_and_changes_nothing() -> None:
    with pytest.raises(NameTakenError, match="the cell name 'lstm' is taken by seqnlp"):
        cells.register("lstm")(object)
    assert cells.get("lstm").__name__ == "LSTMCell"


def test_registering_in_this_process() -> None:
    registry: Registry[type] = Registry("cells")

    @registry.register("mine")
    class Mine:
        """A cell of mine."""

    assert registry.get("mine") is Mine
    assert registry.names()["mine"] == "this process"
    assert registry.summary("mine") == "A cell of mine."
    with pytest.raises(NameTakenError, match="taken by this process"):
        registry.register("mine")(Mine)
