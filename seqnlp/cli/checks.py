"""What `seqnlp doctor` looks at: each check gives a finding, and none changes or downloads anything
but what belongs to the cache.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from seqnlp.errors import InputError
from seqnlp.files import cache_folder
from seqnlp.nn import engines
from seqnlp.nn.cells.lstm import LSTMCell
from seqnlp.nn.engines import build, compiler
from seqnlp.nn.engines.plans import find_plan
from seqnlp.registry import REGISTRIES, misplaced
from seqnlp.registry import engines as registered

NEEDED = ("spacy", "nltk", "datasets", "pyarrow", "tokenizers", "safetensors", "scikit-learn",
          "sacrebleu")  # fmt: skip
EXTRAS = {
    "tensorboard": ("the hook tensorboard", "tensorboard"),
    "matplotlib": ("a picture of attention", "plot"),
}
"""Package to what it is for, and the extra that brings it."""
VECTOR_FEATURES = ("avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile",
                   "asimd", "sve")  # fmt: skip
TOLERANCE = 1e-5
"""The most that the fused engine may differ from the reference in float32; both add in their own
order."""


class Status(StrEnum):
    """OK works; NOTE works, but something better is possible; PROBLEM should work and does not."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a check found, in one line, and what to do about it."""

    part: str
    status: Status
    text: str


def examine() -> Iterator[Finding]:
    """Every check, in the order in which a person reads them."""
    for part, check in _CHECKS.items():
        status, text = check()
        yield Finding(part=part, status=status, text=text)


_Found = tuple[Status, str]


def check_versions() -> _Found:
    """Python, this package and torch."""
    python = f"Python {platform.python_version()} at {sys.executable}"
    own = f"seqnlp {version('seqnlp')} at {Path(__file__).parents[1]}"
    return Status.OK, f"{python}, {own}, torch {torch.__version__}"


def check_processor() -> _Found:
    """The processor, its vector features, and the threads that torch uses."""
    described = _describe_processor()
    name = described.get("model name") or platform.processor() or platform.machine()
    has = described.get("flags", described.get("features", "")).split()
    vectors = " ".join(feature for feature in VECTOR_FEATURES if feature in has) or "unknown"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = torch.get_num_threads()
    return Status.OK, f"{name}, {cores} cores, torch uses {threads}; vector features: {vectors}"


def check_compiler() -> _Found:
    """The C++ compiler that builds kernels."""
    tools = build.toolchain()
    if tools is not None:
        return Status.OK, f"{tools.version} at {tools.compiler}, {' '.join(tools.flags)}"
    reason, named = str(build.obstacle()), os.environ.get(compiler.VARIABLE)
    if named == "none":
        return Status.NOTE, f"{reason}: recurrences run in a slower loop"
    advice = f"install g++, or name a compiler by {compiler.VARIABLE}"
    if named is not None:
        advice = "name one that works, or unset it"
    # A machine may do without a compiler, but one that is there, or asked for, is to work.
    broken = named is not None or reason.startswith("the compiler")
    status = Status.PROBLEM if broken else Status.NOTE
    return status, f"{reason}; recurrences run in a slower loop: {advice}"


def check_cache() -> _Found:
    """The folder of compiled kernels: what is in it, and whether more can be put there."""
    folder = cache_folder() / "kernels"
    libraries = list(folder.glob("*/*.so"))
    size = sum(path.stat().st_size for path in libraries) / 1e6
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Status.PROBLEM, (
            f"cannot write to {folder} ({error.strerror}): every process compiles anew; name "
            "another folder by SEQNLP_CACHE"
        )
    return Status.OK, f"{folder}: {len(libraries)} kernels, {size:.1f} MB"


def check_kernel() -> _Found:
    """Build or load the fused LSTM, run it, and compare it with the reference."""
    cell = _draw(LSTMCell(5, 16))
    x = torch.rand(3, 7, 5, generator=torch.Generator().manual_seed(0)) - 0.5
    before, started = build.built(), time.perf_counter()
    with _captured() as said:
        library = find_plan(cell, None).library(x.dtype)
    seconds = time.perf_counter() - started
    ours, reference = (_run(cell, x, name) for name in ("fused", "reference"))
    difference = max(
        (own - other).abs().max().item() for own, other in zip(ours, reference, strict=True)
    )
    compared = f"values and gradients of an LSTM are within {difference:.1g} of the reference's"
    # Not `>`, which is false for NaN.
    if not difference <= TOLERANCE:
        advice = f"delete {cache_folder() / 'kernels'}, or use --engine reference"
        return Status.PROBLEM, f"{compared}, where {TOLERANCE:g} would be right: {advice}"
    if library is not None:
        how = "compiled" if build.built() > before else "loaded"
        took = f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"
        return Status.OK, f"{how} in {took}; {compared}"
    if build.toolchain() is not None:
        return Status.PROBLEM, "; ".join(said) or "the kernel cannot be built"
    return Status.NOTE, f"nothing is compiled; in a loop, {compared}"


def check_engine() -> _Found:
    """The engines that there are, and which one the environment asks for."""
    known = ", ".join(registered.names())
    try:
        chosen = engines.describe(engines.AUTO)
    except InputError as error:
        return Status.PROBLEM, str(error)
    if chosen != engines.AUTO:
        return Status.NOTE, f"{chosen} holds where no engine is named; there are {known}"
    return Status.OK, f"auto chooses among {known}"


def check_gpu() -> _Found:
    """A GPU, and Triton, which compiles recurrences for it."""
    if not torch.cuda.is_available():
        if shutil.which("nvidia-smi") is not None and torch.version.cuda is None:
            return Status.NOTE, (
                "this machine has NVIDIA's driver, but torch is built for the CPU alone: install "
                "a torch with CUDA to use the GPU"
            )
        return Status.NOTE, "none: recurrences run on the CPU"
    name = torch.cuda.get_device_name()
    slow = "LSTM, GRU and RNN run on cuDNN, other cells in a slow loop"
    if "triton" not in registered.names():
        return Status.NOTE, f"{name}, and no engine for it: {slow}"
    # Asked, the engine tries a kernel.
    cell = LSTMCell(2, 4).to("cuda")
    why = engines.find("triton").obstacle(cell, torch.zeros(1, 2, 2, device="cuda"))
    if why is not None:
        return Status.NOTE, f"{name}: {why}; {slow}"
    return Status.OK, f"{name}, Triton {version('triton')}"


def check_packages() -> _Found:
    """The packages that seqnlp needs; what they would download is left alone."""
    found, missing = _find_packages(NEEDED)
    if missing:
        return Status.PROBLEM, f"missing: {', '.join(missing)}; pip install {' '.join(missing)}"
    return Status.OK, ", ".join(found)


def check_extras() -> _Found:
    """The packages that seqnlp can do without."""
    found, missing = _find_packages(tuple(EXTRAS))
    if not missing:
        return Status.OK, ", ".join(found)
    wanted = (EXTRAS[name] for name in missing)
    return Status.NOTE, "; ".join(
        f"{part} needs pip install 'seqnlp[{extra}]'" for part, extra in wanted
    )


def check_plugins() -> _Found:
    """The packages that offer parts, each of which is imported."""
    offered: dict[str, list[str]] = {}
    faults = [f"{package}: {told}" for package, told in misplaced().items()]
    for registry in REGISTRIES.values():
        for name in registry.names():
            others = [each for each in registry.origins(name) if each.distribution != "seqnlp"]
            if not others:
                continue
            for each in others:
                offered.setdefault(each.package, []).append(f"{registry.singular} {name}")
            if fault := registry.fault(name):
                faults.append(fault)
    if faults:
        return Status.PROBLEM, "; ".join(faults)
    if not offered:
        return Status.OK, "none; seqnlp plugin new writes one"
    return Status.OK, "; ".join(f"{name}: {', '.join(own)}" for name, own in offered.items())


_CHECKS: dict[str, Callable[[], _Found]] = {
    "versions": check_versions,
    "processor": check_processor,
    "compiler": check_compiler,
    "kernel cache": check_cache,
    "fused kernel": check_kernel,
    "engine": check_engine,
    "GPU": check_gpu,
    "packages": check_packages,
    "extras": check_extras,
    "plugins": check_plugins,
}


def _describe_processor() -> dict[str, str]:
    """The first processor of /proc/cpuinfo, where there is that file; keys in lower case."""
    found: dict[str, str] = {}
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
        for line in lines:
            key, _, value = line.partition(":")
            if not value:
                break
            found[key.strip().lower()] = value.strip()
    return found


def _draw(cell: LSTMCell) -> LSTMCell:
    """The cell with weights that are the same every time, and no generator moved."""
    generator = torch.Generator().manual_seed(0)
    for parameter in cell.parameters():
        torch.nn.init.uniform_(parameter, -0.5, 0.5, generator=generator)
    return cell


def _run(cell: LSTMCell, x: torch.Tensor, engine: str) -> tuple[torch.Tensor, ...]:
    """The outputs of an engine, and the gradients of the parameters by their sum."""
    state = cell.initial_state(len(x))
    ran = engines.find(engine).run(cell, x, None, state, reverse=False, want_state=False)
    with torch.enable_grad():
        return ran[0], *torch.autograd.grad(ran[0].sum(), list(cell.parameters()))


def _find_packages(names: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Names with versions, and the names of those that are not installed."""
    found, missing = [], []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    return found, missing


@contextlib.contextmanager
def _captured() -> Iterator[list[str]]:
    """What the log of building says meanwhile, which goes nowhere else."""
    log, said = logging.getLogger(build.__name__), []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    handler, spread = Keep(), log.propagate
    log.addHandler(handler)
    log.propagate = False
    try:
        yield said
    finally:
        log.removeHandler(handler)
        log.propagate = spread
