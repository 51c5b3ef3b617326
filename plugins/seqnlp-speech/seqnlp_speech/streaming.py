"""Text of sound that is still arriving: every step is read once, by the recurrence."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqnlp.errors import InputError
from seqnlp.nn import EncoderState
from seqnlp.tasks import Stream
from seqnlp.types import Prediction
from seqnlp_speech.answering import Search, answer_from, search_for
from seqnlp_speech.features import stack_frames
from seqnlp_speech.normalization import Heard
from seqnlp_speech.resampling import Arriving, resampler
from seqnlp_speech.wav import Audio, read_wav

if TYPE_CHECKING:
    from seqnlp_speech.network import Recognizer
    from seqnlp_speech.task import SpeechTask


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a stream stands; a value, so that what is to come can be tried without being read.

    arriving: the sound at its own rate. samples: those that frames to come look at. heard: how many
    frames there were. frames: those, normalized, of which steps are not complete. logs: float64
    [M, T, V], of all steps.
    """

    arriving: Arriving | None
    samples: Tensor
    heard: Heard
    frames: Tensor
    states: tuple[EncoderState, ...]
    search: Search
    logs: NDArray[np.float64]
    any_frame: bool = False


class SpeechStream(Stream):
    """Answers sound while it arrives; see `Stream`. A piece is a WAV file, or samples.

    After each piece the answer is that to all sound so far, to rounding: what a whole utterance has
    at its end, silence behind the last frames, is tried on each piece and not kept.

    Raises:
        InputError: the encoder reads backward too, or the features look ahead; the message says
            what could stream.
    """

    def __init__(self, task: SpeechTask) -> None:
        features = task.options.features
        hint = ""
        if not task.normalizer.streams:
            hint = (
                f"head.features.normalization={features.normalization} needs its end; use running"
            )
        elif features.deltas:
            hint = "head.features.deltas look ahead; use 0"
        if hint:
            raise InputError(f"the model cannot stream, since it reads whole utterances: {hint}")
        self._task = task
        self.reset()

    def reset(self) -> None:
        """See `Stream.reset`."""
        task = self._task
        self._rate: int | None = None
        bands = task.options.features.bands
        self._place = Place(
            arriving=None,
            samples=torch.zeros(0),
            heard=task.normalizer.begin(),
            frames=torch.zeros(0, bands, device=task.device),
            states=tuple(task.initial_states()),
            search=search_for(task),
            logs=np.zeros((len(task.members), 0, len(task.symbols))),
        )

    def push(self, piece: str) -> Prediction:
        """Read the next stretch of sound from a WAV file."""
        return self.push_audio(read_wav(piece))

    def push_audio(self, audio: Audio) -> Prediction:
        """Read the next stretch of sound; the answer to all that was heard.

        Raises:
            InputError: its rate differs from that before.
        """
        if self._rate not in (None, audio.rate):
            raise InputError(
                f"sound of {audio.rate} Hz behind {self._rate} Hz; a stream has one rate"
            )
        self._rate = audio.rate
        convert = resampler(audio.rate, self._task.options.features.rate)
        place = self._place
        with self._task.evaluating(), torch.inference_mode():
            if convert.source == convert.target:
                self._place = self._read(place, audio.samples)
                ended = self._read(self._place, torch.zeros(0), last=True)
            else:
                samples, arriving = convert.advance(
                    audio.samples, place.arriving or convert.begin()
                )
                self._place = replace(self._read(place, samples), arriving=arriving)
                ended = self._read(self._place, convert.end(arriving), last=True)
        return answer_from(self._task, ended.search, ended.logs)

    def _read(self, place: Place, new: Tensor, *, last: bool = False) -> Place:
        """Read samples; the last steps are filled up with silence."""
        task, log_mel = self._task, self._task.ear.log_mel
        samples = torch.cat([place.samples, new])
        frames, heard = place.frames, place.heard
        count = log_mel.complete(len(samples))
        if last and not count and not place.any_frame and len(samples):
            count = 1
        if count:
            made = log_mel(samples).to(task.device)
            samples = samples[count * log_mel.hop :]
            made, heard = task.normalizer.advance(made, heard)
            frames = torch.cat([frames, made])
        features = task.options.features
        whole = max(features.stack, features.stride)
        steps = max(0, (len(frames) - whole) // features.stride + 1)
        used = len(frames) if last else steps * features.stride
        ready = frames if last else frames[: (steps - 1) * features.stride + whole]
        place = replace(
            place, samples=samples, heard=heard, frames=frames[used:],
            any_frame=place.any_frame or count > 0,
        )  # fmt: skip
        if not last and not steps:
            return place
        x = stack_frames(ready.unsqueeze(0), stack=features.stack, stride=features.stride)
        return self._advance(place, x if last else x[:, :steps])

    def _advance(self, place: Place, x: Tensor) -> Place:
        """Read steps float [1, T', stack * bands]."""
        if not x.shape[1]:
            return place
        made, states = [], []
        for member, state in zip(self._task.members, place.states, strict=True):
            logs, after = cast("Recognizer", member).advance(x, state)
            made.append(logs[0].double().cpu().numpy())
            states.append(after)
        new = np.stack(made)
        search = copy.copy(place.search)
        search.advance(new)
        logs_so_far = np.concatenate([place.logs, new], axis=1)
        return replace(place, states=tuple(states), search=search, logs=logs_so_far)
