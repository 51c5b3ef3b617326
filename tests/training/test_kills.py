"""A hundred runs are killed at random instants (kill -9), and all end with the same bits.

A process is forked for each, so that it need not import anything again: the kills fall on the
reading of the corpus, the steps, the writing of checkpoints, validation, and the saving and the
measuring of the model alike.
"""

from __future__ import annotations

import os
import random
import signal
import time
import traceback
from pathlib import Path

import pytest

import seqnlp
from seqnlp import registry
from seqnlp.config import Settings, load_settings
from seqnlp.training.checkpoints import FOLDER
from tests.toy import SMALL, small_settings
from tests.toy_summarization import small_summarization
from tests.toy_translation import small_translation
from tests.training.resuming import outcome

KILLS = 20
"""Of each task."""
EVERY = "hooks.checkpoint.steps=2"


def settings_for(task: str, request: pytest.FixtureRequest) -> Settings:
    def corpus(name: str) -> Path:
        path: Path = request.getfixturevalue(f"{name}_corpus")
        return path

    match task:
        case "sentiment":
            return small_settings(corpus("toy"), EVERY, "train.epochs=12", "hooks.average=true",
                                  "ensemble=2", "train.refit=true")  # fmt: skip
        case "translation":
            return small_translation(corpus("pairs"), EVERY, "train.epochs=3")
        case "summarization":
            return small_summarization(corpus("reports"), EVERY, "train.epochs=3")
        case "extraction":
            name = f'corpus.name="{corpus("reports")}"'
        case _:
            name = "corpus.name=adding:10,train=320,validation=40,test=40"
    small = [each for each in SMALL if "dropout" not in each]
    own = [f"task={task}", name, *small, EVERY, "train.epochs=4"]
    return load_settings(None, own, base=registry.tasks.get(task).defaults)


def start(settings: Settings, folder: Path) -> int:
    """A process that begins the run, or goes on with it; its number."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        seqnlp.train(settings, folder, resume=True)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def finish(settings: Settings, folder: Path) -> float:
    """Run to the end in a process of its own; seconds."""
    started = time.monotonic()
    _, status = os.waitpid(start(settings, folder), 0)
    assert status == 0
    return time.monotonic() - started


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize(
    "task", ["sentiment", "translation", "summarization", "extraction", "long_range"]
)
def test_runs_that_are_killed_end_as_if_they_were_not(
    task: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = settings_for(task, request)
    finish(settings, tmp_path / "first")
    seconds = finish(settings, tmp_path / "whole")
    expected = outcome(tmp_path / "whole")
    instants = random.Random(task)
    killed = 0
    for number in range(10 * KILLS):
        folder = tmp_path / str(number)
        child = start(settings, folder)
        time.sleep(instants.uniform(0, seconds))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            killed += 1
            # What is complete is so to the last file, or else it is gone on with.
            if (folder / FOLDER).exists() or not (folder / "metrics.json").exists():
                finish(settings, folder)
        assert outcome(folder) == expected, f"kill {killed}"
        if killed == KILLS:
            break
    assert killed == KILLS
