"""The whole way on speech of tones: each letter a pitch. It is learned in seconds."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from seqnlp_speech.decoding import least_steps
from seqnlp_speech.options import SearchOptions
from seqnlp_speech.resampling import Resampler
from seqnlp_speech.task import SpeechTask
from seqnlp_speech.wav import Audio, read_wav, write_wav

import seqnlp
from seqnlp.data import open_corpus
from seqnlp.errors import InputError
from seqnlp.testing import check_task

PITCH = {"a": 400, "b": 900, "c": 1600}
RATE = 8000


def say(text: str, random: np.random.Generator, rate: int = RATE) -> Audio:
    parts = [np.zeros(rate // 20)]
    for letter in text:
        time = np.arange(int(rate * random.uniform(0.06, 0.09))) / rate
        pitch = PITCH.get(letter, 0) * random.uniform(0.95, 1.05)
        parts += [np.sin(2 * math.pi * pitch * time), np.zeros(rate // 50)]
    sound = np.concatenate([*parts, np.zeros(rate // 20)]) * 0.5
    sound += 0.01 * random.standard_normal(len(sound))
    return Audio(samples=torch.from_numpy(sound.astype(np.float32)), rate=rate)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("tones")
    (home / "audio").mkdir()
    random = np.random.default_rng(0)
    lines = ["audio\ttranscript\tspeaker\tsplit"]
    for number in range(260):
        text = "".join(random.choice(list("abc "), size=random.integers(1, 6)))
        text = " ".join(text.split()) or "a"
        split = "train" if number < 200 else "dev" if number < 230 else "test"
        write_wav(home / f"audio/{number}.wav", say(text, random))
        lines.append(f"audio/{number}.wav\t{text.upper()}\ts{number % 5}\t{split}")
    (home / "manifest.tsv").write_text("\n".join(lines) + "\n")
    return home


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQNLP_CACHE", str(tmp_path_factory.getbasetemp() / "speech-cache"))


def recipe(folder: Path, *more: str) -> seqnlp.Settings:
    return seqnlp.load_settings(
        overrides=[
            "task=speech",
            f"corpus.name=speech:{folder / 'manifest.tsv'}",
            "model.cell=gru", "model.hidden_size=24", "model.layers=1",
            "train.epochs=20", "train.lr=0.02", "train.batch_size=16", "threads=1",
            "head.features.rate=8000", "head.features.bands=20", "head.features.stack=2",
            "head.features.stride=2", "head.augment.band_width=2", "head.augment.time_width=3",
            "head.lm_order=3",
            *more,
        ],
        base=SpeechTask.defaults,
    )  # fmt: skip


@pytest.fixture(scope="module")
def model(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> seqnlp.Model:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQNLP_CACHE", str(tmp_path_factory.getbasetemp() / "speech-cache"))
        settings = recipe(
            folder, "model.bidirectional=false", "head.features.normalization=running"
        )
        return seqnlp.train(settings, tmp_path_factory.mktemp("runs") / "tones")


def test_it_learns_and_its_figures_say_so(model: seqnlp.Model) -> None:
    report = model.metrics["test"]
    assert report["examples"] == 30
    assert report["cer"]["value"] < 0.1
    assert report["cer"]["low"] <= report["cer"]["value"] <= report["cer"]["high"]
    (baseline,) = model.metrics["baselines"].values()
    assert baseline["cer"]["value"] > 0.5
    epochs = model.metrics["training"][0]["epochs"]
    best = model.metrics["training"][0]["best_epoch"]
    assert epochs[best - 1]["cer"] == min(epoch["cer"] for epoch in epochs)
    assert model.metrics["validation"]["cer"]["value"] == pytest.approx(epochs[best - 1]["cer"])


@pytest.mark.parametrize("check", check_task.names)
def test_the_contract_of_tasks(check: str, folder: Path) -> None:
    settings = {"model": {"cell": "gru", "hidden_size": 24, "layers": 1}}
    features = {"rate": 8000, "bands": 20, "stack": 2, "stride": 2}
    name = f"speech:{folder / 'manifest.tsv'}"
    check_task("speech", only=check, corpus=name, settings=settings, features=features)


def test_answers_come_with_times(model: seqnlp.Model, folder: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    write_wav(tmp_path / "x.wav", say("cab", random))
    answer = model(str(tmp_path / "x.wav"))
    assert answer.output == "cab"
    assert answer.details is not None
    json.dumps(answer.details)
    peaks = answer.details["peaks"]
    assert [symbol for symbol, _ in peaks] == ["c", "a", "b"]  # type: ignore[attr-defined]
    seconds = [second for _, second in peaks]  # type: ignore[attr-defined]
    # 50 ms of silence, then 60 to 90 ms of each letter and 20 ms between them.
    for number, second in enumerate(seconds):
        assert 0.04 + 0.08 * number <= second <= 0.25 + 0.11 * number
    assert 0 < answer.details["blank"] < 1  # type: ignore[operator]


def test_saved_and_loaded_it_answers_the_same(
    model: seqnlp.Model, folder: Path, tmp_path: Path
) -> None:
    model.save(tmp_path / "saved")
    again = seqnlp.load(tmp_path / "saved")
    paths = [str(folder / f"audio/{number}.wav") for number in range(230, 240)]
    assert list(again.predict(paths)) == list(model.predict(paths))
    state = json.loads((tmp_path / "saved" / "bundle.json").read_text())["state"]
    assert state["symbols"] == [" ", "a", "b", "c"]


def test_batches_and_padding_change_nothing(model: seqnlp.Model, folder: Path) -> None:
    paths = [str(folder / f"audio/{number}.wav") for number in range(230, 242)]
    alone = [model(path) for path in paths]
    together = model.task.answer_texts(paths, batch_size=12)
    assert [a.output for a in alone] == [a.output for a in together]
    logs = {}
    for size in (1, 5):
        rows = model.task.read_texts(paths)
        found = model.task.log_probabilities(rows, batch_size=size)  # type: ignore[operator]
        logs[size] = dict(found)
    for number in range(12):
        np.testing.assert_allclose(logs[1][number], logs[5][number], atol=1e-4)


@pytest.mark.parametrize("rate", [8000, 22050])
@pytest.mark.parametrize("method", ["greedy", "beam"])
def test_a_stream_says_after_each_piece_what_the_whole_would(
    model: seqnlp.Model, tmp_path: Path, rate: int, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = model.task
    monkeypatch.setattr(task, "search", SearchOptions.model_validate({"method": method}))
    sound = say("abcca", np.random.default_rng(1), RATE)
    samples = Resampler(RATE, rate)(sound.samples)
    stream = model.stream()
    for _ in range(2):
        heard = 0
        for size in (30, 1, 1700, 4, 3000, len(samples) - 4735):
            piece = Audio(samples=samples[heard : heard + size], rate=rate)
            heard += size
            answer = stream.push_audio(piece)  # type: ignore[attr-defined]
            whole = tmp_path / "whole.wav"
            write_float(whole, Audio(samples=samples[:heard], rate=rate))
            wanted = model(str(whole))
            assert answer.output == wanted.output
            assert answer.details is not None and wanted.details is not None  # noqa: PT018
            assert answer.details["peaks"] == wanted.details["peaks"]
            assert answer.details["log_probability"] == pytest.approx(
                wanted.details["log_probability"], abs=1e-3
            )
        stream.reset()
    assert answer.output == "abcca"


def write_float(path: Path, audio: Audio) -> None:
    """32-bit floats, so that nothing is rounded."""
    import struct

    data = audio.samples.numpy().astype("<f4").tobytes()
    layout = struct.pack("<HHIIHH", 3, 1, audio.rate, 4 * audio.rate, 4, 32)
    body = b"WAVEfmt " + struct.pack("<I", 16) + layout + b"data" + struct.pack("<I", len(data))
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body) + len(data)) + body + data)


def test_pieces_of_a_stream_are_files_of_one_rate(model: seqnlp.Model, tmp_path: Path) -> None:
    sound = say("ab", np.random.default_rng(2))
    half = len(sound.samples) // 2
    write_wav(tmp_path / "1.wav", Audio(samples=sound.samples[:half], rate=RATE))
    write_wav(tmp_path / "2.wav", Audio(samples=sound.samples[half:], rate=RATE))
    write_wav(tmp_path / "3.wav", Audio(samples=sound.samples, rate=16000))
    stream = model.stream()
    stream.push(str(tmp_path / "1.wav"))
    assert stream.push(str(tmp_path / "2.wav")).output == "ab"
    with pytest.raises(InputError, match="sound of 16000 Hz behind 8000 Hz; a stream has one rate"):
        stream.push(str(tmp_path / "3.wav"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.bidirectional=true", "cannot stream, since it reads every text from its end"),
        ("head.features.normalization=utterance", "normalization=utterance needs its end; use running"),
        ("head.features.deltas=1", "head.features.deltas look ahead; use 0"),
    ],
)  # fmt: skip
def test_what_cannot_stream_says_why(folder: Path, override: str, message: str) -> None:
    streams = "model.bidirectional=false", "head.features.normalization=running"
    settings = recipe(folder, *streams, override)
    task = SpeechTask.create(settings, open_corpus(settings.corpus.name, fields=SpeechTask.fields))
    with pytest.raises(InputError, match=message):
        task.stream()


def test_an_ensemble_of_words_is_saved_whole(folder: Path, tmp_path: Path) -> None:
    settings = recipe(
        folder, "ensemble=2", "train.epochs=2", "head.symbols=words", "head.search.method=beam",
        "head.search.n_best=3", "head.search.lm_weight=0.5", "head.features.deltas=2",
    )  # fmt: skip
    model = seqnlp.train(settings, tmp_path / "run")
    assert len(model.task.members) == 2  # type: ignore[arg-type]
    again = seqnlp.load(tmp_path / "run")
    paths = [str(folder / f"audio/{number}.wav") for number in range(4)]
    assert list(again.predict(paths)) == list(model.predict(paths))
    details = again(paths[0]).details
    assert details is not None
    assert 0 < len(details["hypotheses"]) <= 3  # type: ignore[arg-type]


def test_a_run_repeats_to_the_bit_with_frames_kept_or_not(folder: Path) -> None:
    weights = []
    for cache in ("true", "true", "false"):
        settings = recipe(folder, "train.epochs=1", f"head.features.cache={cache}")
        task = seqnlp.train(settings).task
        weights.append({name: weight.clone() for name, weight in task.state_dict().items()})
    for other in weights[1:]:
        assert all(torch.equal(weights[0][name], weight) for name, weight in other.items())


def test_utterances_too_short_for_their_text_are_counted(folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "short"
    shutil.copytree(folder, home)
    sound = read_wav(home / "audio/0.wav")
    write_wav(home / "audio/0.wav", Audio(samples=sound.samples[:600], rate=sound.rate))
    manifest = (home / "manifest.tsv").read_text().splitlines()
    manifest[1] = "audio/0.wav\taabbcc\ts1\ttrain"
    (home / "manifest.tsv").write_text("\n".join(manifest) + "\n")
    assert least_steps([1, 1, 2, 2, 3, 3]) == 9
    notes: list[str] = []
    seqnlp.train(recipe(home, "train.epochs=1"), notify=notes.append)
    (note,) = [note for note in notes if "steps" in note]
    assert note.startswith(
        "train: 1 of 200 utterances have fewer steps than their transcripts need and are not "
        "learned from, the first at "
    )
    assert note.endswith("manifest.tsv:2; head.features.stride below 2 makes more steps")
    rows = [line.split("\t") for line in manifest]
    lines = [rows[0], *([row[0], "abc" * 99, *row[2:]] for row in rows[1:])]
    (home / "manifest.tsv").write_text("\n".join(map("\t".join, lines)) + "\n")
    with pytest.raises(InputError, match="no utterance is as long as its transcript needs"):
        seqnlp.train(recipe(home))


def test_loss_is_of_the_texts_that_are_known(model: seqnlp.Model, folder: Path) -> None:
    task, corpus = model.task, model.corpus()
    split = corpus.split("test")
    rows, references = task.read(split), task.references(split)
    found = task.validate(rows, references, batch_size=7)
    order = np.arange(len(rows.lengths))
    with task.evaluating(), torch.inference_mode():
        loss = task.loss(rows.batch(order))
    assert found["loss"] == pytest.approx(float(loss.mean), rel=1e-4)
    assert task.figures_on(rows) == ("cer", "wer", "loss")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("head.symbol=words", "no key 'symbol'; did you mean 'symbols'"),
        ("head.features.bandz=3", "no key 'features.bandz'; did you mean 'bands'"),
        (
            "head.search.beam_size=0",
            "search.beam_size: Input should be greater than or equal to 1, not 0",
        ),
        ("train.monitor=accuracy", "no figure 'accuracy'; known: cer, loss, wer"),
        ("model.cell=lstn", "no cell is named 'lstn'; did you mean 'lstm'"),
    ],
)
def test_settings_that_are_none_are_refused(folder: Path, override: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        seqnlp.train(recipe(folder, override))
