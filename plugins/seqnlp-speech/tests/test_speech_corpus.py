"""Manifests: where their files are, splits by column and by speaker, what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from seqnlp_speech.task import SpeechTask
from seqnlp_speech.wav import Audio, write_wav

from seqnlp.data import Corpus, open_corpus
from seqnlp.errors import InputError
from seqnlp.types import Field


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQNLP_CACHE", str(tmp_path_factory.mktemp("cache")))


def manifest(folder: Path, rows: list[str], header: str = "audio\ttranscript\tspeaker") -> str:
    (folder / "list.tsv").write_text("\n".join([header, *rows]) + "\n")
    return f"speech:{folder / 'list.tsv'}"


def open_it(name: str, **options: float) -> Corpus:
    return open_corpus(name, fields=SpeechTask.fields, **options)  # type: ignore[arg-type]


def speakers(corpus: Corpus, split: str) -> set[str]:
    return set(corpus.split(split).column("speaker"))


def test_paths_are_from_where_the_manifest_is(tmp_path: Path) -> None:
    name = manifest(tmp_path, [f"a/{n}.wav\tone\tx" for n in range(20)])
    train = open_it(name).split("train")
    assert train[0]["audio"].startswith(f"{tmp_path}/a/")
    assert train.where(0).startswith(f"{tmp_path / 'list.tsv'}:")


def test_a_column_says_the_splits(tmp_path: Path) -> None:
    rows = [
        f"{n}.wav\tone\tx\t{split}" for n, split in enumerate(["train", "Dev", "test", "train"])
    ]
    corpus = open_it(manifest(tmp_path, rows, "audio\ttranscript\tspeaker\tsplit"))
    assert {name: len(split) for name, split in corpus.splits.items()} == {
        "train": 2, "validation": 1, "test": 1
    }  # fmt: skip
    assert corpus.split("test")[0]["audio"] == str(tmp_path / "2.wav")
    assert corpus.split("test").where(0) == f"{tmp_path / 'list.tsv'}:4"
    assert corpus.notes == ()


def test_whole_speakers_are_held_out(tmp_path: Path) -> None:
    name = manifest(tmp_path, [f"{n}.wav\tone\ts{n % 10}" for n in range(100)])
    corpus = open_it(name, validation_share=0.15, test_share=0.1)
    sets = [speakers(corpus, split) for split in ("train", "validation", "test")]
    assert [len(each) for each in sets] == [7, 2, 1]
    assert len(set.union(*sets)) == 10
    assert corpus.notes[0].startswith(
        "no test split: 1 of 10 speakers (10 of 100 utterances) cut off train with seed 0"
    )
    assert speakers(open_it(name, test_share=0.1, seed=3), "test") != sets[2]


def test_without_speakers_rows_are_cut_off(tmp_path: Path) -> None:
    name = manifest(tmp_path, [f"{n}.wav\tone" for n in range(40)], "audio\ttranscript")
    corpus = open_it(name)
    assert len(corpus.split("validation")) == 4
    assert "no validation split: 4 of 40 examples" in corpus.notes[0]


def test_json_lines_csv_other_names_and_a_folder(tmp_path: Path) -> None:
    row = {"file": "1.wav", "sentence": "one, two"}
    for name in ("train", "validation", "test"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    corpus = open_it(f"speech:{tmp_path}")
    assert dict(corpus.split("test")[0]) == {
        "audio": str(tmp_path / "1.wav"), "transcript": "one, two"
    }  # fmt: skip
    (tmp_path / "l.csv").write_text('path,text\n1.wav,"one, two"\n2.wav,two\n')
    train = open_corpus(
        f"speech:{tmp_path / 'l.csv'}", fields=SpeechTask.fields, validation_share=0
    ).split("train")
    assert [row["transcript"] for row in train] == ["one, two", "two"]
    manifest(tmp_path, ["1.wav\tone\ttrain"], "audio\ttranscript\tsplit")
    (tmp_path / "list.tsv").rename(tmp_path / "manifest.tsv")
    assert len(open_it(f"speech:{tmp_path}", validation_share=0).split("train")) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("speech", "names no manifest; expected speech:manifest.tsv"),
        ("speech:nowhere.tsv", "nowhere.tsv: no such manifest; `seqnlp-speech make digits"),
    ],
)
def test_names_that_lead_nowhere(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_it(name)


def test_what_is_wrong_with_a_manifest_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column for transcript among audio, words"):
        open_it(manifest(tmp_path, ["1.wav\tone"], "audio\twords"))
    rows = ["1.wav\tone\ttrain", "2.wav\tone\ttrian"]
    with pytest.raises(
        InputError, match=r"list\.tsv:3: no split is called 'trian'; did you mean 'train'"
    ):
        open_it(manifest(tmp_path, rows, "audio\ttranscript\tsplit"))
    fields = (Field(name="text"), Field(name="label"))
    with pytest.raises(InputError, match="has sound and transcripts; the task reads text, label"):
        open_corpus(manifest(tmp_path, ["1.wav\tone\tx"]), fields=fields)


def test_a_file_that_cannot_be_read_is_named_by_its_row(tmp_path: Path) -> None:
    from seqnlp_speech.frames import Ear, HeardFrames
    from seqnlp_speech.options import FeatureOptions

    write_wav(tmp_path / "1.wav", Audio(samples=torch.zeros(100), rate=8000))
    (tmp_path / "2.wav").write_bytes(b"ID3\x03 etc etc etc")
    name = manifest(tmp_path, ["1.wav\tone\tx", "2.wav\ttwo\tx"])
    split = open_it(name, validation_share=0).split("train")
    paths = [Path(audio) for audio in split.column("audio")]
    with pytest.raises(InputError, match=r"list\.tsv:3: .*2\.wav: this is MP3; expected a WAV"):
        HeardFrames(paths, Ear(FeatureOptions()), split.where)


def test_the_manifest_may_be_read_without_its_family(tmp_path: Path) -> None:
    from seqnlp_speech.corpus import locate

    manifest(tmp_path, [f"a/{n}.wav\tone\tx" for n in range(20)])
    train = open_it(str(tmp_path / "list.tsv")).split("train")
    audio = train[0]["audio"]
    assert locate(audio, train.origin) == tmp_path / audio
    assert locate("/x/y.wav", train.origin) == Path("/x/y.wav")
