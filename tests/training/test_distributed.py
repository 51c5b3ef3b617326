"""Two processes that train together: the result of one, and one that speaks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqnlp.errors import InputError
from seqnlp.nn.embedding import TokenEmbedding
from seqnlp.training.checkpoints import unpack
from seqnlp.training.distributed import Group, is_main
from seqnlp.training.gradients import LARGE, Gradients
from tests.toy import small_settings
from tests.toy_summarization import small_summarization
from tests.toy_translation import small_translation
from tests.training import partners

ROOT = Path(__file__).parents[2]
PLAIN = [
    "hooks.dropout=false", "train.epochs=2", "hooks.checkpoint=false", "model.engine=reference",
]  # fmt: skip


def torchrun(*words: str, restarts: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a module in two processes."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
              "--max-restarts", str(restarts), "-m"]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run([*launch, *words], capture_output=True, text=True, timeout=300,
                          env=environment, cwd=ROOT)  # fmt: skip


@pytest.fixture(scope="module")
def recipes(
    tmp_path_factory: pytest.TempPathFactory,
    toy_corpus: Path,
    pairs_corpus: Path,
    reports_corpus: Path,
) -> Path:
    """A folder with the settings of a small run of each task."""
    folder = tmp_path_factory.mktemp("partners")
    settings = {
        "sentiment": small_settings(toy_corpus, *PLAIN, "model.hidden_size=6"),
        "translation": small_translation(pairs_corpus, *PLAIN, "model.hidden_size=8"),
        "summarization": small_summarization(reports_corpus, *PLAIN, "model.hidden_size=8"),
    }
    for name, each in settings.items():
        (folder / f"{name}.toml").write_text(each.to_toml())
    return folder


@pytest.fixture(scope="module")
def folder(recipes: Path) -> Path:
    """Where both processes have written what they came to."""
    done = torchrun("tests.training.partners", str(recipes))
    assert done.returncode == 0, done.stderr[:3000]
    return recipes


@pytest.fixture(scope="module")
def heard(folder: Path) -> list[dict[str, Any]]:
    """What each process says, by rank."""
    return [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(2)]


def test_processes_hear_the_same(heard: list[dict[str, Any]]) -> None:
    first, second = (each["talk"] for each in heard)
    assert first == second
    assert first["gather"] == [[0, [0]], [1, [0, 1]]]
    assert first["agree"] == [True, False]
    assert first["from_main"] == {"rank": 0}
    assert first["share_state"] == [[1.0, 1.0]]
    assert first["interrupted"].startswith("Interrupted")
    # The sum of both, divided by the units of both.
    assert first["reduced"] == [4.0, 8.0, [[0.75, 0.75]]]
    # A flag is heard with the next gradients, and once.
    assert first["told"] == [False, True, False, False]
    assert first["others"] == (
        "InputError: process 1 of 2 begins with other weights than process 0; all must have the "
        "same corpus, settings and versions"
    )


@pytest.mark.parametrize("name", [*partners.RUNS, *partners.TASKS])
def test_both_have_the_same_bits_and_figures(heard: list[dict[str, Any]], name: str) -> None:
    first, second = (each[name] for each in heard)
    assert first["digest"] == second["digest"]
    shared = {"train_loss", "loss", "lr", "padding"}
    for one, other in zip(first["history"], second["history"], strict=True):
        assert {k: one[k] for k in shared & one.keys()} == {
            k: other[k] for k in shared & one.keys()
        }
    assert "loss" in first["history"][-1]
    # Dropout is drawn by each for itself.
    assert first["drawn"] != second["drawn"]


@pytest.mark.parametrize("name", sorted({*partners.RUNS, *partners.TASKS} - {"dropout"}))
def test_the_weights_are_those_of_one_process(
    folder: Path, heard: list[dict[str, Any]], name: str
) -> None:
    task, trainer = partners.run(folder, name, Group())
    found = unpack((folder / f"{name}.weights").read_bytes())
    for key, weight in task.state_dict().items():
        # Adam makes of the last bits of a gradient that is almost zero a step of any size.
        torch.testing.assert_close(found[key], weight, rtol=1e-3, atol=2e-3, msg=key)
    for one, two in zip(trainer.history, heard[0][name]["history"], strict=True):
        assert two["train_loss"] == pytest.approx(one["train_loss"], rel=1e-4)
    assert heard[0][name]["examples"] == trainer.examples_seen


def test_a_run_of_two_repeats_to_the_bit(heard: list[dict[str, Any]]) -> None:
    assert heard[0]["again"] == heard[0]["dropout"]["digest"]
    assert heard[0]["dropout"]["digest"] != heard[0]["by row"]["digest"]


def test_one_process_is_the_first_to_fail(heard: list[dict[str, Any]]) -> None:
    assert sorted(each["first"] for each in heard) == [False, True]


@given(rows=st.integers(1, 40), size=st.integers(1, 5), parts=st.integers(1, 4))
def test_a_batch_is_dealt_out_whole_and_evenly(rows: int, size: int, parts: int) -> None:
    shares = Group(0, size).deal(np.arange(rows), parts)
    assert len(shares) == size
    assert sorted(np.concatenate([part for share in shares for part in share])) == [*range(rows)]
    counts = [sum(len(part) for part in share) for share in shares]
    assert max(counts) - min(counts) <= 1
    assert all(len(share) <= parts and all(len(part) for part in share) for share in shares)


def test_alone_nobody_is_waited_for() -> None:
    group = Group()
    assert group.main
    assert group.gather(3) == [3]
    assert group.agree(True)
    assert group.from_main(lambda: "mine") == "mine"
    group.tell("signal")
    assert group.told("signal")
    assert not group.told("signal")
    assert group.fails_first()


def test_processes_share_the_cores_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(9), raising=False)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert Group(1, 4).cores == 4
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "16")
    assert Group(1, 16).cores == 1


def test_gradients_of_one_process_are_divided_once() -> None:
    layer = torch.nn.Linear(2, 1)
    layer.weight.grad = torch.full((1, 2), 6.0)
    assert Gradients(layer, Group()).reduce(5.0, 3.0) == (5.0, 3.0)
    assert layer.weight.grad.tolist() == [[2.0, 2.0]]
    assert layer.bias.grad is None


def test_only_large_tables_of_one_use_give_rows() -> None:
    large = TokenEmbedding(LARGE // 8, 8, buckets=4)
    shared = TokenEmbedding(LARGE // 8, 8)
    both = torch.nn.ModuleList([large, shared])
    both.append(torch.nn.ParameterList([shared.words]))
    found = Gradients(both, Group(0, 2))
    assert large.rows_alone == {"words"}
    assert shared.rows_alone == frozenset()
    found.close()
    assert large.rows_alone == frozenset()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two'; expected a number, as torchrun sets it"),
        ({"WORLD_SIZE": "2"}, "RANK is not set; expected a number, as torchrun sets it"),
        ({"WORLD_SIZE": "2", "RANK": "2"},
         "RANK is 2; expected a number from 0 below WORLD_SIZE, 2"),
    ],
)  # fmt: skip
def test_what_torchrun_sets_is_checked(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as caught:
        Group.from_environment("cpu")
    assert str(caught.value) == message


def test_processes_without_gpus_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as caught:
        Group.from_environment("cuda")
    assert str(caught.value) == (
        "2 processes on this machine, but torch finds 0 GPUs; start as many processes as there "
        "are GPUs, or use device cpu"
    )
    assert is_main()
    monkeypatch.setenv("RANK", "1")
    assert not is_main()


def test_one_process_speaks(toy_corpus: Path, tmp_path: Path) -> None:
    """The whole command: one log, one report."""
    words = ["seqnlp", "train", "--corpus", str(toy_corpus), "--epochs", "2", "--hidden-size", "4",
             "--threads", "1", "--set", "text.ngram_buckets=50", "--output", str(tmp_path / "run"),
             "--quiet"]  # fmt: skip
    done = torchrun(*words)
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).count("saved in") == 1
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["event"] for line in log] == ["fit_start", "epoch", "epoch", "fit_end"]


@pytest.mark.slow
def test_one_process_says_why_a_run_failed(toy_corpus: Path, tmp_path: Path) -> None:
    words = ["seqnlp", "train", "--corpus", str(toy_corpus), "--output", str(tmp_path), "--quiet"]
    failed = torchrun(*words, "--lr", "1e30", "--set", "hooks.clip=false")
    assert failed.returncode != 0
    lines = [line for line in failed.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert lines[0].startswith("error: the loss became ")
    wrong = torchrun("seqnlp", "train", "--corpus", str(toy_corpus), "--set", "train.lrr=1")
    lines = [line for line in wrong.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "did you mean 'lr'" in lines[0]


@pytest.mark.slow
def test_a_run_that_loses_a_process_is_started_again_and_ends_with_the_same_bits(
    recipes: Path, tmp_path: Path
) -> None:
    weights = {}
    for name, lost_at in (("whole", 0), ("broken", 5)):
        done = torchrun("tests.training.partners", str(recipes), str(tmp_path / name), str(lost_at),
                        restarts=1)  # fmt: skip
        assert done.returncode == 0, done.stderr[:3000]
        weights[name] = (tmp_path / name / "weights.safetensors").read_bytes()
        events = [json.loads(line)["event"]
                  for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]  # fmt: skip
        assert ("resume" in events) == bool(lost_at)
    assert weights["whole"] == weights["broken"]
