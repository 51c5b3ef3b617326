"""Log-mel frames of many files: computed when they are asked for, or kept on disk."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqnlp.errors import InputError
from seqnlp.files import cache_folder, new_file
from seqnlp_speech.features import LogMel
from seqnlp_speech.options import FeatureOptions
from seqnlp_speech.resampling import resampler
from seqnlp_speech.wav import Header, read_header, read_wav

VERSION = 1
"""Part of every key of the cache: raised when frames of the same sound would be others."""


class Naming(Protocol):
    """Names a row for a message."""

    def __call__(self, index: int) -> str: ...


class Ear:
    """Files in, frames out, at the rate of the options."""

    def __init__(self, options: FeatureOptions) -> None:
        self.options = options
        self.log_mel = LogMel(options)

    def hear(self, path: Path) -> Tensor:
        """The frames float32 [T, bands] of a file.

        Raises:
            InputError: see `read_wav`.
        """
        audio = read_wav(path)
        return self.log_mel(resampler(audio.rate, self.options.rate)(audio.samples))

    def count(self, header: Header) -> int:
        """How many frames a file has."""
        return self.log_mel.frames(-(-header.size * self.options.rate // header.rate))


class Frames(ABC):
    """Frames float32 [T, bands] of N files, by their number.

    lengths: int64 [N], T of each.
    """

    lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.lengths)

    @abstractmethod
    def __getitem__(self, index: int) -> Tensor: ...


class HeardFrames(Frames):
    """Computed each time they are asked for: no memory but for those.

    Raises:
        InputError: a file that cannot be read; `name` says which row it is of.
    """

    def __init__(self, paths: Sequence[Path], ear: Ear, name: Naming | None = None) -> None:
        self.paths, self.ear, self.name = tuple(paths), ear, name
        self.lengths = np.empty(len(self.paths), dtype=np.int64)
        for number, path in enumerate(self.paths):
            try:
                self.lengths[number] = ear.count(read_header(path))
            except InputError as error:
                raise self._named(number, error) from error

    def __getitem__(self, index: int) -> Tensor:
        try:
            return self.ear.hear(self.paths[index])
        except InputError as error:
            raise self._named(index, error) from error

    def _named(self, index: int, error: InputError) -> InputError:
        return error if self.name is None else InputError(f"{self.name(index)}: {error}")


class KeptFrames(Frames):
    """Written once into a file of the cache, and mapped from then on.

    The key is all that they depend on: the options, and path, size and time of each file.
    """

    def __init__(self, heard: HeardFrames, folder: Path) -> None:
        self.lengths = heard.lengths
        self._offsets = np.concatenate([[0], np.cumsum(self.lengths)])
        self._bands = heard.ear.options.bands
        path = folder / f"{_digest(heard)}.frames"
        size = int(self._offsets[-1]) * self._bands * 4
        if not path.is_file() or path.stat().st_size != size:
            with new_file(path) as file:
                for number in range(len(heard)):
                    file.write(heard[number].numpy().astype("<f4").tobytes())
        self._kept = np.memmap(path, "<f4", "r") if size else np.empty(0, "<f4")

    def __getitem__(self, index: int) -> Tensor:
        first, last = (int(self._offsets[index + i]) * self._bands for i in (0, 1))
        return torch.from_numpy(np.array(self._kept[first:last]).reshape(-1, self._bands))


def open_frames(heard: HeardFrames) -> Frames:
    """The frames of a corpus, kept on disk if the options say so and the cache can be written."""
    if not heard.ear.options.cache:
        return heard
    folder = cache_folder() / "speech"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return heard
    return KeptFrames(heard, folder)


def _digest(heard: HeardFrames) -> str:
    named = {"stack", "stride", "deltas", "normalization", "cache"}
    stats = [(path, path.stat()) for path in heard.paths]
    key = [
        VERSION,
        heard.ear.options.model_dump(exclude=named),
        [[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in stats],
    ]
    return hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]
