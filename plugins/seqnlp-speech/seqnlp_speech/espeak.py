"""Speech by eSpeak NG: the program, or its library from the package `espeakng-loader`."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch

from seqnlp.errors import InputError, MissingPackageError, SeqnlpError
from seqnlp_speech.wav import Audio, read_wav

HOW_TO_GET = (
    "speech is made by eSpeak NG, which is not installed: pip install seqnlp-speech[espeak], "
    "or the program espeak-ng of your system (apt install espeak-ng, brew install espeak-ng)"
)


class SpeakingError(SeqnlpError):
    """eSpeak NG has failed."""


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """What is to be said, and how.

    voice: a language and a variant, "en-us+f3". speed: words a minute, 80 to 450. pitch and range:
    0 to 99. gap: pause between words, in units of 10 ms.
    """

    text: str
    voice: str
    speed: int = 170
    pitch: int = 50
    range: int = 50
    gap: int = 0


class Synthesizer(ABC):
    """Says utterances, each the same whenever it is said; used as a context."""

    @abstractmethod
    def __call__(self, utterance: Utterance) -> Audio:
        """The sound, at whatever rate the synthesizer has.

        Raises:
            SpeakingError: it cannot say that.
        """

    def close(self) -> None:  # noqa: B027 - not all hold anything
        """Let go of what is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Library(Synthesizer):
    """The library, in a process of its own.

    Args:
        library, data: paths of the shared library and of the folder espeak-ng-data.
    """

    def __init__(self, library: str, data: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "seqnlp_speech.espeak_child", library, data],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def __call__(self, utterance: Utterance) -> Audio:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(asdict(utterance)).encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = b""
        if not line:
            raise SpeakingError(f"eSpeak NG's library has failed: {self._last_words()}")
        head = json.loads(line)
        if "error" in head:
            raise SpeakingError(f"eSpeak NG: {head['error']}")
        return _audio(process.stdout.read(head["bytes"]), head["rate"], utterance)

    def _last_words(self) -> str:
        assert self._process.stderr is not None
        said = self._process.stderr.read().decode(errors="replace").strip().splitlines()
        return said[-1] if said else f"it ended with status {self._process.wait()}"

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


class Program(Synthesizer):
    """The program, once for each utterance."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __call__(self, utterance: Utterance) -> Audio:
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / "speech.wav"
            options = [
                "-v", utterance.voice, "-s", f"{utterance.speed}", "-p", f"{utterance.pitch}",
                "-P", f"{utterance.range}", "-g", f"{utterance.gap}", "-w", f"{made}",
            ]  # fmt: skip
            done = subprocess.run(
                [self._path, *options, "--", utterance.text],
                capture_output=True, stdin=subprocess.DEVNULL, check=False,
            )  # fmt: skip
            if done.returncode or not made.is_file():
                said = done.stderr.decode(errors="replace").strip().splitlines()
                raise SpeakingError(f"eSpeak NG: {said[-1] if said else done.returncode}")
            return read_wav(made)


def open_synthesizer() -> Synthesizer:
    """The library where its package is installed, else the program.

    Raises:
        MissingPackageError: neither is there; the message says how to get them.
    """
    if importlib.util.find_spec("espeakng_loader") is not None:
        import espeakng_loader

        return Library(espeakng_loader.get_library_path(), espeakng_loader.get_data_path())
    if (program := shutil.which("espeak-ng")) is not None:
        return Program(program)
    raise MissingPackageError(HOW_TO_GET)


def can_speak() -> bool:
    """Whether `open_synthesizer` finds one."""
    return (
        importlib.util.find_spec("espeakng_loader") is not None
        or shutil.which("espeak-ng") is not None
    )


def _audio(data: bytes, rate: int, utterance: Utterance) -> Audio:
    if not data:
        raise InputError(f"eSpeak NG says nothing to {utterance.text!r}")
    samples = np.frombuffer(data, np.int16).astype(np.float32) / 32768
    return Audio(samples=torch.from_numpy(samples), rate=rate)
