from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest

from seqnlp.discovery import declarations, not_installed
from seqnlp.errors import NameTakenError, SeqnlpError, UnknownNameError
from seqnlp.outline import _package
from seqnlp.registry import INTERFACE, REGISTRIES, Registry, cells, misplaced
from tests.planting import plant


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


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that packages are looked for in; what is imported from it is forgotten again."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


CELL = '''"""A module."""


class Mine:
    r"""A cell of mine.

    More of it.
    """
'''


def _refusal(kind: str, name: str) -> str:
    with pytest.raises(SeqnlpError) as caught:
        Registry(kind).get(name)
    return str(caught.value)


def test_the_metadata_say_what_importlib_says() -> None:
    found = {
        (each.group, each.name, each.value, each.distribution, each.version)
        for each in declarations()
    }
    expected = {
        (entry.group.removeprefix("seqnlp."), entry.name, entry.value, dist.name, dist.version)
        for dist in importlib.metadata.distributions()
        for entry in dist.entry_points
        if entry.group.startswith("seqnlp.")
    }
    assert found == expected
    assert len(found) > 50


def test_a_plugin_is_found_by_its_metadata(site: Path) -> None:
    plant(
        site,
        "seqnlp-mine",
        {"seqnlp.cells": {"mine": "mine:Mine [extra]"}, "other": {"x": "y:z"}},
        files={"mine.py": CELL},
    )
    registry: Registry[type] = Registry("cells")
    assert registry.names()["mine"] == "seqnlp-mine"
    assert registry.summary("mine") == "A cell of mine."
    assert "mine" not in sys.modules
    assert "mine" not in registry.broken()
    assert [each.package for each in registry.origins("mine")] == ["seqnlp-mine 1.0"]
    assert registry.get("mine").__name__ == "Mine"


def test_a_summary_is_found_through_the_modules_that_pass_a_part_on(site: Path) -> None:
    init = "from .deep import (\n    f,\n    Kept as Mine,  # renamed\n)\n"
    plant(
        site,
        "seqnlp-mine",
        {
            "seqnlp.cells": {
                "mine": "mine:Mine",
                "far": "mine.sub.far:Far",
                "plain": "mine.deep:f",
                "below": "mine.deep:Below",
            }
        },
        files={
            "mine/__init__.py": init,
            "mine/deep.py": "from mine.deeper import Mine as Kept\n\n\ndef f(\n    x: int,\n) -> int:"
            "\n    'One line.'\n\n\nclass NoDoc:\n    def f(self):\n        'Not this.'\n"
            '\n\nclass Below:\n    """\n    Begins below.\n    """\n',
            "mine/deeper.py": CELL,
            "mine/sub/__init__.py": "",
            "mine/sub/far.py": "from ..deep import NoDoc as Far\n",
        },
    )
    registry: Registry[type] = Registry("cells")
    assert registry.summary("mine") == "A cell of mine."
    assert registry.summary("plain") == "One line."
    assert registry.summary("far") == ""
    assert registry.summary("below") == "Begins below."
    assert not {"mine", "far", "plain"} & registry.broken().keys()
    assert registry.get("far").__name__ == "NoDoc"


@pytest.mark.parametrize(
    ("value", "source", "broken", "refused"),
    [
        ("mine:Mine", None, "there is no module 'mine'; mend its entry point",
         "there is no module mine, which its entry point mine:Mine names; mend the entry point or "
         "the module, and install the package again"),
        ("mine", CELL,
         "its entry point names the module SITE/mine.py; name what is in it: module:Class",
         "its entry point is 'mine'; name a module and what is in it: mine:Class"),
        (":Mine", CELL, "there is no module ''; mend its entry point",
         "its entry point is ':Mine'; name a module and what is in it: module:Mine"),
        ("mine:Mina", CELL, "SITE/mine.py has no Mina; did you mean 'Mine'?",
         "mine has no Mina; did you mean 'Mine'?"),
        ("mine:Mine", "class Mine(:\n    pass\n", "SITE/mine.py:1: invalid syntax",
         "SITE/mine.py:1: invalid syntax"),
        ("mine:Mine", f"'''\nfrom here to there\nimport nothing more\n'''\nimport no_such_thing.deep\n{CELL}",
         "SITE/mine.py imports no_such_thing, which is not installed",
         "SITE/mine.py:5: it imports no_such_thing, which is not installed; pip install "
         "no_such_thing"),
        ("mine:Mine", f"\nraise ValueError('no luck')\n{CELL}", None,
         "SITE/mine.py:2: ValueError: no luck"),
        ("mine:Mine", f"import sys\nsys.exit(3)\n{CELL}", None, "SITE/mine.py:2: SystemExit: 3"),
        ("mine:Mine", f"Mine = undefined\n{CELL}", None,
         "SITE/mine.py:1: NameError: name 'undefined' is not defined"),
        ("mine:Mine", f"class Panic(BaseException):\n    pass\nraise Panic('one\\n two')\n{CELL}",
         None, "SITE/mine.py:3: Panic: one two"),
        ("mine:Mine", f"import json.none\n{CELL}", None,
         "SITE/mine.py:1: it imports json.none, and json has no such module"),
        ("mine:Mine", f"x = 1\0\n{CELL}", "SITE/mine.py: source code string cannot contain null bytes",
         "mine: source code string cannot contain null bytes"),
        ("mine:Mine", f"x = {'-' * 20_000}1\n{CELL}",
         "SITE/mine.py: its expressions are nested too deeply for Python", "MemoryError"),
        ("mine:Mine", f"x = '\udce9'\n{CELL}",
         "SITE/mine.py:1: (unicode error) 'utf-8' codec can't decode byte 0xe9 in position 0: "
         "unexpected end of data",
         "SITE/mine.py:1: (unicode error) 'utf-8' codec can't decode byte 0xe9 in position 0: "
         "unexpected end of data"),
        ("mine:Mine.inner", CELL, None, "mine has no Mine.inner"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_plugin_is_said(
    site: Path, value: str, source: str | None, broken: str | None, refused: str
) -> None:
    files = {} if source is None else {"mine.py": source}
    plant(site, "seqnlp-mine", {"seqnlp.cells": {"mine": value}}, files=files)
    registry: Registry[type] = Registry("cells")
    expected = {} if broken is None else {"mine": broken.replace("SITE", str(site))}
    assert registry.broken() == expected
    assert "mine" not in sys.modules
    message = f"the cell 'mine' of seqnlp-mine 1.0 cannot be loaded: {refused}"
    assert _refusal("cells", "mine") == message.replace("SITE", str(site))
    assert registry.get("lstm").__name__ == "LSTMCell"


@pytest.mark.parametrize(
    "source",
    [
        f"\ufeff{CELL}",
        f"# -*- coding: latin-1 -*-\nclass \udce9t\udce9:\n    pass\n{CELL}",
        f'{CELL}\n    text = """\nimport no_such_thing\n"""\n',
        f"{CELL}\n    number = 1 is 1\n",
    ],
    ids=["mark", "latin-1", "import in a string", "warning"],
)
@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_odd_sources_are_none_the_less_python(
    site: Path, source: str, capfd: pytest.CaptureFixture[str]
) -> None:
    plant(site, "seqnlp-mine", {"seqnlp.cells": {"mine": "mine:Mine"}}, files={"mine.py": source})
    registry: Registry[type] = Registry("cells")
    assert registry.broken() == {}
    assert registry.summary("mine") == "A cell of mine."
    assert capfd.readouterr().err == ""
    assert registry.get("mine").__name__ == "Mine"


def test_what_another_finder_raises_hides_no_part(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Finder:
        def find_spec(self, name: str, path: object) -> None:
            raise OSError(name)

    plant(site, "seqnlp-mine", {"seqnlp.cells": {"mine": "mine:Mine"}}, files={"mine.py": CELL})
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    _package.cache_clear()
    assert Registry("cells").broken() == {}


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
    assert _refusal("cells", "mine") == message
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
    assert _refusal("cells", "mine") == (
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
