"""A model as a folder of graphs: what is in it, that it answers the same, what cannot be written."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
import seqnlp_runtime

import seqnlp
from seqnlp.cli.main import run
from seqnlp.errors import InputError, MissingPackageError
from seqnlp.integrations.onnx.description import describe_pipeline
from seqnlp.integrations.onnx.export import check_folder, export_onnx, replace_folder
from seqnlp.manifest import digest
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.tokenizers import WhitespaceTokenizer
from seqnlp.text.vocabulary import Vocabulary
from seqnlp.training.run import train
from tests.toy import small_settings


@pytest.fixture(scope="module")
def rich_run(toy_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with n-grams, evidence, chunks of long texts and words that it does not know."""
    folder = tmp_path_factory.mktemp("runs") / "rich"
    own = ["head.evidence=logistic", "text.max_tokens=6", "text.max_size=12", "train.epochs=2"]
    train(small_settings(toy_corpus, *own), folder)
    return folder


@pytest.fixture(scope="module")
def exported(rich_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command line makes of it; read only."""
    folder = tmp_path_factory.mktemp("exported") / "rich"
    words = ["export", str(rich_run), "--format", "onnx", "--output", str(folder)]
    assert run([*words, "--quantize", "int8"], debug=True) == 0
    return folder


def test_the_folder_has_what_its_description_says(exported: Path, rich_run: Path) -> None:
    described = json.loads((exported / "seqnlp.json").read_text(encoding="utf-8"))
    model = seqnlp.load(rich_run)
    entries = [*described["graphs"].values(), described["tables"]]
    assert {entry["file"] for entry in entries} | {"seqnlp.json"} == {
        path.name for path in exported.iterdir()
    }
    assert set(described["graphs"]) == {"classifier", "classifier.int8"}
    for entry in entries:
        assert digest((exported / entry["file"]).read_bytes()) == entry["sha256"]
    assert described["format"] == 1
    assert (described["task"], described["kind"]) == ("sentiment", "classifier")
    assert described["labels"] == ["negative", "positive"]
    assert (described["max_tokens"], described["long_documents"]) == (6, "chunk")
    pipeline = model.task.pipeline
    assert pipeline.vocabulary is not None
    assert described["pipelines"]["text"]["vocabulary"] == list(pipeline.vocabulary.tokens)
    assert described["pipelines"]["text"]["ngrams"] == {"buckets": 50, "min_size": 3, "max_size": 6}
    assert described["graphs"]["classifier"]["inputs"] == {
        "ids": {"type": "int64", "shape": ["batch", "time"]},
        "lengths": {"type": "int64", "shape": ["batch"]},
        "grams": {"type": "int64", "shape": ["grams"]},
        "gram_positions": {"type": "int64", "shape": ["grams"]},
        "evidence": {"type": "float", "shape": ["batch", 2]},
    }
    assert described["graphs"]["classifier"]["outputs"] == {
        "log_probabilities": {"type": "float", "shape": ["batch", 2]}
    }


def test_each_graph_tells_its_tokenization(exported: Path) -> None:
    described = json.loads((exported / "seqnlp.json").read_text(encoding="utf-8"))
    for entry in described["graphs"].values():
        graph = onnx.load(exported / entry["file"])
        (found,) = [each.value for each in graph.metadata_props if each.key == "seqnlp"]
        told = json.loads(found)
        assert told["pipelines"] == described["pipelines"]
        assert told["labels"] == described["labels"]
        assert (told["max_tokens"], told["long_documents"]) == (6, "chunk")


def test_the_runner_answers_as_the_library(exported: Path, rich_run: Path) -> None:
    ours, theirs = seqnlp.load(rich_run), seqnlp_runtime.load(exported)
    texts = [str(text) for text in ours.corpus().split("test").column("text")]
    texts += ["", "unheard-of words", "The " * 9 + "dull end.", "great"]
    wanted = list(ours.predict(texts))
    answers = list(theirs.predict(texts, batch_size=5))
    for text, answer, each in zip(texts, answers, wanted, strict=True):
        assert answer.output == each.output
        assert answer.probabilities == pytest.approx(each.probabilities, abs=1e-5), text
        assert theirs(text).probabilities == pytest.approx(each.probabilities, abs=1e-5), text


def test_a_folder_that_is_taken_is_said(
    rich_run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    words = ["export", str(rich_run), "--output"]
    assert run([*words, str(tmp_path)], debug=False) == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path}: has notes.txt in it, which is no part of an export; name another "
        "folder\n"
    )
    assert run([*words, str(tmp_path / "notes.txt")], debug=False) == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'notes.txt'}: is no folder\n"


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "and" / "made"
    replace_folder(folder, {"seqnlp.json": b"{}", "stream.onnx": b"1"})
    replace_folder(folder, {"seqnlp.json": b"{ }", "classifier.onnx": b"2"})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "seqnlp.json": b"{ }",
        "classifier.onnx": b"2",
    }
    assert [path.name for path in folder.parent.iterdir()] == ["made"]
    check_folder(folder)


def test_what_was_there_stays_where_the_new_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "made"
    replace_folder(folder, {"seqnlp.json": b"{}"})
    real = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(InputError, match=rf"^cannot write {folder}: No space left on device$"):
        replace_folder(folder, {"seqnlp.json": b"{ }"})
    assert (folder / "seqnlp.json").read_bytes() == b"{}"
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_a_link_to_a_folder_stays_one(tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to("first")
    for data in (b"{}", b"{ }"):
        check_folder(tmp_path / "current")
        replace_folder(tmp_path / "current", {"seqnlp.json": data})
        assert (tmp_path / "current").is_symlink()
        assert (tmp_path / "first" / "seqnlp.json").read_bytes() == data


def test_what_cannot_be_written_is_said_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError) as caught:
        check_folder(tmp_path / "notes.txt" / "a" / "b")
    assert str(caught.value) == (
        f"cannot write {tmp_path / 'notes.txt' / 'a' / 'b'}: {tmp_path / 'notes.txt'} is no folder"
    )
    with monkeypatch.context() as patch:
        patch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)
        with pytest.raises(InputError) as caught:
            check_folder(tmp_path / "a" / "b")
    assert str(caught.value) == (
        f"cannot write {tmp_path / 'a' / 'b'}: {tmp_path} may not be written to"
    )
    (tmp_path / "mounted").mkdir()
    monkeypatch.setattr("os.path.ismount", lambda path: Path(path).name == "mounted")
    with pytest.raises(InputError) as caught:
        check_folder(tmp_path / "mounted")
    assert str(caught.value) == (
        f"{tmp_path / 'mounted'}: is where a disk is mounted, which cannot be replaced; name a "
        "folder in it"
    )


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "own.onnx").write_bytes(b"")
    with pytest.raises(InputError, match=r": has own\.onnx in it, which is no part of an export"):
        check_folder(tmp_path)


def test_what_cannot_be_exported_is_said(toy_run: Path, tmp_path: Path) -> None:
    model = seqnlp.load(toy_run)
    with pytest.raises(InputError) as caught:
        export_onnx(model.quantize("int8"), tmp_path / "x")
    assert str(caught.value) == (
        "an int8 model cannot be exported: export the float one with quantize='int8'"
    )
    other: Any = SimpleNamespace(
        task=SimpleNamespace(settings=SimpleNamespace(task="long_range")), quantized=None
    )
    with pytest.raises(InputError) as caught:
        export_onnx(other, tmp_path / "x")
    assert str(caught.value) == (
        "a model of the task 'long_range' cannot be exported to ONNX; those of sentiment, "
        "summarization, translation can"
    )
    assert not (tmp_path / "x").exists()


class Abacus(WhitespaceTokenizer):
    family = "abacus"


def test_parts_that_the_runner_does_not_have_are_named() -> None:
    made = TokenPipeline(tokenizer=Abacus(), vocabulary=Vocabulary(("a",)))
    with pytest.raises(InputError) as caught:
        describe_pipeline(made)
    assert str(caught.value) == (
        "the tokenizer 'abacus' cannot be exported: seqnlp-runtime has only bpe, char, nltk, "
        "regex, spacy, unigram, whitespace, wordpiece"
    )
    made = TokenPipeline(
        normalizers=("rot13",), tokenizer=WhitespaceTokenizer(), vocabulary=Vocabulary(("a",))
    )
    with pytest.raises(InputError, match=r"^the normalizer 'rot13' cannot be exported: seqnlp-run"):
        describe_pipeline(made)


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_a_missing_package_is_said(
    package: str, toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    real = importlib.util.find_spec
    for module in ("seqnlp.integrations.onnx.recording",):
        monkeypatch.setattr(
            f"{module}.find_spec", lambda name: None if name == package else real(name)
        )
    with pytest.raises(MissingPackageError) as caught:
        export_onnx(seqnlp.load(toy_run), tmp_path / "x")
    assert str(caught.value) == (
        f"an ONNX graph needs the package {package}; pip install 'seqnlp[onnx]'"
    )
