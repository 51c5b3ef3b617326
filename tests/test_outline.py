"""Plugins as metadata and sources show them, and what is said of broken ones."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import pytest

from seqnlp.discovery import declarations
from seqnlp.outline import _package
from seqnlp.registry import Registry
from tests.planting import CELL, plant, refusal


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
    assert refusal("cells", "mine") == message.replace("SITE", str(site))
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
