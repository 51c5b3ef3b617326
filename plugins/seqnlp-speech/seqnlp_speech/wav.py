"""WAV files: read with whatever width, number of channels and rate they have, and written.

Source of the format: Microsoft and IBM 1991, "Multimedia Programming Interface and Data
Specifications 1.0"; WAVE_FORMAT_EXTENSIBLE: Microsoft 2001, "Multiple Channel Audio Data".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from seqnlp.errors import InputError
from seqnlp.files import write_bytes

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
COMPRESSED = {2: "ADPCM", 6: "A-law", 7: "mu-law", 0x11: "IMA ADPCM", 0x31: "GSM", 0x55: "MP3"}
OTHERS = {b"fLaC": "FLAC", b"OggS": "Ogg", b"ID3\x03": "MP3", b"ID3\x04": "MP3", b"FORM": "AIFF",
          b"RIFX": "RIFX (WAV of big-endian numbers)", b".snd": "AU"}  # fmt: skip
WIDTHS = {(PCM, 8), (PCM, 16), (PCM, 24), (PCM, 32), (FLOAT, 32), (FLOAT, 64)}
UNKNOWN_SIZE = 0x7FFF_0000
"""From here on the size of the data says that whoever wrote it did not know: it went to a pipe."""


@dataclass(frozen=True, kw_only=True)
class Audio:
    """samples: float32 [N] in [-1, 1], one channel. rate: samples a second."""

    samples: Tensor
    rate: int

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a file says of its samples, and where they lie.

    kind: PCM or FLOAT. bits: of a sample. offset: of the first, in bytes. size: samples of each
    channel.
    """

    kind: int
    bits: int
    channels: int
    rate: int
    offset: int
    size: int

    @property
    def block(self) -> int:
        """Bytes of one sample of all channels."""
        return self.channels * self.bits // 8


def read_wav(path: Path | str) -> Audio:
    """The sound in a WAV file: PCM of 8, 16, 24 or 32 bits or float; channels are averaged.

    Raises:
        InputError: no such file, no WAV, compressed, cut off, or without a sample.
    """
    with _open(path) as file:
        header = _header(file, str(path))
        file.seek(header.offset)
        data = file.read(header.size * header.block)
    samples = _decode(data, header)
    if header.kind == FLOAT and not np.isfinite(samples).all():
        raise InputError(f"{path}: damaged: a sample is no number")
    if header.channels > 1:
        samples = samples.reshape(-1, header.channels).mean(1)
    return Audio(samples=torch.from_numpy(samples.astype(np.float32)), rate=header.rate)


def read_header(path: Path | str) -> Header:
    """What a WAV file holds, without its samples.

    Raises:
        InputError: see `read_wav`.
    """
    with _open(path) as file:
        return _header(file, str(path))


def write_wav(path: Path, audio: Audio) -> None:
    """Write 16-bit PCM; what is louder than 1 is cut.

    Raises:
        InputError: the file cannot be written.
    """
    write_bytes(path, encode_wav(audio))


def encode_wav(audio: Audio) -> bytes:
    """The bytes of a WAV file of one channel of 16 bits."""
    scaled = (audio.samples.double() * 32767).round().clamp(-32768, 32767)
    data = scaled.to(torch.int16).numpy().astype("<i2").tobytes()
    layout = struct.pack("<HHIIHH", PCM, 1, audio.rate, 2 * audio.rate, 2, 16)
    body = b"WAVEfmt " + struct.pack("<I", len(layout)) + layout
    body += b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _open(path: Path | str) -> BinaryIO:
    try:
        return Path(path).open("rb")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; expected a WAV file") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def _header(file: BinaryIO, name: str) -> Header:
    total = file.seek(0, 2)
    file.seek(0)
    start = file.read(12)
    if not start:
        raise InputError(f"{name}: the file is empty; expected a WAV file")
    if start[:4] != b"RIFF" or start[8:] != b"WAVE":
        raise InputError(f"{name}: {_what(start)}; expected a WAV file (ffmpeg -i IN OUT.wav)")
    layout: tuple[int, ...] | None = None
    while len(head := file.read(8)) == 8:
        chunk, size = struct.unpack("<4sI", head)
        if chunk == b"fmt ":
            layout = _layout(file.read(size), name)
        elif chunk == b"data":
            if layout is None:
                raise InputError(f"{name}: damaged: its sound comes before its format")
            return _measured(layout, file.tell(), size, total, name)
        else:
            file.seek(size, 1)
        file.seek(size & 1, 1)
    raise InputError(f"{name}: cut off: it has no sound, only a header")


def _layout(data: bytes, name: str) -> tuple[int, ...]:
    """kind, bits, channels, rate."""
    if len(data) < 16:
        raise InputError(f"{name}: cut off in its header")
    kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", data[:16])
    if kind == EXTENSIBLE and len(data) >= 26:
        (kind,) = struct.unpack("<H", data[24:26])
    if kind not in (PCM, FLOAT):
        what = COMPRESSED.get(kind, f"format {kind:#x}")
        raise InputError(
            f"{name}: compressed ({what}); expected PCM or float: ffmpeg -i IN -c:a pcm_s16le OUT"
        )
    if (kind, bits) not in WIDTHS:
        raise InputError(f"{name}: samples of {bits} bits; expected 8, 16, 24, 32 or float 32, 64")
    if not channels or not 1000 <= rate <= 1_000_000:
        raise InputError(f"{name}: damaged: {channels} channels at {rate} Hz")
    return kind, bits, channels, rate


def _measured(layout: tuple[int, ...], offset: int, size: int, total: int, name: str) -> Header:
    kind, bits, channels, rate = layout
    there, block = total - offset, channels * bits // 8
    if size >= UNKNOWN_SIZE and size > there:
        size = there - there % block
    if size > there:
        raise InputError(f"{name}: cut off: {there:,} of {size:,} bytes of sound are there")
    if size < block:
        raise InputError(f"{name}: no sound in it: it has no sample")
    return Header(
        kind=kind, bits=bits, channels=channels, rate=rate, offset=offset, size=size // block
    )


def _decode(data: bytes, header: Header) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Float64 in [-1, 1], channels interleaved."""
    if header.kind == FLOAT:
        return np.frombuffer(data, f"<f{header.bits // 8}").astype(np.float64)
    if header.bits == 8:  # the only width without a sign
        return (np.frombuffer(data, np.uint8).astype(np.float64) - 128) / 128
    if header.bits == 24:
        triples = np.frombuffer(data, np.uint8).reshape(-1, 3)
        padded = np.zeros((len(triples), 4), np.uint8)
        padded[:, 1:] = triples
        return padded.reshape(-1).view("<i4").astype(np.float64) / (1 << 31)
    samples = np.frombuffer(data, f"<i{header.bits // 8}").astype(np.float64)
    return samples / (1 << (header.bits - 1))


def _what(start: bytes) -> str:
    found = OTHERS.get(start[:4])
    if found is None and start[:2] in (b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"):
        found = "MP3"
    return f"this is {found}" if found else "this is no WAV"
