"""A picture of what is heard: log-mel frames above, probabilities of symbols below."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqnlp.errors import InputError, MissingPackageError
from seqnlp.files import write_bytes
from seqnlp_speech.answering import peaks_of, second_of
from seqnlp_speech.decoding import mean_of

if TYPE_CHECKING:
    from seqnlp_speech.task import SpeechTask

FORMATS = (".png", ".svg", ".pdf")
LEAST_DRAWN = 0.3
"""The probability that a symbol reaches somewhere, or it is not drawn."""


def draw_peaks(task: SpeechTask, sound: Path, picture: Path) -> None:
    """Draw a sound's frames and, over time, the probability of each symbol that is ever likely.

    Raises:
        MissingPackageError: matplotlib is not installed.
        InputError: the picture has another ending than `FORMATS`, or cannot be written.
    """
    if picture.suffix not in FORMATS:
        raise InputError(f"{picture}: expected a picture that ends in {', '.join(FORMATS)}")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError(
            "pictures are drawn by matplotlib, which is not installed: "
            "pip install seqnlp-speech[plot]"
        ) from error
    rows = task.read_texts([str(sound)])
    frames = rows.frames[0].numpy()
    ((_, logs),) = task.log_probabilities(rows, batch_size=1)
    shares = np.exp(mean_of(logs))
    seconds = [second_of(task, step) for step in range(len(shares))]
    figure = Figure(figsize=(9, 4.5), dpi=80, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    end = len(frames) * task.options.features.hop_ms / 1000
    above.imshow(frames.T, origin="lower", aspect="auto", extent=(0, end, 0, frames.shape[1]))
    above.set_ylabel("mel band")
    below.plot(seconds, shares[:, 0], color="0.8", label="blank")
    for number in range(1, shares.shape[1]):
        if shares[:, number].max() > LEAST_DRAWN:
            below.plot(seconds, shares[:, number])
    for symbol, second in peaks_of(task.answer(rows, batch_size=1)[0]):
        below.text(second, 1.03, symbol if symbol.strip() else "␣", ha="center", fontsize=9)
    below.set_xlim(0, end)
    below.set_ylim(0, 1.15)
    below.set_ylabel("probability")
    below.set_xlabel("seconds")
    data = io.BytesIO()
    figure.savefig(data, format=picture.suffix[1:])
    write_bytes(picture, data.getvalue())
