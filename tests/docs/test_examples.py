"""What the pages show works: code runs, commands parse and name what exists, links lead somewhere.

Code blocks of a page run one after another in one namespace and in a folder of their own. Their
trainings are cut down, so what is held is that the code works, not the figures beside it.
"""

from __future__ import annotations

import doctest
import importlib
import json
import pkgutil
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

import seqnlp
from seqnlp import registry
from seqnlp.cli.main import cli, run
from seqnlp.config import Settings
from seqnlp.nn import INITIALIZERS
from seqnlp.training import preparation
from seqnlp.training import run as training
from seqnlp.tuning.space import check_space, parse_space
from tests.docs.pages import PAGES, ROOT, blocks, commands

NAMES = [str(path.relative_to(ROOT)) for path in PAGES]
RUNNABLE = [page for page in PAGES if blocks(page, "python") or blocks(page, "pycon")]
COMMANDS = [
    pytest.param(words, alone, id=f"{page.name}:{line}")
    for page in PAGES
    # test_contributing.py runs those, and test_plugin_pages.py tries these
    if page.name not in ("CONTRIBUTING.md", "plugins.md") and page.parent.name != "plugins"
    for line, words, alone in commands(page)
    if words[:2] == ["plugin", "new"] or "my-cell" not in words
]
MODELS = {"compare", "diagnose", "evaluate", "export", "predict", "show"}
KINDS = {
    r"[a-z]{2}-[a-z]{2}\b": "pairs_run",
    "headlines$": "reports_run",
    "keeping$|subjects$": "keeping_run",
    "sentences$": "extracts_run",
}
"""How the pages call the folders of models, and the fixture that has one like it."""


@pytest.fixture
def _own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a page registers in this process is gone after it."""
    for each in registry.REGISTRIES.values():
        monkeypatch.setattr(each, "_local", dict(each._local))


@pytest.fixture
def _cut_down(monkeypatch: pytest.MonkeyPatch) -> None:
    real = training.train

    def train(settings: Settings, *arguments: object, **options: object) -> object:
        model = settings.model.model_copy(
            update={
                "hidden_size": min(settings.model.hidden_size, 8),
                "embedding_size": min(settings.model.embedding_size, 8),
            }
        )
        text = settings.text.model_copy(
            update={"ngram_buckets": min(settings.text.ngram_buckets, 200)}
        )
        epochs = settings.train.model_copy(update={"epochs": min(settings.train.epochs, 2)})
        small = {"model": model, "text": text, "train": epochs, "threads": 1}
        return real(settings.model_copy(update=small), *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "train", train)


@pytest.mark.usefixtures("_own_names", "_cut_down")
@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_python_of_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [""] * page.read_text(encoding="utf-8").count("\n")
    for block in blocks(page, "python"):
        if block.file is None:
            text = block.text.splitlines()
            lines[block.line - 1 : block.line - 1 + len(text)] = text
    script = tmp_path / f"{page.stem}.py"
    script.write_text("\n".join(lines) + "\n")  # a traceback has the lines of the page
    names = runpy.run_path(str(script))

    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    parser = doctest.DocTestParser()
    for block in blocks(page, "pycon"):
        test = parser.get_doctest(block.text, names, page.name, str(page), block.line - 1)
        runner.run(test, clear_globs=False)
        names = test.globs
    assert runner.summarize(verbose=False).failed == 0


def _parse(words: list[str]) -> click.Context:
    """Parse as the command line does, to the innermost command, and call nothing."""
    command: click.Command = cli
    name: str | None = "seqnlp"
    while isinstance(command, click.Group):
        context = click.Context(command, info_name=name)
        name, found, words = command.resolve_command(context, list(words))
        assert found is not None, f"no command {name}"
        command = found
    return command.make_context(name, words)


@pytest.mark.parametrize(("words", "alone"), COMMANDS)
def test_a_command_of_a_page_works(
    words: list[str],
    alone: bool,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Trainings are checked to the last name and key; what is cheap is called."""
    monkeypatch.chdir(tmp_path)
    if words[0] in ("train", *MODELS):
        for word in words:
            if word.startswith("runs/") and word.endswith("/best.toml"):
                (tmp_path / word).parent.mkdir(parents=True)
                (tmp_path / word).write_text(Settings().to_toml())
                continue
            # A folder that an earlier command of the page has made.
            folder = Path(word.removesuffix("/config.toml"))
            if folder.parts[:1] == ("runs",) and words[words.index(word) - 1] != "--output":
                kinds = (each for each in KINDS if re.match(each, folder.name))
                made = request.getfixturevalue(KINDS.get(next(kinds, ""), "toy_run"))
                shutil.copytree(made, tmp_path / folder, dirs_exist_ok=True)
    (tmp_path / "input.de").write_text("Der Hund kann das Haus sehen.\n")
    (tmp_path / "reports.txt").write_text("Dora left the club. Emil looked on.\n")
    if words[:1] == ["--version"] or "--help" in words:
        assert run(words, debug=True) == 0
        return
    options = _parse(words).params
    if words[0] in ("train", "tune", "find-lr"):
        from seqnlp.cli.run_options import SHORT, RunRequest, settings_of

        given = {key: options[key] for key in ("recipe", "columns", "overrides")}
        short = {key: options[key] for key in SHORT}
        settings, _ = settings_of(RunRequest(**given, short=short))
        preparation.make_hooks(preparation.complete(settings), tmp_path)
        _names_exist(settings)
        check_space(preparation.complete(settings), parse_space(options.get("searches", ())))
    elif words[0] in ("push", "serve") or any(word.startswith("hf:") for word in words):
        pass  # other tests call them, with a Hub and with clients
    elif alone and options.get("corpus") in (None, "reviews", "stories", "reports"):
        if words[0] == "compare":
            toy = request.getfixturevalue("toy_run")
            for recipe in (Path(word) for word in words if word.startswith("recipes/")):
                folder = tmp_path / "data" / recipe.stem
                shutil.copytree(request.getfixturevalue("toy_corpus"), folder)
            monkeypatch.setenv("SEQNLP_DATA", str(tmp_path / "data"))
            monkeypatch.setattr("seqnlp.cli.compare_training.train_missing", _stand_in(toy))
        assert run(words, debug=True) == 0


def _stand_in(folder: Path) -> Callable[..., object]:
    """In the place of runs that a comparison would train, whose settings it has checked."""
    from seqnlp.comparison.runs import Run, System
    from seqnlp.comparison.wanted import Wanted

    def train_missing(wanted: list[Wanted], **_: object) -> tuple[list[System], bool]:
        runs = [each.runs or (Run.read(folder),) for each in wanted]
        named = zip(wanted, runs, strict=True)
        return [System(name=each.name, runs=own) for each, own in named], True

    return train_missing


def _names_exist(settings: Settings) -> None:
    from seqnlp.text.tokenizers import parse_tokenizer

    if attention := settings.head.get("attention"):
        registry.attentions.get(attention)
    parse_tokenizer(settings.text.tokenizer, settings.text.tokenizer_options)


def _anchors(page: Path) -> set[str]:
    """The anchors that a Markdown renderer gives to the headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        other = (page.parent / file).resolve() if file else page
        assert other.exists(), f"{page.name}: {target} does not exist"
        assert other.is_relative_to(ROOT), f"{page.name}: {target} is outside of the project"
        if anchor:
            assert anchor in _anchors(other), f"{page.name}: {target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_the_index_reaches_every_page(page: Path) -> None:
    index = ROOT / "docs" / ("plugins.md" if page.parent.name == "plugins" else "index.md")
    if page.is_relative_to(ROOT / "docs") and page.name != "index.md":
        where = page.relative_to(ROOT / "docs").as_posix()
        assert f"]({where})" in index.read_text(encoding="utf-8")


def test_a_cell_is_written_in_under_sixty_lines() -> None:
    page = ROOT / "docs" / "write-a-cell.md"
    assert len(page.read_text(encoding="utf-8").splitlines()) < 60


def test_the_settings_page_is_the_one_that_the_code_describes() -> None:
    out = subprocess.run(
        [sys.executable, ROOT / "docs" / "make_settings.py", "--check"],
        capture_output=True,
        text=True,
    )
    assert out.returncode == 0, out.stderr


def _modules() -> Iterator[str]:
    for module in pkgutil.walk_packages(seqnlp.__path__, "seqnlp."):
        on_gpus = module.name.startswith("seqnlp.nn.engines.triton.kernels.")
        if not module.name.endswith("__main__") and (not on_gpus or find_spec("triton")):
            yield module.name


def test_the_examples_in_docstrings_are_true() -> None:
    tried = 0
    for name in _modules():
        result = doctest.testmod(importlib.import_module(name))
        assert result.failed == 0, name
        tried += result.attempted
    assert tried > 10  # they were found at all


def test_every_hook_is_in_the_table_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    own = {name for name, package in registry.hooks.names().items() if package == "seqnlp"}
    assert set(re.findall(r"^\| `(\w+)` \| .* \|$", readme, re.MULTILINE)) >= own


def test_every_cell_and_initializer_is_in_a_table_of_the_models() -> None:
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    own = {name for name, package in registry.cells.names().items() if package == "seqnlp"}
    assert set(re.findall(r"^\| `(\w+)` \| .* \|$", page, re.MULTILINE)) >= own | set(INITIALIZERS)


def test_the_files_of_a_model_are_those_of_the_readme(toy_run: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## The files of a saved model")[2].partition("\n## ")[0]
    told = set(re.findall(r"`([\w.]+\.\w+)`", section))
    assert told == {path.name for path in toy_run.iterdir()}
    manifest = json.loads((toy_run / "bundle.json").read_text())
    assert set(manifest["sha256"]) <= told
