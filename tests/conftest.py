"""What every test shares: its own cache, one thread, and no network."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import torch

from seqnlp import registry
from seqnlp.config import load_settings
from seqnlp.training.run import train
from tests.toy import SMALL, small_settings, write_corpus
from tests.toy_seeds import train_seeds
from tests.toy_summarization import small_summarization, write_reports
from tests.toy_translation import small_translation, write_pairs

torch.set_num_threads(1)
# A job in the background is started deaf to Ctrl-C, which some tests send.
signal.signal(signal.SIGINT, signal.default_int_handler)
# A busy machine is no reason to fail; and what passed once passes again. HYPOTHESIS_PROFILE=anew
# draws other cases in each run, which is how new ones are found.
hypothesis.settings.register_profile("seqnlp", deadline=None, derandomize=True)
hypothesis.settings.register_profile("anew", deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "seqnlp"))


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["SEQNLP_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that packages are looked for in; what is imported from it is forgotten again."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    data = os.environ.get("SEQNLP_DATA")
    if data and Path(data).is_dir():
        return
    skip = pytest.mark.skip(reason="SEQNLP_DATA names no folder of real corpora")
    for item in items:
        if item.get_closest_marker("data"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def toy_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus that a small model learns in a second."""
    return write_corpus(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def toy_run(toy_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model trained on it; read only."""
    folder = tmp_path_factory.mktemp("runs") / "toy"
    train(small_settings(toy_corpus), folder)
    return folder


@pytest.fixture(scope="session")
def seed_runs(toy_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs of two cells and three seeds, CELL-seed-N; read only."""
    return train_seeds(toy_corpus, tmp_path_factory.mktemp("seeds"))


@pytest.fixture(scope="session")
def pairs_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a parallel corpus, German and English, that is learned in seconds."""
    return write_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="session")
def pairs_run(pairs_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a translator trained on it; read only."""
    folder = tmp_path_factory.mktemp("runs") / "de-en"
    train(small_translation(pairs_corpus), folder)
    return folder


@pytest.fixture(scope="session")
def reports_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with short reports and summaries, whose names of the test split are only there."""
    return write_reports(tmp_path_factory.mktemp("reports"))


@pytest.fixture(scope="session")
def reports_run(reports_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a summarizer trained on it; read only."""
    folder = tmp_path_factory.mktemp("runs") / "headlines"
    train(small_summarization(reports_corpus), folder)
    return folder


@pytest.fixture(scope="session")
def keeping_run(reports_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a summarizer that has learned little but keeps its training examples."""
    folder = tmp_path_factory.mktemp("runs") / "keeping"
    train(small_summarization(reports_corpus, "head.neighbors=true", "train.epochs=1"), folder)
    return folder


@pytest.fixture(scope="session")
def extracts_run(reports_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that picks sentences, trained on it; read only."""
    folder = tmp_path_factory.mktemp("runs") / "sentences"
    small = [f'corpus.name="{reports_corpus}"', *SMALL, "task=extraction", "train.epochs=2"]
    train(load_settings(None, small, base=registry.tasks.get("extraction").defaults), folder)
    return folder
