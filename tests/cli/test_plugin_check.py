"""`seqnlp plugin check`."""

from __future__ import annotations

import importlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from seqnlp import registry
from seqnlp.testing import CONTRACTS, check_cell
from tests.cli.calling import call
from tests.testing import planted_cells as planted


@pytest.fixture(autouse=True)
def _planted() -> Iterator[None]:
    parts = {"sourceless": planted.Sourceless, "swapped": planted.SwappedShapes}
    for name, part in parts.items():
        registry.cells.register(name)(part)
    yield
    for name in parts:
        del registry.cells._local[name]


def test_a_part_that_keeps_its_contract(capfd: pytest.CaptureFixture[str]) -> None:
    status, out, err = call(capfd, "plugin", "check", "rnn", "--set", "activation=sigmoid")
    lines = out.splitlines()
    assert (status, err) == (0, "")
    assert lines[0] == "cell rnn (seqnlp, seqnlp.nn.cells.rnn.RNNCell)"
    assert [line[9:].split("  ")[0] for line in lines[1:-1] if line[0] != " "] == list(
        check_cell.names
    )
    assert "passed   padding is invisible" in lines
    assert lines[-1] == "22 passed, 2 skipped"
    assert not logging.root.manager.disable


def test_what_failed_is_told_with_its_remedy(capfd: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capfd, "plugin", "check", "sourceless")
    assert status == 1
    found = re.sub(r"\s+", " ", out)
    assert (
        "failed the docstring says what it is the docstring does not say where the formula is "
        'from remedy: add a line such as "Source: Cho et al. 2014, arXiv:1406.1078", or "Source: '
        'own."' in found
    )
    assert out.splitlines()[-1] == "21 passed, 2 skipped, 1 failed"
    assert not any(line.endswith(" ") for line in out.splitlines())


def test_what_means_nothing_after_a_failure_takes_one_line(
    capfd: pytest.CaptureFixture[str],
) -> None:
    status, out, _ = call(capfd, "plugin", "check", "swapped")
    lines = out.splitlines()
    assert status == 1
    assert lines[0] == "cell swapped (this process, tests.testing.planted_cells.SwappedShapes)"
    assert lines[-2] == "the checks after it are not tried, since 'shapes are right' fails"
    assert lines[-1] == "3 passed, 1 failed, 20 not tried"
    assert len(lines) < 12


def test_one_check_alone(capfd: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(
        capfd, "plugin", "check", "lstm", "--kind", "cell", "--only", "shapes are right"
    )
    assert status == 0
    assert out.splitlines()[1:] == ["passed   shapes are right", "1 passed"]
    status, _, err = call(capfd, "plugin", "check", "lstm", "--only", "shape are right")
    assert status == 2
    assert err.startswith("error: no check is named 'shape are right'; did you mean 'shapes are")


@pytest.mark.parametrize("kind", sorted(CONTRACTS))
def test_every_kind_has_a_contract(kind: str) -> None:
    contract = CONTRACTS[kind]
    assert contract.kind == kind
    assert len(contract.names) >= 4
    assert len(CONTRACTS) == 10


def test_another_kind(capfd: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capfd, "plugin", "check", "lowercase")
    assert status == 0
    assert out.startswith("normalizer lowercase (seqnlp, seqnlp.text.normalize.lowercase)\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lstn"], "no part is named 'lstn'; did you mean 'lstm'?; all names: seqnlp list"),
        (["nltk"], "a tokenizer and a corpus are called 'nltk'; say which: --kind tokenizer"),
        (["fused"], "'fused' is an engine; there is a contract for: cell, encoder, decoder, attention, pooling, normalizer, tokenizer, corpus, task, hook"),
        (["lstm", "--kind", "cel"], "no kind is named 'cel'; did you mean 'cell'? known: attention, cell, corpus, decoder, encoder, hook, normalizer, pooling, task, tokenizer"),
        (["rnn", "--kind", "hooks"], "no hook is named 'rnn'; "),
        (["rnn", "--set", "activaton=relu"], "--set activaton=relu: no key 'activaton'; did you mean 'activation'? known: activation"),
        (["rnn", "--set", "relu"], "--set relu: expected key=value, such as scale=0.5"),
    ],
)  # fmt: skip
def test_what_cannot_be_checked_is_one_line(
    capfd: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    status, out, err = call(capfd, "plugin", "check", *words)
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {message}")
    assert err.count("\n") == 1


def test_a_name_that_is_near_none(capfd: pytest.CaptureFixture[str]) -> None:
    status, _, err = call(capfd, "plugin", "check", "zzzzzzzzzz")
    assert status == 2
    assert re.fullmatch(
        r"error: no part is named 'zzzzzzzzzz'; .*entry point.*; all names: seqnlp list\n", err
    )


def test_the_group_alone_shows_what_there_is(capfd: pytest.CaptureFixture[str]) -> None:
    status, out, err = call(capfd, "plugin")
    assert (status, err) == (0, "")
    assert "new    Write the package of a new part." in out
    status, _, err = call(capfd, "plugin", "chek")
    assert (status, err) == (2, "error: no command is named 'chek'; did you mean 'check'? known: check, new\n")  # fmt: skip


def test_the_place_of_a_failure_is_not_broken_at_its_hyphens(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "from seqnlp import GatedCell\n\n\nclass Mine(GatedCell):\n    gates = 1\n\n"
    source += "    def update(self, x_gates, h_gates, state):\n        return (tanh(x_gates[0]),)\n"
    folder = tmp_path / "-".join(["long"] * 20)
    folder.mkdir()
    (folder / "hyphens_of_tests.py").write_text(source)
    monkeypatch.syspath_prepend(folder)
    mine = importlib.import_module("hyphens_of_tests").Mine
    monkeypatch.setitem(registry.cells._local, "hyphens", mine)
    status, out, _ = call(capfd, "plugin", "check", "hyphens")
    assert status == 1
    assert f"{folder.name}/hyphens_of_tests.py:8\n" in out
    assert "remedy: import or define tanh in this file\n" in out


def test_a_package_that_is_not_installed(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(capfd, "plugin", "new", "lstn")[0] == 0
    status, out, err = call(capfd, "plugin", "check", "lstn")
    assert (status, out) == (2, "")
    assert err == (
        "error: no part is named 'lstn'; seqnlp-lstn/pyproject.toml declares it, but it is not "
        "installed, or was before that: pip install -e ./seqnlp-lstn; all names: seqnlp list\n"
    )
