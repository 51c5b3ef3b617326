"""Names that several packages claim, versions of the interface, and names that are missed."""

from __future__ import annotations

import sys
from itertools import permutations
from pathlib import Path

import pytest

from seqnlp.discovery import not_installed
from seqnlp.errors import NameTakenError, UnknownNameError
from seqnlp.registry import INTERFACE, Registry, cells, misplaced
from tests.planting import CELL, plant, refusal


def test_a_name_that_two_packages_claim_is_broken_and_no_other(site: Path) -> None:
    plugins = ("seqnlp-one", "seqnlp-two")
    for name in plugins:
        entries = {"lstm": "mine:Mine", "both": "mine:Mine", name[-3:]: "mine:Mine"}
        plant(site, name, {"seqnlp.cells": entries}, files={"mine.py": CELL})
    registry: Registry[type] = Registry("cells")
    assert registry.names()["one"] == "seqnlp-one"
    owners = registry.names()["lstm"].split(" and ")
    assert sorted(owners) == ["seqnlp", "seqnlp-one", "seqnlp-two"]
    claim = "the cell name 'lstm' is claimed by "
    told = registry.broken()
    assert sorted(told) == ["both", "lstm"]
    assert told["both"].endswith("; uninstall all but one")
    advice = tuple(f"; uninstall {' and '.join(order)}" for order in permutations(plugins))
    assert told["lstm"].startswith(claim)
    assert told["lstm"].endswith(advice)
    assert "seqnlp-one 1.0 and " in told["lstm"] or " and seqnlp-one 1.0" in told["lstm"]
    with pytest.raises(NameTakenError, match=claim):
        registry.get("lstm")
    assert registry.get("one").__name__ == "Mine"
    assert registry.get("gru").__name__ == "GRUCell"


@pytest.mark.parametrize(
    ("versions", "advice"),
    [
        ([str(INTERFACE)], None),
        ([], None),
        ([str(INTERFACE + 1), str(INTERFACE)], None),
        ([str(INTERFACE + 1)], "upgrade seqnlp"),
        ([str(INTERFACE - 1)], "look for a newer seqnlp-mine"),
        (["one"], "look for a newer seqnlp-mine"),
    ],
)
def test_the_version_of_the_interface_is_checked(
    site: Path, versions: list[str], advice: str | None
) -> None:
    plant(
        site,
        "seqnlp-mine",
        {
            "seqnlp.cells": {"mine": "mine:Mine"},
            "seqnlp.interface": dict.fromkeys(versions, "mine"),
        },
        files={"mine.py": CELL},
    )
    registry: Registry[type] = Registry("cells")
    if advice is None:
        assert registry.broken() == {}
        assert registry.get("mine").__name__ == "Mine"
        return
    message = (
        f"the cell 'mine' of seqnlp-mine 1.0 is written for version {versions[0]} of the plugin "
        f"interface, and this seqnlp has {INTERFACE}: {advice}"
    )
    assert registry.broken() == {"mine": message}
    assert refusal("cells", "mine") == message
    assert "mine" not in sys.modules


def test_of_two_copies_of_a_distribution_the_first_counts(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(site / "old", "Seqnlp.Mine", {"seqnlp.cells": {"mine": "old:Mine"}})
    plant(site / "new", "seqnlp-mine", {"seqnlp.cells": {"mine": "new:Mine"}}, version="2.0")
    for name in ("old", "new"):
        monkeypatch.syspath_prepend(site / name)
    assert [each.package for each in Registry("cells").origins("mine")] == ["seqnlp-mine 2.0"]


def test_a_package_in_an_archive_is_found(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    plant(
        site / "x", "seqnlp-mine", {"seqnlp.cells": {"mine": "mine:Mine"}}, files={"mine.py": CELL}
    )
    plant(
        site / "x",
        "seqnlp-deep",
        {"seqnlp.cells": {"deep": "deep.mine:Mine"}},
        files={"deep/__init__.py": "", "deep/mine.py": CELL},
    )
    archive = shutil.make_archive(str(site / "packed"), "zip", site / "x")
    monkeypatch.syspath_prepend(archive)
    registry: Registry[type] = Registry("cells")
    assert registry.names()["mine"] == "seqnlp-mine"
    assert registry.broken() == {}
    assert registry.get("mine").__name__ == "Mine"
    assert registry.get("deep").__name__ == "Mine"


def test_a_group_that_is_no_kind_is_named(site: Path) -> None:
    plant(site, "seqnlp-zzz", {"seqnlp.cell": {"zzz": "zzz:Mine"}}, files={"zzz.py": CELL})
    plant(site, "seqnlp-yyy", {"seqnlp.ab": {"yyy": "zzz:Mine"}})
    told = misplaced()
    assert told == {
        "seqnlp-zzz 1.0": "zzz is declared in the group seqnlp.cell, which is no kind; did you "
        "mean seqnlp.cells?",
        "seqnlp-yyy 1.0": "yyy is declared in the group seqnlp.ab, which is no kind",
    }
    with pytest.raises(UnknownNameError) as caught:
        cells.get("zzz")
    assert str(caught.value).endswith(f"; seqnlp-zzz 1.0: {told['seqnlp-zzz 1.0']}")


def test_what_cannot_be_called_is_no_part(site: Path) -> None:
    plant(site, "seqnlp-mine", {"seqnlp.cells": {"mine": "mine:x"}}, files={"mine.py": "x = [1]"})
    assert refusal("cells", "mine") == (
        "the cell 'mine' of seqnlp-mine 1.0 cannot be loaded: mine:x is a list; let the entry point "
        "name a class or a function"
    )


@pytest.mark.parametrize("groups", [{}, {"seqnlp.interface": {"1": "seqnlp_zzz"}}])
def test_a_miss_says_how_a_name_comes_to_be_known(
    site: Path, groups: dict[str, dict[str, str]]
) -> None:
    with pytest.raises(UnknownNameError) as caught:
        Registry("cells").get("zzz")
    assert str(caught.value).endswith(
        "; a package offers its own by an entry point in the group seqnlp.cells, once it is "
        "installed"
    )
    plant(site, "seqnlp-zzz", groups, files={"seqnlp_zzz.py": CELL})
    with pytest.raises(UnknownNameError) as caught:
        Registry("cells").get("zzz")
    assert str(caught.value).endswith(
        "; seqnlp-zzz declares no part: add an entry point in the group seqnlp.cells to its "
        "pyproject.toml and install it again"
    )


@pytest.mark.parametrize(
    ("folder", "advice"),
    [
        (".", "pyproject.toml declares it, but it is not installed, or was before that: pip install -e ."),
        ("lstn", "lstn/pyproject.toml declares it, but it is not installed, or was before that: pip install -e ./lstn"),
        ("my cell", "my cell/pyproject.toml declares it, but it is not installed, or was before that: pip install -e './my cell'"),
    ],
)  # fmt: skip
def test_a_package_that_lies_here_and_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, advice: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in {
        folder: '[project.entry-points."seqnlp.cells"]\nlstn = "mine:Mine"\n',
        "broken": "[project",
        "odd": "project = 3",
        "other": '[project.entry-points]\n"seqnlp.hooks" = {lstn = "mine:Mine"}\n',
    }.items():
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "pyproject.toml").write_text(text)
    with pytest.raises(UnknownNameError, match="did you mean 'lstm'") as caught:
        cells.get("lstn")
    assert str(caught.value).endswith(f"; {advice}")
    assert not_installed("lstn", "tasks") == ""
    assert not_installed("lstn").startswith(advice.partition(" ")[0])
