"""`seqnlp plugin new`: what it says when it has written a package, and when it has not."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqnlp.cli.main import run
from seqnlp.workshop.kinds import KINDS
from tests.cli.calling import call


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_it_says_what_to_type_next(capfd: pytest.CaptureFixture[str]) -> None:
    assert call(capfd, "plugin", "new", "my-gate") == (
        0,
        "wrote seqnlp-my-gate, 9 files; in seqnlp_my_gate/cell.py the formula is `update`\n"
        "next:\n"
        "  cd seqnlp-my-gate\n"
        "  pip install -e '.[test]'\n"
        "  pytest\n"
        "  seqnlp plugin check my-gate\n"
        "  seqnlp train --cell my-gate\n",
        "",
    )
    assert Path("seqnlp-my-gate/pyproject.toml").is_file()


@pytest.mark.parametrize("kind", KINDS)
def test_the_help_names_every_kind(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    _, out, _ = call(capfd, "plugin", "new", "--help")
    assert f" {kind}," in out or f" {kind}." in out


def test_a_folder_of_another_name(capfd: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capfd, "plugin", "new", "cut", "--kind", "tokenizer", "--folder", "a b")
    assert status == 0
    assert "wrote a b, 9 files; in seqnlp_cut/tokenizer.py texts are cut in `tokenize`" in out
    assert "  cd 'a b'\n" in out
    assert out.endswith("  seqnlp train --tokenizer cut\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["my cell"], "'my cell' cannot name a cell: "),
        (["lstm"], "the cell name 'lstm' is taken by seqnlp; choose another\n"),
        (["x", "--kind", "taks"], "no kind of template is named 'taks'; did you mean 'task'?"),
        (["x", "--folder", "."], ". exists already; nothing was written"),
        ([], "Missing argument 'NAME'; see seqnlp plugin new --help"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    words: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["plugin", "new", *words], debug=False) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith(f"error: {message}")
    assert not list(Path().iterdir())
