"""`seqnlp list cells`: which engines run what, whatever plugins do."""

from __future__ import annotations

import subprocess
import sys

import pytest

from seqnlp import registry
from seqnlp.cli.main import run
from seqnlp.nn import LSTMCell


@pytest.fixture(autouse=True)
def _own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for each in registry.REGISTRIES.values():
        monkeypatch.setattr(each, "_local", dict(each._local))


def rows(capfd: pytest.CaptureFixture[str], kind: str) -> dict[str, str]:
    """What `seqnlp list KIND` says, by name."""
    assert run(["list", kind], debug=True) == 0
    lines = capfd.readouterr().out.splitlines()
    return {line.split()[1]: line for line in lines if line.startswith(kind)}


def test_cells_are_listed_with_the_engines_that_run_them(
    capfd: pytest.CaptureFixture[str],
) -> None:
    told = rows(capfd, "cells")
    assert told.keys() == registry.cells.names().keys()
    assert "fused, native, reference" in told["lstm"]
    assert " fused, reference " in told["peephole"]
    assert " seqnlp  reference " in told["gru_reset_before"]


def test_a_broken_plugin_does_not_hide_the_others(capfd: pytest.CaptureFixture[str]) -> None:
    @registry.cells.register("broken")
    class BrokenCell(LSTMCell):
        """A cell that cannot be made."""

        def __init__(self, input_size: int, hidden_size: int) -> None:
            raise ZeroDivisionError("no [luck]")

    @registry.engines.register("stuck")
    class StuckEngine:
        """An engine that does not start."""

        def __init__(self) -> None:
            raise OSError("no device")

    assert run(["list", "cells"], debug=True) == 0
    out = capfd.readouterr().out
    assert "none: ZeroDivisionError: no [luck]" in out
    assert "note: the engine 'stuck' is left out: OSError: no device" in out
    assert "fused, native, reference" in out


def test_engines_are_listed_in_a_line_each(capfd: pytest.CaptureFixture[str]) -> None:
    told = rows(capfd, "engines")
    assert {"fused", "native", "reference"} <= told.keys()
    for name, line in told.items():
        assert registry.engines.summary(name) in line
        assert line.rstrip().endswith(".")


def test_the_other_kinds_are_listed_without_torch() -> None:
    code = (
        "import sys; from seqnlp.cli.main import run; run(['list'], debug=True); "
        "run(['list', 'engines'], debug=True); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0
