"""`seqnlp doctor`: every finding, on machines that are made to lack something."""

from __future__ import annotations

import json
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from seqnlp import registry
from seqnlp.cli import checks
from seqnlp.cli.main import run
from seqnlp.nn.engines import build, plans
from tests.planting import plant

HAS_COMPILER = any(map(shutil.which, ("g++", "c++", "clang++")))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache, and the state of a new process."""
    monkeypatch.setenv("SEQNLP_CACHE", str(tmp_path / "cache"))
    for name in ("SEQNLP_ENGINE", "SEQNLP_COMPILER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(plans, "_KNOWN", {})
    build.forget()
    yield tmp_path / "cache" / "kernels"
    monkeypatch.undo()
    build.forget()


def compiler(folder: Path, body: str) -> str:
    """A program that stands for a compiler."""
    path = folder / "compiler"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def doctor(capfd: pytest.CaptureFixture[str]) -> tuple[int, dict[str, tuple[str, str]], str]:
    """The exit status, status and text by part, and what went to standard error."""
    status = run(["doctor", "--json"], debug=True)
    out, err = capfd.readouterr()
    told = json.loads(out)
    assert told["ok"] == (status == 0)
    return status, {each["part"]: (each["status"], each["text"]) for each in told["findings"]}, err


@pytest.mark.skipif(not HAS_COMPILER, reason="no C++ compiler is on PATH")
def test_a_machine_where_all_is_well(capfd: pytest.CaptureFixture[str], cache: Path) -> None:
    status, told, err = doctor(capfd)
    assert (status, err) == (0, "")
    assert "problem" not in {each for each, _ in told.values()}
    tools = build.toolchain()
    assert tools is not None
    assert told["compiler"] == (
        "ok",
        f"{tools.version} at {tools.compiler}, {' '.join(tools.flags)}",
    )
    assert told["kernel cache"] == ("ok", f"{cache}: 0 kernels, 0.0 MB")
    tried = (
        "in [0-9.]+ m?s; values and gradients of an LSTM are within [0-9.e-]+ of the reference's"
    )
    assert re.fullmatch(f"compiled {tried}", told["fused kernel"][1])
    build.forget()
    plans._KNOWN.clear()
    assert run(["doctor"], debug=True) == 0
    lines = capfd.readouterr().out.splitlines()
    assert re.search(
        rf"^kernel cache +ok +{cache}: 2 kernels, 0.[0-9] MB *$", "\n".join(lines), re.M
    )
    assert re.search(f"^fused kernel +ok +loaded {tried}", "\n".join(lines), re.M)
    assert lines[-1] == "everything that should work does"


def test_versions_and_the_processor_are_named() -> None:
    assert f"torch {torch.__version__}" in checks.check_versions()[1]
    threads = f"torch uses {torch.get_num_threads()}; vector features: "
    assert threads in checks.check_processor()[1]


def test_a_compiler_that_is_switched_off_is_no_problem(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQNLP_COMPILER", "none")
    status, told, err = doctor(capfd)
    assert (status, err) == (0, "")
    assert told["compiler"] == ("note", "SEQNLP_COMPILER is none: recurrences run in a slower loop")
    assert told["fused kernel"][0] == "note"
    assert told["fused kernel"][1].startswith(
        "nothing is compiled; in a loop, values and gradients"
    )


def test_a_machine_without_a_compiler(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setenv("PATH", str(tmp_path))
    status, told, _ = doctor(capfd)
    assert status == 0
    assert told["compiler"] == (
        "note",
        "no C++ compiler was found on PATH (g++, c++, clang++); recurrences run in a slower loop: "
        "install g++, or name a compiler by SEQNLP_COMPILER",
    )


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ("g+++", "SEQNLP_COMPILER names 'g+++', which is no program"),
        ("", "SEQNLP_COMPILER is empty"),
        ("{failing}", "the compiler {failing} failed: out of luck"),
    ],
)
def test_a_compiler_that_was_asked_for_must_work(
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    named: str,
    reason: str,
) -> None:
    failing = compiler(tmp_path, "echo out of luck >&2; exit 1")
    monkeypatch.setenv("SEQNLP_COMPILER", named.format(failing=failing))
    status, told, _ = doctor(capfd)
    assert status == 1
    assert told["compiler"] == (
        "problem",
        f"{reason.format(failing=failing)}; recurrences run in a slower loop: "
        "name one that works, or unset it",
    )


@pytest.mark.skipif(not HAS_COMPILER, reason="no C++ compiler is on PATH")
def test_a_compiler_that_builds_trials_alone_is_a_problem(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tools = build.toolchain()
    assert tools is not None
    body = (
        'for file; do case $file in *.cpp) grep -q trial "$file" || '
        '{ echo "error: tired" >&2; exit 1; };; esac; done\n'
        f'exec {tools.compiler} "$@"'
    )
    path = compiler(tmp_path, body)
    build.forget()
    monkeypatch.setenv("SEQNLP_COMPILER", path)
    status, told, err = doctor(capfd)
    assert (status, err) == (1, "")
    assert told["compiler"][0] == "ok"
    assert told["fused kernel"] == (
        "problem",
        f"the compiler {path} could not build a kernel: error: tired; "
        "recurrences run in a slower loop",
    )


def test_a_cache_that_cannot_be_written_to(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SEQNLP_CACHE", str(tmp_path / "file"))
    status, told, _ = doctor(capfd)
    assert status == 1
    assert told["kernel cache"] == (
        "problem",
        f"cannot write to {tmp_path / 'file' / 'kernels'} (Not a directory): every process "
        "compiles anew; name another folder by SEQNLP_CACHE",
    )
    assert told["fused kernel"][0] == ("ok" if HAS_COMPILER else "note")


def test_an_engine_that_computes_something_else(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    real = checks._run

    def wrong(cell: object, x: torch.Tensor, engine: str) -> tuple[torch.Tensor, ...]:
        values, *gradients = real(cell, x, engine)
        return (values * torch.nan if engine == "fused" else values), *gradients

    monkeypatch.setattr(checks, "_run", wrong)
    monkeypatch.setenv("SEQNLP_COMPILER", "none")
    status, told, _ = doctor(capfd)
    assert status == 1
    assert told["fused kernel"] == (
        "problem",
        "values and gradients of an LSTM are within nan of the reference's, where 1e-05 would be "
        f"right: delete {cache}, or use --engine reference",
    )


def test_the_engine_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    known = ", ".join(checks.registered.names())
    assert checks.check_engine() == ("ok", f"auto chooses among {known}")
    monkeypatch.setenv("SEQNLP_ENGINE", "native")
    assert checks.check_engine() == (
        "note",
        f"SEQNLP_ENGINE=native holds where no engine is named; there are {known}",
    )
    monkeypatch.setenv("SEQNLP_ENGINE", "nativ")
    status, text = checks.check_engine()
    assert status == "problem"
    assert text.startswith(
        "SEQNLP_ENGINE: no engine is named 'nativ'; did you mean 'native'? known: "
    )


def test_gpus_and_what_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    class Triton:
        why: str | None = "Triton is not installed"

        def obstacle(self, cell: object, x: object) -> str | None:
            return self.why

    zeros = torch.zeros
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H100")
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(checks.engines, "find", lambda _: Triton())
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, _: self)
    monkeypatch.setattr(torch, "zeros", lambda *shape, device: zeros(*shape))
    monkeypatch.setattr(checks, "version", lambda _: "3.5")

    def gpu(*, present: bool, driver: bool = False, known: tuple[str, ...] = ()) -> tuple[str, str]:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: present)
        monkeypatch.setattr(checks.shutil, "which", lambda _: "nvidia-smi" if driver else None)
        monkeypatch.setattr(checks.registered, "names", lambda: known)
        return checks.check_gpu()

    assert gpu(present=False) == ("note", "none: recurrences run on the CPU")
    assert gpu(present=False, driver=True) == (
        "note",
        "this machine has NVIDIA's driver, but torch is built for the CPU alone: install a torch "
        "with CUDA to use the GPU",
    )
    slow = "LSTM, GRU and RNN run on cuDNN, other cells in a slow loop"
    assert gpu(present=True) == ("note", f"H100, and no engine for it: {slow}")
    found = gpu(present=True, known=("triton",))
    assert found == ("note", f"H100: Triton is not installed; {slow}")
    Triton.why = None
    assert gpu(present=True, known=("triton",)) == ("ok", "H100, Triton 3.5")


def test_packages_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    status, text = checks.check_packages()
    assert status == "ok"
    assert re.search(r"^spacy \d.*, nltk \d.*, datasets \d", text)
    monkeypatch.setattr(checks, "NEEDED", ("spacy", "no-such-package"))
    assert checks.check_packages() == (
        "problem", "missing: no-such-package; pip install no-such-package"
    )  # fmt: skip

    def missing(name: str) -> str:
        raise checks.PackageNotFoundError(name)

    monkeypatch.setattr(checks, "version", missing)
    assert checks.check_extras() == (
        "note",
        "the hook tensorboard needs pip install 'seqnlp[tensorboard]'; "
        "a picture of attention needs pip install 'seqnlp[plot]'",
    )


def test_several_problems_are_counted(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = (checks.Status.PROBLEM, "bad [luck]"), (checks.Status.OK, "good")
    for found, end in (((bad, bad, good), "2 problems"), ((bad, good), "1 problem")):
        made = {f"part {n}": (lambda each=each: each) for n, each in enumerate(found)}
        monkeypatch.setattr(checks, "_CHECKS", made)
        assert run(["doctor"], debug=True) == 1
        out = capfd.readouterr().out
        assert out.splitlines()[-1] == end
        assert re.search(r"^part 0 +problem +bad \[luck\] *$", out, re.M)


def test_plugins_are_named_and_what_is_wrong_with_one(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = registry.Registry("hooks")
    monkeypatch.setattr(checks, "REGISTRIES", {"hooks": own})
    monkeypatch.setattr(own, "_entries", {})
    assert doctor(capfd)[1]["plugins"] == ("ok", "none; seqnlp plugin new writes one")
    monkeypatch.syspath_prepend(tmp_path)
    module = {"doctored_good.py": "class Mine:\n    pass\n"}
    entry = {"mine": "doctored_good:Mine", "other": "doctored_good:Mine"}
    plant(tmp_path, "seqnlp-good", {"seqnlp.hooks": entry}, files=module)
    own = registry.Registry("hooks")
    monkeypatch.setattr(checks, "REGISTRIES", {"hooks": own})
    status, text = doctor(capfd)[1]["plugins"]
    assert status == "ok"
    assert "seqnlp-good 1.0: hook mine, hook other" in text
    module = {"doctored_bad.py": "class Mine:\n    pass\n\n\nraise OSError('no luck')\n"}
    plant(tmp_path, "seqnlp-bad", {"seqnlp.hooks": {"bad": "doctored_bad:Mine"}}, files=module)
    monkeypatch.setattr(checks, "REGISTRIES", {"hooks": registry.Registry("hooks")})
    exit_status, told, _ = doctor(capfd)
    assert exit_status == 1
    assert told["plugins"] == (
        "problem",
        "the hook 'bad' of seqnlp-bad 1.0 cannot be loaded: "
        f"{tmp_path / 'doctored_bad.py'}:5: OSError: no luck",
    )
    plant(tmp_path, "seqnlp-ugly", {"seqnlp.hook": {"ugly": "doctored_good:Mine"}})
    monkeypatch.setattr(checks, "REGISTRIES", {})
    assert doctor(capfd)[1]["plugins"] == (
        "problem",
        "seqnlp-ugly 1.0: ugly is declared in the group seqnlp.hook, which is no kind; did you "
        "mean seqnlp.hooks?",
    )
