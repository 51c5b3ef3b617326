"""The C++ compiler of this machine: found, tried once, and run."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import os
import platform
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seqnlp.errors import InputError
from seqnlp.files import cache_folder, write_text

_log = logging.getLogger(__name__)

FORMAT = 1
"""Part of every key: raised when what is built from the same source changes."""
TIMEOUT = 120.0
"""Seconds that one run of the compiler may take."""
PATIENCE = 10.0
"""Seconds after which the user hears what is waited for."""
VARIABLE = "SEQNLP_COMPILER"
"""Names the compiler by path or name; "none" switches compiling off."""

_CANDIDATES = ("g++", "c++", "clang++")
_REQUIRED = ("-O3", "-std=c++17", "-fPIC", "-shared")
# A compiler that does not know one of these does without it. None lets a result depend on the order
# of a sum, or NaN and infinity go astray, as -ffast-math would.
_OPTIONAL = (
    "-march=native",
    "-fopenmp-simd",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
    "-fno-signed-zeros",
    "-pthread",
)
_X86 = ("x86_64", "AMD64", "amd64")
# With the headers of the standard library, which may be missing where a compiler is found.
_TRIAL = """#include <algorithm>\n#include <cmath>\n#include <cstdint>\n#include <thread>
extern "C" void trial(float *x, int64_t n) { for (int64_t i = 0; i < n; i++) x[i] += x[i] * x[i]; }
"""
_WANTED = (_REQUIRED, _OPTIONAL, _TRIAL)


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """A compiler that has built a library here.

    compiler: its path. version: the first line that it says of itself. flags: those it knows.
    cpu: features of this machine, as they enter the key of a kernel.
    """

    compiler: str
    version: str
    flags: tuple[str, ...]
    cpu: str


class CompileError(Exception):
    """The compiler did not build; the message is the first line of what it said."""


def toolchain() -> Toolchain | None:
    """The compiler of this machine, looked up once a process; None where none works."""
    return look_up()[0]


def obstacle() -> str | None:
    """One sentence on why there is no toolchain; None where there is one."""
    return look_up()[1]


def compile_library(compiler: str, flags: Sequence[str], source: str, work: Path) -> Path:
    """Compile in a folder that the caller deletes.

    Raises:
        CompileError: the compiler failed, took too long, or left no library.
    """
    code, library = work / "kernel.cpp", work / "kernel.so"
    code.write_text(source, encoding="utf-8")
    _run([compiler, *flags, str(code), "-o", str(library)], work)
    if not library.is_file():
        raise CompileError("it left no library")
    return library


# A compiler has children of its own, which would outlive it and write on. The shell is the first of
# their process group and ends it when the other end of its input is closed: as we do, and as the
# system does when this process is gone, by whatever signal.
_GUARD = """
exec 3<&0
"$@" < /dev/null 3<&- &
work=$!
{ read -r _; kill -KILL 0; } <&3 &
wait $work
status=$?
kill $!
exit $status
"""


def _run(command: Sequence[str], work: Path) -> str:
    """What a command wrote to its standard output; its own temporary files go to `work`."""
    end, held = os.pipe()
    with open(held, "wb"), open(end, "rb") as guard:  # noqa: PTH123
        process = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "sh", *command],
            stdin=guard,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(work), "LC_ALL": "C"},
            start_new_session=True,
        )
        try:
            output, errors = _wait(process, command[0])
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                raise CompileError(f"it took more than {TIMEOUT:g} seconds") from None
            raise
    if process.returncode:
        lines = [*errors.decode(errors="replace").splitlines(), f"status {process.returncode}"]
        said = next((line for line in lines if "error" in line.lower()), lines[0])
        raise CompileError(said.replace(f"{work}{os.sep}", "").strip())
    return output.decode(errors="replace")


def _wait(process: subprocess.Popen[bytes], name: str) -> tuple[bytes, bytes]:
    """What it wrote to its two outputs; who waits long for it hears of it."""
    patience = min(PATIENCE, TIMEOUT)
    try:
        return process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        _log.warning("waiting for the compiler %s, for %g seconds at the most", name, TIMEOUT)
        return process.communicate(timeout=TIMEOUT - patience)


@functools.cache
def look_up() -> tuple[Toolchain | None, str | None, str]:
    """The toolchain, or why there is none; the file of the compiler, in a form for keys."""
    named = os.environ.get(VARIABLE)
    if named == "":
        return None, f"{VARIABLE} is empty", ""
    if named == "none":
        return None, f"{VARIABLE} is none", ""
    if named is None and (os.name != "posix" or platform.machine() not in _X86):
        system = f"{platform.system()} on {platform.machine()}"
        return None, f"kernels are compiled on x86-64 Linux and macOS, not on {system}", ""
    reason = f"no C++ compiler was found on PATH ({', '.join(_CANDIDATES)})"
    if named is not None:
        reason = f"{VARIABLE} names {named!r}, which is no program"
    failed = False
    for name in _CANDIDATES if named is None else (named,):
        path = shutil.which(name)
        if path is None:
            continue
        try:
            identity = _identify(path)
            return _try(path, identity), None, identity
        except (CompileError, OSError) as error:
            # The first that was found is the one to speak of.
            reason = reason if failed else f"the compiler {path} failed: {error}"
            failed = True
    return None, reason, ""


def _identify(path: str) -> str:
    status = os.stat(path)  # noqa: PTH116 - follows links, as it must
    return f"{os.path.realpath(path)} {status.st_size} {status.st_mtime_ns}"


def _try(compiler: str, identity: str) -> Toolchain:
    """The toolchain of a compiler: as it was found to be before, else after a trial.

    Raises:
        CompileError: it does not build.
    """
    cpu = _features()
    record = cache_folder() / "kernels" / f"{digest([compiler, identity, cpu, _WANTED])}.json"
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
        version, flags = str(known["version"]), tuple(map(str, known["flags"]))
    except (OSError, ValueError, KeyError, TypeError):
        with tempfile.TemporaryDirectory(prefix="seqnlp-") as work:
            version = (_run([compiler, "--version"], Path(work)).splitlines() or ["unknown"])[0]
            flags = _known_flags(compiler, Path(work))
        # What cannot be written is tried again the next time.
        with contextlib.suppress(OSError, InputError):
            record.parent.mkdir(parents=True, exist_ok=True)
            write_text(record, json.dumps({"version": version, "flags": flags}))
    return Toolchain(compiler=compiler, version=version, flags=flags, cpu=cpu)


def _known_flags(compiler: str, work: Path) -> tuple[str, ...]:
    """The flags to use: all if the compiler takes them, else those that it takes one by one."""
    arm = platform.machine() in ("aarch64", "arm64")
    optional = tuple("-mcpu=native" if arm and "march" in flag else flag for flag in _OPTIONAL)

    def takes(*flags: str) -> bool:
        try:
            compile_library(compiler, flags, _TRIAL, work)
        except CompileError:
            return False
        return True

    if takes(*_REQUIRED, *optional):
        return (*_REQUIRED, *optional)
    compile_library(compiler, _REQUIRED, _TRIAL, work)
    return (*_REQUIRED, *(flag for flag in optional if takes(*_REQUIRED, flag)))


def _features() -> str:
    """The machine and what its processor can do: code built for another may not run here."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123
        # Of the first processor only: on a large machine the whole file takes long to make.
        for line in lines:
            if line.startswith(("flags", "Features")):
                return f"{platform.machine()} {' '.join(sorted(line.split(':')[1].split()))}"
    if platform.system() == "Darwin":
        names = ("machdep.cpu.brand_string", "machdep.cpu.features", "machdep.cpu.leaf7_features")
        command = ["/usr/sbin/sysctl", "-n", *names]
        with contextlib.suppress(OSError):
            said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
            return f"{platform.machine()} {' '.join(said.split())}"
    return f"{platform.machine()} {platform.processor()}"


def digest(key: object) -> str:
    """A file name for what an entry of the cache depends on."""
    return hashlib.sha256(json.dumps([FORMAT, key], sort_keys=True).encode()).hexdigest()[:32]
