"""Texts of a sound without an end, one after another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import torch

from seqnlp_speech.answering import peaks_of
from seqnlp_speech.wav import Audio

if TYPE_CHECKING:
    from seqnlp_speech.task import SpeechTask


def transcribe(
    task: SpeechTask, source: BinaryIO, *, rate: int, chunk: float, pause: float
) -> Iterator[tuple[str, bool]]:
    """The text so far after each chunk, and whether it has ended: nothing was said for a while.

    Args:
        source: 16-bit samples of one channel, little-endian. rate: of them.
        chunk: seconds that are read at a time. pause: seconds without a symbol that end a text.

    Raises:
        InputError: the model cannot stream.
    """
    stream = task.stream()
    text, heard = "", 0
    size = max(1, round(rate * chunk))
    while data := source.read(2 * size):
        samples = np.frombuffer(data[: len(data) & ~1], "<i2").astype(np.float32) / 32768
        answer = stream.push_audio(Audio(samples=torch.from_numpy(samples), rate=rate))
        text, heard = answer.output, heard + len(samples)
        last = max((second for _, second in peaks_of(answer)), default=0.0)
        quiet = heard / rate - last >= pause
        if quiet and text:
            yield text, True
        elif not quiet:
            yield text, False
        if quiet:
            # What was silence so far helps no one, and a text is kept in memory to its end.
            stream.reset()
            text, heard = "", 0
    if text:
        yield text, True
