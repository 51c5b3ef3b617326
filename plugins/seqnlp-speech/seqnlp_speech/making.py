"""A corpus of synthetic speech: many voices, some of which are heard in the test alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from seqnlp.errors import InputError, suggest
from seqnlp.files import write_text
from seqnlp_speech.espeak import Synthesizer, Utterance
from seqnlp_speech.phrases import PHRASES
from seqnlp_speech.resampling import resampler
from seqnlp_speech.wav import Audio, write_wav

ACCENTS = ("en-us", "en", "en-gb-scotland", "en-gb-x-rp", "en-us-nyc", "en-gb-x-gbclan", "en-029")
VARIANTS = (
    "Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Hugo", "Jacky",
    "Lee", "Marco", "Mario", "Michael", "Mike", "Reed", "Storm", "adam", "anika", "announcer",
    "antonio", "aunty", "belinda", "benjamin", "boris", "caleb", "david", "ed", "edward", "f1",
    "f2", "f3", "f4", "f5", "grandma", "grandpa", "gustave", "ian", "iven", "john", "klatt",
    "linda", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "marcelo", "max", "michel",
    "miguel", "norbert", "pablo", "paul", "pedro", "quincy", "rob", "robert", "sandro",
    "shelby", "steph", "travis", "victor", "zac",
)  # fmt: skip
"""Variants of eSpeak NG that speak clearly, one of each family: no whisper, no croak, no robot."""
MANIFEST = "manifest.tsv"
MARGIN_SECONDS = (0.05, 0.3)
"""Silence, or the noise alone, before and behind what is said."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be made.

    kind: of `PHRASES`. utterances: of train; validation and test have a tenth each, at least one a
    voice. voices, held_out: variants in train, and in validation and test each. most_words: of a
    phrase of digits. noise: lowest and highest signal-to-noise ratio in dB; None for silence.
    """

    kind: str = "digits"
    utterances: int = 3000
    voices: int = 40
    held_out: int = 12
    most_words: int = 6
    noise: tuple[float, float] | None = None
    rate: int = 16_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in PHRASES:
            raise InputError(f"no phrases are called {self.kind!r}; {suggest(self.kind, PHRASES)}")
        if min(self.utterances, self.voices, self.held_out, self.most_words) < 1:
            raise InputError("utterances, voices, held_out and most_words must be at least 1")
        if self.voices + 2 * self.held_out > len(VARIANTS):
            raise InputError(
                f"{self.voices} voices and 2 x {self.held_out} held out are more than the "
                f"{len(VARIANTS)} that there are"
            )
        if self.noise is not None and self.noise[0] > self.noise[1]:
            raise InputError(
                f"noise from {self.noise[0]:g} to {self.noise[1]:g} dB: the lower comes first"
            )
        if not 2000 <= self.rate <= 192_000:
            raise InputError(f"the rate must be 2000 to 192000 Hz, not {self.rate}")


def make_corpus(
    plan: Plan,
    folder: Path,
    speak: Synthesizer,
    *,
    advance: Callable[[int], None] = lambda _: None,
) -> Path:
    """Say everything and write it down: audio/*.wav and a manifest, whose path is returned.

    The manifest has the columns audio, transcript, speaker and split. The same plan gives the same
    files with the same eSpeak NG.

    Args:
        advance: is told how many more utterances are done.

    Raises:
        InputError: the folder is not empty, or cannot be written to.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        cut_short = (folder / "audio").is_dir() and not (folder / MANIFEST).exists()
        why = "has what a run that was cut short left; remove it, or" if cut_short else "is in use;"
        raise InputError(f"{folder} {why} name an empty or a new folder")
    try:
        (folder / "audio").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror}") from error
    lines = ["audio\ttranscript\tspeaker\tsplit"]
    for split, number, utterance, random in _script(plan):
        audio = _finish(speak(utterance), plan, random)
        name = f"audio/{split}-{number:05}.wav"
        write_wav(folder / name, audio)
        speaker = utterance.voice.rpartition("+")[2]
        lines.append(f"{name}\t{utterance.text}\t{speaker}\t{split}")
        advance(1)
    manifest = folder / MANIFEST
    write_text(manifest, "\n".join(lines) + "\n")
    return manifest


def total(plan: Plan) -> int:
    """Utterances of all splits."""
    return sum(_sizes(plan).values())


def voices_of(plan: Plan) -> dict[str, Sequence[str]]:
    """The variants of each split; none is in two."""
    order = np.random.default_rng([plan.seed, 1]).permutation(len(VARIANTS))
    drawn = [VARIANTS[index] for index in order]
    first, second = plan.voices, plan.voices + plan.held_out
    return {
        "train": drawn[:first],
        "validation": drawn[first:second],
        "test": drawn[second : second + plan.held_out],
    }


def _sizes(plan: Plan) -> dict[str, int]:
    held_out = max(plan.held_out, plan.utterances // 10)
    return {"train": plan.utterances, "validation": held_out, "test": held_out}


def _script(plan: Plan) -> Iterator[tuple[str, int, Utterance, Generator]]:
    """Everything that is said; an utterance depends on the plan and its own number alone."""
    voices = voices_of(plan)
    for part, (split, size) in enumerate(_sizes(plan).items()):
        for number in range(size):
            random = np.random.default_rng([plan.seed, 2, part, number])
            variant = voices[split][number % len(voices[split])]
            accent, pitch, speed = _manner(variant, plan.seed)
            if random.random() < 0.5:
                accent = ACCENTS[random.integers(len(ACCENTS))]
            utterance = Utterance(
                text=PHRASES[plan.kind](random, plan.most_words),
                voice=f"{accent}+{variant}",
                speed=round(speed * random.uniform(0.85, 1.2)),
                pitch=int(np.clip(pitch + random.integers(-12, 13), 0, 99)),
                range=int(random.integers(30, 71)),
                gap=int(random.integers(0, 4)),
            )
            yield split, number, utterance, random


def _manner(variant: str, seed: int) -> tuple[str, int, int]:
    """The accent, pitch and speed that a speaker usually has."""
    digest = hashlib.sha256(variant.encode()).digest()
    random = np.random.default_rng([seed, 3, int.from_bytes(digest[:4], "little")])
    accent = ACCENTS[random.integers(len(ACCENTS))]
    return accent, int(random.integers(30, 71)), int(random.integers(140, 211))


def _finish(spoken: Audio, plan: Plan, random: Generator) -> Audio:
    """At the rate of the plan and a loudness of its own, between silences, in noise."""
    samples = resampler(spoken.rate, plan.rate)(spoken.samples)
    samples = samples / samples.abs().max().clamp(min=1e-4) * float(random.uniform(0.2, 0.8))
    before, behind = (round(plan.rate * random.uniform(*MARGIN_SECONDS)) for _ in range(2))
    power = samples.square().mean()
    samples = torch.nn.functional.pad(samples, (before, behind))
    if plan.noise is not None:
        ratio = random.uniform(*plan.noise)
        samples = samples + power.sqrt() * 10 ** (-ratio / 20) * _noise(len(samples), random)
        samples = samples / samples.abs().max().clamp(min=1.0)
    return Audio(samples=samples, rate=plan.rate)


def _noise(size: int, random: Generator) -> Tensor:
    """Noise of power 1, float32 [size], its spectrum between white and pink: 1 / f^a, a in 0..1."""
    spectrum = np.fft.rfft(random.standard_normal(size))
    shape = np.arange(1, len(spectrum) + 1) ** (-random.uniform(0, 1) / 2)
    noise = np.fft.irfft(spectrum * shape, size)
    return torch.from_numpy((noise / max(noise.std(), 1e-9)).astype(np.float32))
