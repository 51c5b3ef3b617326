"""Speech by eSpeak NG: what is made, in whose voices, and what is said where it is not there."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from seqnlp_speech.espeak import (
    Library,
    SpeakingError,
    Synthesizer,
    Utterance,
    can_speak,
    open_synthesizer,
)
from seqnlp_speech.making import VARIANTS, Plan, make_corpus, total, voices_of
from seqnlp_speech.phrases import DIGITS, commands, digits
from seqnlp_speech.wav import Audio, read_wav

from seqnlp.errors import InputError, MissingPackageError

needs_espeak = pytest.mark.skipif(
    not can_speak(), reason="eSpeak NG is not installed: pip install seqnlp-speech[espeak]"
)


class Toy(Synthesizer):
    """A tone as long as its text."""

    def __init__(self) -> None:
        self.said: list[Utterance] = []

    def __call__(self, utterance: Utterance) -> Audio:
        self.said.append(utterance)
        time = torch.arange(100 * len(utterance.text)) / 11025
        return Audio(samples=torch.sin(3000 * time), rate=11025)


SMALL = Plan(utterances=30, voices=10, held_out=4)


def test_no_voice_is_in_two_splits_and_each_is_heard(tmp_path: Path) -> None:
    manifest = make_corpus(SMALL, tmp_path / "new", Toy())
    rows = [line.split("\t") for line in manifest.read_text().splitlines()]
    assert rows.pop(0) == ["audio", "transcript", "speaker", "split"]
    heard = {name: {row[2] for row in rows if row[3] == name} for name in voices_of(SMALL)}
    assert heard == {name: set(voices) for name, voices in voices_of(SMALL).items()}
    assert [len(voices) for voices in heard.values()] == [10, 4, 4]
    assert sum(map(len, heard.values())) == len(set.union(*heard.values()))
    assert len(rows) == total(SMALL) == 38
    assert all((manifest.parent / row[0]).is_file() for row in rows)
    assert voices_of(SMALL) != voices_of(Plan(utterances=30, voices=10, held_out=4, seed=1))
    assert len(set(VARIANTS)) == len(VARIANTS)


def test_the_same_plan_makes_the_same_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_corpus(SMALL, tmp_path / name, Toy())
    for path in sorted((tmp_path / "one").rglob("*.*")):
        other = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == other.read_bytes()


def test_speed_pitch_and_accent_change_from_utterance_to_utterance(tmp_path: Path) -> None:
    toy = Toy()
    make_corpus(SMALL, tmp_path / "new", toy)
    for attribute in ("speed", "pitch", "voice", "text", "gap", "range"):
        assert len({getattr(each, attribute) for each in toy.said}) > 3
    assert all(80 <= each.speed <= 450 and 0 <= each.pitch <= 99 for each in toy.said)


@pytest.mark.parametrize("decibels", [10.0, 25.0])
def test_noise_is_as_loud_as_asked(tmp_path: Path, decibels: float) -> None:
    plan = Plan(utterances=4, voices=2, held_out=1, noise=(decibels, decibels), rate=8000)
    make_corpus(plan, tmp_path / "noisy", Toy())
    quiet = Plan(utterances=4, voices=2, held_out=1, rate=8000)
    make_corpus(quiet, tmp_path / "quiet", Toy())
    for path in (tmp_path / "quiet/audio").iterdir():
        clean = read_wav(path).samples
        noisy = read_wav(tmp_path / "noisy/audio" / path.name).samples
        # Where a sum is too loud, it is scaled down as a whole.
        scale = float((clean @ noisy) / (clean @ clean))
        said = clean[clean.nonzero()[0, 0] : clean.nonzero()[-1, 0]]
        noise = (noisy - scale * clean).square().mean() / scale**2
        assert 10 * np.log10(float(said.square().mean() / noise)) == pytest.approx(decibels, abs=1)


def test_phrases_have_the_words_that_they_should() -> None:
    random = np.random.default_rng(0)
    made = [digits(random, 4).split() for _ in range(300)]
    assert {len(words) for words in made} == {1, 2, 3, 4}
    assert {word for words in made for word in words} == set(DIGITS)
    orders = {commands(random, 1) for _ in range(2000)}
    assert len(orders) > 200
    assert all(order.replace(" ", "").isalpha() and order.islower() for order in orders)
    assert {"stop", "move left"} <= orders


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"kind": "digit"}, "no phrases are called 'digit'; did you mean 'digits'"),
        ({"utterances": 0}, "must be at least 1"),
        ({"voices": 60}, "60 voices and 2 x 12 held out are more than the 67 that there are"),
        ({"noise": (20.0, 10.0)}, "noise from 20 to 10 dB: the lower comes first"),
        ({"rate": 10}, "the rate must be 2000 to 192000 Hz, not 10"),
    ],
)
def test_plans_that_cannot_be_are_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Plan(**changed)  # type: ignore[arg-type]


def test_what_was_cut_short_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    with pytest.raises(
        InputError, match="has what a run that was cut short left; remove it, or name"
    ):
        make_corpus(Plan(), tmp_path, lambda _: pytest.fail("it spoke"))
    (tmp_path / "manifest.tsv").touch()
    with pytest.raises(InputError, match="is in use; name an empty or a new folder"):
        make_corpus(Plan(), tmp_path, lambda _: pytest.fail("it spoke"))


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path, tmp_path / "file"):
        with pytest.raises(InputError, match="is in use; name an empty or a new folder"):
            make_corpus(SMALL, folder, Toy())


def test_without_espeak_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert not can_speak()
    with pytest.raises(
        MissingPackageError, match=r"pip install seqnlp-speech\[espeak\], or the program"
    ):
        open_synthesizer()


def test_a_library_that_dies_is_told_of(tmp_path: Path) -> None:
    with (
        Library(str(tmp_path / "none.so"), "data") as speak,
        pytest.raises(SpeakingError, match=r"library has failed: OSError: .*none\.so"),
    ):
        speak(Utterance(text="one", voice="en"))


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
def test_the_program_is_used_where_there_is_no_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seqnlp_speech.wav import write_wav

    write_wav(tmp_path / "given.wav", Audio(samples=torch.ones(7) / 2, rate=8000))
    program = tmp_path / "espeak-ng"
    program.write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/args\n'
        f'[ "$2" = en+bad ] && {{ echo "no such voice" >&2; exit 1; }}\n'
        f'while [ "$1" != -w ]; do shift; done\ncp {tmp_path}/given.wav "$2"\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda _: str(program))
    with open_synthesizer() as speak:
        audio = speak(Utterance(text="-one", voice="en+m1", speed=150, pitch=30))
        assert (len(audio.samples), audio.rate) == (7, 8000)
        assert (tmp_path / "args").read_text().startswith("-v en+m1 -s 150 -p 30 -P 50 -g 0 -w ")
        assert (tmp_path / "args").read_text().endswith(" -- -one\n")
        with pytest.raises(SpeakingError, match="eSpeak NG: no such voice"):
            speak(Utterance(text="one", voice="en+bad"))


@needs_espeak
def test_speech_repeats_whatever_was_said_before() -> None:
    breathy = Utterance(text="seven three nine", voice="en-us+f3")
    with open_synthesizer() as speak:
        first = speak(breathy)
        speak(Utterance(text="stop", voice="en+m1", speed=300))
        again = speak(breathy)
        slow = speak(Utterance(text="seven three nine", voice="en-us+f3", speed=90))
        higher = speak(Utterance(text="seven three nine", voice="en-us+f3", pitch=90))
    assert torch.equal(first.samples, again.samples)
    assert 0.5 < first.seconds < 2.5
    assert slow.seconds > 1.4 * first.seconds
    assert not torch.equal(higher.samples, first.samples)


@needs_espeak
def test_every_voice_speaks() -> None:
    with open_synthesizer() as speak:
        sounds = [speak(Utterance(text="one", voice=f"en-us+{name}")) for name in VARIANTS]
    assert all(0.1 < sound.seconds < 3 for sound in sounds)
    assert all(sound.samples.abs().max() > 0.01 for sound in sounds)
    assert len({tuple(sound.samples[:2000].tolist()) for sound in sounds}) > 0.9 * len(VARIANTS)


@needs_espeak
def test_a_voice_that_is_none_is_refused() -> None:
    with open_synthesizer() as speak:
        with pytest.raises(SpeakingError, match="klingonese"):
            speak(Utterance(text="one", voice="klingonese"))
        assert speak(Utterance(text="one", voice="en")).seconds > 0.1
