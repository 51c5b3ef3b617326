"""WAV files: every width, what they say of themselves, and what is wrong with them."""

from __future__ import annotations

import struct
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from seqnlp_speech.resampling import Resampler
from seqnlp_speech.wav import Audio, encode_wav, read_header, read_wav, write_wav

from seqnlp.errors import InputError


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) & 1)


def wav(
    data: bytes, *, kind: int = 1, bits: int = 16, channels: int = 1, rate: int = 8000
) -> bytes:
    block = channels * bits // 8
    layout = struct.pack("<HHIIHH", kind, channels, rate, rate * block, block, bits)
    body = b"WAVE" + chunk(b"fmt ", layout) + chunk(b"LIST", b"odd") + chunk(b"data", data)
    return b"RIFF" + struct.pack("<I", len(body)) + body


WAVE = np.array([0.0, 0.5, -0.5, 0.25, -1.0, 0.75])


@pytest.mark.parametrize(
    ("data", "kind", "bits"),
    [
        ((WAVE * 128 + 128).astype(np.uint8).tobytes(), 1, 8),
        ((WAVE * (1 << 15)).astype("<i2").tobytes(), 1, 16),
        (b"".join(struct.pack("<i", int(x * (1 << 31)))[1:] for x in WAVE), 1, 24),
        ((WAVE * (1 << 31)).astype("<i4").tobytes(), 1, 32),
        (WAVE.astype("<f4").tobytes(), 3, 32),
        (WAVE.astype("<f8").tobytes(), 3, 64),
    ],
)
def test_every_width_gives_the_same_sound(
    tmp_path: Path, data: bytes, kind: int, bits: int
) -> None:
    (tmp_path / "a.wav").write_bytes(wav(data, kind=kind, bits=bits, rate=11025))
    audio = read_wav(tmp_path / "a.wav")
    assert audio.rate == 11025
    assert audio.samples.tolist() == WAVE.tolist()
    assert audio.seconds == pytest.approx(6 / 11025)


def test_channels_are_averaged_and_an_extensible_header_is_read(tmp_path: Path) -> None:
    data = np.array([[0.5, 0.25], [-0.5, 0.0]], "<f4").tobytes()
    layout = struct.pack("<HHIIHH", 0xFFFE, 2, 8000, 64000, 8, 32)
    layout += struct.pack("<HHIH", 22, 32, 3, 3) + bytes(14)
    body = b"WAVE" + chunk(b"fmt ", layout) + chunk(b"data", data)
    (tmp_path / "a.wav").write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    assert read_wav(tmp_path / "a.wav").samples.tolist() == [0.375, -0.25]
    assert read_header(tmp_path / "a.wav").size == 2


def test_what_is_written_is_what_the_standard_library_reads_and_what_is_read_again(
    tmp_path: Path,
) -> None:
    samples = torch.tensor([0.0, 0.5, -1.0, 2.0])
    write_wav(tmp_path / "a.wav", Audio(samples=samples, rate=16000))
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16000)
        assert np.frombuffer(file.readframes(4), "<i2").tolist() == [0, 16384, -32767, 32767]
    again = read_wav(tmp_path / "a.wav").samples
    torch.testing.assert_close(again, samples.clamp(-1, 1), atol=1e-4, rtol=0)


def test_a_header_from_a_pipe_does_not_know_the_size(tmp_path: Path) -> None:
    data = bytearray(encode_wav(Audio(samples=torch.full((5,), 0.5), rate=8000)))
    data[40:44] = struct.pack("<I", 0x7FFFF000)
    (tmp_path / "a.wav").write_bytes(data)
    assert len(read_wav(tmp_path / "a.wav").samples) == 5


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty; expected a WAV file"),
        (b"fLaC" + bytes(40), "this is FLAC; expected a WAV file"),
        (b"\xff\xfb" + bytes(40), "this is MP3; expected a WAV file"),
        (b"hello, I am a text", "this is no WAV; expected a WAV file"),
        (wav(bytes(8), kind=6, bits=8), r"compressed \(A-law\); expected PCM or float"),
        (wav(bytes(8), kind=0x99), r"compressed \(format 0x99\); expected PCM"),
        (wav(bytes(8), bits=12), "samples of 12 bits; expected 8, 16, 24, 32"),
        (wav(bytes(8), rate=7), "damaged: 1 channels at 7 Hz"),
        (wav(bytes(100))[:-60], "cut off: 40 of 100 bytes of sound are there"),
        (wav(b""), "no sound in it: it has no sample"),
        (wav(b"")[:36], "cut off: it has no sound, only a header"),
        (wav(np.array([np.nan], "<f4").tobytes(), kind=3, bits=32), "a sample is no number"),
        (b"RIFF" + bytes(4) + b"WAVE" + chunk(b"data", b"ab"), "its sound comes before its format"),
        (b"RIFF" + bytes(4) + b"WAVE" + chunk(b"fmt ", b"ab"), "cut off in its header"),
    ],
)
def test_what_cannot_be_read_says_why_in_a_line(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        read_wav(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.wav: no such file; expected a WAV file"):
        read_wav(tmp_path / "a.wav")
    with pytest.raises(InputError, match="cannot read .*: Is a directory"):
        read_wav(tmp_path)


@pytest.mark.parametrize("target", [8000, 16000, 44100, 48000, 22049])
def test_a_tone_is_the_same_tone_at_another_rate(target: int) -> None:
    time = torch.arange(4410, dtype=torch.float64) / 22050
    made = Resampler(22050, target)(torch.sin(2 * torch.pi * 440 * time).float())
    assert len(made) == -(-4410 * target // 22050)
    time = torch.arange(len(made), dtype=torch.float64) / target
    edge = target // 100
    wanted = torch.sin(2 * torch.pi * 440 * time).float()
    torch.testing.assert_close(made[edge:-edge], wanted[edge:-edge], atol=3e-5, rtol=0)


def test_what_is_above_the_new_limit_is_gone() -> None:
    time = torch.arange(8000, dtype=torch.float64) / 16000
    made = Resampler(16000, 8000)(torch.sin(2 * torch.pi * 6000 * time).float())
    assert made[100:-100].abs().max() < 1e-3


@pytest.mark.parametrize(("source", "target"), [(22050, 16000), (8000, 16000), (44101, 16000)])
def test_piece_by_piece_is_the_whole(source: int, target: int) -> None:
    samples = torch.randn(3001, generator=torch.Generator().manual_seed(0))
    resampler = Resampler(source, target)
    state, made = resampler.begin(), []
    for piece in samples.split([1, 0, 7, 1000, 900, 1093]):
        out, state = resampler.advance(piece, state)
        made.append(out)
    assert sum(map(len, made)) > 0
    torch.testing.assert_close(torch.cat([*made, resampler.end(state)]), resampler(samples))
