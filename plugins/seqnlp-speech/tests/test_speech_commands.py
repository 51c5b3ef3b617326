"""What a user types, from making speech to recognizing it."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from seqnlp_speech.cli import main
from seqnlp_speech.espeak import can_speak
from seqnlp_speech.listening import transcribe
from seqnlp_speech.wav import read_header, read_wav

import seqnlp

pytestmark = pytest.mark.skipif(
    not can_speak(), reason="eSpeak NG is not installed: pip install seqnlp-speech[espeak]"
)


def speech(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, list(words))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def toolkit(*words: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "seqnlp", *words],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of digits and a model that has hardly learned it, by the commands of the README."""
    folder = tmp_path_factory.mktemp("speech")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQNLP_CACHE", str(folder / "cache"))
        code, out = speech(
            "make", "digits", "--output", str(folder / "digits"), "--utterances", "40", "--voices",
            "4", "--held-out", "2", "--most-words", "2", "--noise", "20:30", "--rate", "8000",
        )  # fmt: skip
        assert code == 0
        assert f"48 utterances in {folder / 'digits/manifest.tsv'}; try next:" in out
        toolkit(
            "train", "--task", "speech", "--corpus", "speech:digits/manifest.tsv", "--cell",
            "min_gru", "--hidden-size", "16", "--layers", "1", "--epochs", "3", "--output", "run",
            "--threads", "1", "--quiet", "--set", "head.features.rate=8000", "--set",
            "head.features.normalization=running", "--set", "model.bidirectional=false",
            folder=folder,
        )  # fmt: skip
    return folder


def test_the_toolkit_reads_files_and_shows_figures(home: Path) -> None:
    paths = ["digits/audio/test-00000.wav", "digits/audio/test-00001.wav"]
    outputs = toolkit("predict", "run", *paths, folder=home).splitlines()
    assert len(outputs) == 2
    records = toolkit("predict", "run", *paths, "--format", "jsonl", folder=home).splitlines()
    for path, output, record in zip(paths, outputs, map(json.loads, records), strict=True):
        assert (record["text"], record["output"]) == (path, output)
        assert {"peaks", "blank", "log_probability"} <= set(record)
    pieces = toolkit("predict", "run", "--stream", *paths[:1], folder=home)
    assert pieces.splitlines() == outputs[:1]
    shown = toolkit("evaluate", "run", folder=home)
    assert "CER" in shown
    assert "WER" in shown
    assert "speech" in toolkit("show", "run", folder=home)
    shutil.copytree(home / "run", home / "copy")
    assert "CER" in toolkit("compare", "run", "copy", folder=home)


def test_searches_are_measured(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQNLP_CACHE", str(home / "cache"))
    run = str(home / "run")
    code, greedy = speech("evaluate", run)
    assert code == 0
    wanted = seqnlp.load(run).metrics["test"]["cer"]["value"]
    assert greedy.startswith(f"CER {100 * wanted:.2f} % [")
    code, beam = speech("evaluate", run, "--beam-size", "4", "--lm-weight", "0.5")
    assert code == 0
    assert "of 4 utterances without an error" in beam
    code, out = speech("evaluate", run, "--lm-weight", "0.5")
    assert (code, out) == (
        2,
        "error: a language model and a bonus are for a beam: give --beam-size too\n",
    )


def test_peaks_are_printed_and_drawn(home: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    sound = str(home / "digits/audio/test-00000.wav")
    code, out = speech("peaks", str(home / "run"), sound, "--plot", str(tmp_path / "p.png"))
    assert code == 0
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    times = [float(line.split("\t")[0]) for line in out.splitlines()]
    assert times == sorted(times)
    assert all(0 < time < read_wav(sound).seconds for time in times)
    code, out = speech("peaks", str(home / "run"), sound, "--plot", "p.bmp")
    assert (code, out.splitlines()[-1]) == (
        2, "error: p.bmp: expected a picture that ends in .png, .svg, .pdf"
    )  # fmt: skip


def test_listening_gives_what_reading_gives(home: Path) -> None:
    model = seqnlp.load(home / "run")
    path = home / "digits/audio/train-00003.wav"
    data = path.read_bytes()[read_header(path).offset :]
    found = list(transcribe(model.task, io.BytesIO(data), rate=8000, chunk=0.1, pause=60))  # type: ignore[arg-type]
    wanted = model(str(path)).output
    assert [text for text, ended in found if ended] == ([wanted] if wanted else [])
    done = subprocess.run(
        [sys.executable, "-c", "from seqnlp_speech.cli import main; main()", "listen",
         str(home / "run"), "--rate", "8000", "--pause", "60"],
        input=data, capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout.decode().split("\n")[:-1] == ([wanted] if wanted else [])


def test_a_pause_ends_a_text(home: Path) -> None:
    model = seqnlp.load(home / "run")
    silence = bytes(2 * 8000)
    found = list(transcribe(model.task, io.BytesIO(silence), rate=8000, chunk=0.25, pause=0.5))  # type: ignore[arg-type]
    assert sum(ended for _, ended in found) <= 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["make", "digits", "--output", "x", "--noise", "loud"], "--noise loud: expected LOW:HIGH in dB, such as 10:30"),
        (["make", "digits", "--output", "x", "--voices", "100"], "more than the 67 that there are"),
        (["evaluate", "nowhere"], "nowhere: no such model folder"),
    ],
)  # fmt: skip
def test_mistakes_are_answered_in_a_line(words: list[str], message: str) -> None:
    code, out = speech(*words)
    assert code == 2
    assert out.startswith("error: ")
    assert message in out
    assert out.count("\n") == 1
