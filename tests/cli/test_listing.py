"""`seqnlp list cells`: which engines run what, whatever plugins do."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from seqnlp import registry
from seqnlp.cli.main import run
from seqnlp.nn import LSTMCell
from tests.planting import plant


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
    assert told["lstm"].split()[2:6] == ["seqnlp", "fused,", "native,", "reference"]
    assert told["peephole"].split()[2:6] == ["seqnlp", "fused,", "reference", "One"]
    assert told["gru_reset_before"].split()[2:5] == ["seqnlp", "reference", "One"]


def test_a_broken_plugin_does_not_hide_the_others(capfd: pytest.CaptureFixture[str]) -> None:
    @registry.cells.register("broken")
    class BrokenCell(LSTMCell):
        """A cell that cannot be made."""

        def __init__(self, input_size: int, hidden_size: int) -> None:
            raise ZeroDivisionError("no\n[luck]")

    @registry.engines.register("stuck")
    class StuckEngine:
        """An engine that does not start."""

        def __init__(self) -> None:
            raise OSError("no device")

    @registry.cells.register("typo")
    class MistypedCell(LSTMCell):
        """A cell that cannot be made, for a name that is not there."""

        def __init__(self, input_size: int, hidden_size: int) -> None:
            self.size = hidden_sise  # type: ignore[name-defined] # noqa: F821

    assert run(["list", "cells"], debug=True) == 0
    out = capfd.readouterr().out
    found = re.search(
        r"broken +this process +none +broken: ZeroDivisionError: no \[luck\] at .+\n", out
    )
    assert found
    assert re.search(r"NameError: .+; import or define hidden_sise in this file\n", out)
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


def test_every_package_that_claims_a_name_is_listed_with_where_it_is(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    source = "class Mine:\n    'A cell of mine.'\n"
    plant(
        tmp_path, "seqnlp-one", {"seqnlp.cells": {"same": "one:Mine", "mine": "one:Mine"}},
        files={"one.py": source},
    )  # fmt: skip
    plant(
        tmp_path, "seqnlp-two", {"seqnlp.cells": {"same": "two:Mine", "late": "two:late"}},
        files={"two.py": source + "late = 1 / 0\n"}, version="2.1",
    )  # fmt: skip
    monkeypatch.setattr(registry, "REGISTRIES", {"cells": registry.Registry("cells")})
    assert run(["list"], debug=True) == 0
    short = capfd.readouterr().out
    assert "cells  mine " in short
    assert "  A cell of mine.\n" in short
    assert re.search(r"same +seqnlp-\w+ and seqnlp-\w+ +broken: the cell name 'same'", short)
    assert run(["list", "cells", "--long"], debug=True) == 0
    lines = capfd.readouterr().out.splitlines()
    of = {name: [line for line in lines if line.split()[1] == name] for name in ("mine", "same")}
    assert of["mine"][0].split()[2:5] == ["seqnlp-one", "1.0", str(tmp_path / "one.py")]
    assert sorted(line.split()[3] for line in of["same"]) == ["1.0", "2.1"]
    assert all("broken: the cell name 'same' is claimed by" in line for line in of["same"])
    late = next(line for line in lines if " late " in line)
    assert late.endswith(
        f"broken: the cell 'late' of seqnlp-two 2.1 cannot be loaded: {tmp_path / 'two.py'}:3: "
        "ZeroDivisionError: division by zero"
    )


def test_long_descriptions_are_wrapped_on_a_screen(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "72")
    assert run(["list", "engines"], debug=True) == 0
    lines = capfd.readouterr().out.splitlines()
    assert all(len(click.unstyle(line)) <= 72 for line in lines)
    assert sum(line.startswith("engines") for line in lines) == len(registry.engines.names())
