"""Answers are those that the library gave, and what cannot be run is said in a line."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from seqnlp_runtime import FolderError, MissingPackageError, RunnerError, load
from seqnlp_runtime.pipeline import Pipeline

MODELS = Path(__file__).parent / "models"
KINDS = ["labels", "stream"]


def expected(kind: str) -> tuple[list[str], list[dict[str, float]]]:
    found = json.loads((MODELS / f"{kind}.json").read_text(encoding="utf-8"))
    return found["texts"], found["probabilities"]


def close(found: Any, wanted: dict[str, float], within: float = 1e-5) -> bool:
    assert found.probabilities is not None
    assert list(found.probabilities) == list(wanted)
    assert found.output == max(found.probabilities, key=found.probabilities.__getitem__)
    return np.allclose(
        list(found.probabilities.values()), list(wanted.values()), rtol=0, atol=within
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """An exported folder that a test may damage."""
    return Path(shutil.copytree(MODELS / "labels", tmp_path / "model"))


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "seqnlp.json"
    described = json.loads(path.read_text(encoding="utf-8"))
    change(described)
    path.write_text(json.dumps(described), encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_those_of_the_library(kind: str) -> None:
    model = load(MODELS / kind)
    texts, wanted = expected(kind)
    for text, each in zip(texts, wanted, strict=True):
        assert close(model(text), each), text
    for size in (1, 3, 64):
        answers = list(model.predict(iter(texts), batch_size=size))
        assert len(answers) == len(texts)
        assert all(map(close, answers, wanted))


def test_texts_are_those_that_the_library_wrote() -> None:
    model = load(MODELS / "writes")
    found = json.loads((MODELS / "writes.json").read_text(encoding="utf-8"))
    one_by_one = [model(text) for text in found["texts"]]
    for answers in (one_by_one, list(model.predict(found["texts"]))):
        assert [answer.output for answer in answers] == found["outputs"]
        for answer, scores in zip(answers, found["scores"], strict=True):
            assert [each.score for each in answer.hypotheses] == pytest.approx(scores, abs=1e-4)
            assert [each.text for each in answer.hypotheses[:1]] in ([], [answer.output])


def test_tokens_in_the_place_of_texts() -> None:
    model = load(MODELS / "labels")
    (answer,) = model.predict_tokens([["a", "fine", "film"]])
    assert answer == model("a fine film")


def test_int8_weights_answer_nearly_the_same() -> None:
    model = load(MODELS / "labels", int8=True)
    texts, wanted = expected("labels")
    assert all(close(model(text), each, 0.05) for text, each in zip(texts, wanted, strict=True))
    assert not all(close(model(text), each, 1e-7) for text, each in zip(texts, wanted, strict=True))
    with pytest.raises(FolderError, match=r"has no int8 weights; export it with --quantize int8$"):
        load(MODELS / "stream", int8=True)


def test_a_stream_answers_as_to_the_text_so_far() -> None:
    model = load(MODELS / "stream")
    stream = model.stream()
    for text in expected("stream")[0]:
        stream.reset()
        pieces = text.split(" ")
        for end, piece in enumerate(pieces, start=1):
            found, whole = stream.push(piece), model(" ".join(pieces[:end]))
            assert whole.probabilities is not None
            assert close(found, dict(whole.probabilities)), pieces[:end]


def test_a_stream_goes_back_where_tokens_change() -> None:
    model = load(MODELS / "stream")
    stream = model.stream()
    for pieces in (["is", "n't", "fine"], ["10", ":", "45", "film"], ["", "a", ""]):
        stream.reset()
        for end, piece in enumerate(pieces, start=1):
            whole = model(" ".join(pieces[:end]))
            assert whole.probabilities is not None
            assert close(stream.push(piece), dict(whole.probabilities))


def test_a_model_that_reads_both_ways_has_no_stream() -> None:
    with pytest.raises(RunnerError) as caught:
        load(MODELS / "labels").stream()
    assert str(caught.value) == (
        "the model reads whole texts only; one that reads in one direction "
        "(model.bidirectional = false) can stream"
    )


BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "seqnlp", "spacy", "nltk", "onnx", "scipy"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
from seqnlp_runtime import load
model = load(sys.argv[1])
print(model("a fine film").output, next(model.predict(["dull", "dull cast"])).output)
"""


def test_nothing_else_need_be_installed() -> None:
    words = [sys.executable, "-c", BLOCKED, str(MODELS / "labels")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "good bad\n"


@pytest.mark.parametrize(("family", "name"), [("spacy", "en"), ("nltk", "treebank")])
def test_a_missing_tokenizer_is_named(
    family: str, name: str, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"family": family, "state": {"name": name}}
    edit(copy, lambda described: described["pipelines"]["text"].update(tokenizer=own))
    model = load(copy)
    for module in [*(each for each in sys.modules if each.partition(".")[0] == family), family]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingPackageError) as caught:
        model("a fine film")
    assert str(caught.value) == (
        f"the tokenizer {family}:{name} needs the package {family}; pip install {family}, or give "
        "tokens: model.predict_tokens([[...]])"
    )
    assert next(model.predict_tokens([["a", "fine", "film"]])).output == "good"


def test_what_is_no_export_is_said(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"nowhere: no such folder$"):
        load(tmp_path / "nowhere")
    with pytest.raises(FolderError, match=r": not an exported model: it has no seqnlp\.json$"):
        load(tmp_path)
    (tmp_path / "bundle.json").write_text("{}")
    with pytest.raises(FolderError, match=r"; it is a trained model: seqnlp export .* --format"):
        load(tmp_path)


DAMAGES: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    ("newer", lambda d: d.update(format=2, seqnlp="9.1"),
     "exported by seqnlp 9.1 in format 2; this seqnlp-runtime reads up to format 1: upgrade "
     "seqnlp-runtime"),
    ("no format", lambda d: d.pop("format"), "damaged: not the description of a model"),
    ("no kind", lambda d: d.pop("kind"), "damaged: kind: expected a str"),
    ("kind", lambda d: d.update(kind="oracle"),
     "damaged: kind: expected classifier or writer, found 'oracle'"),
    ("graphs", lambda d: d.update(graphs=[]), "damaged: graphs: expected a dict"),
    ("no graph", lambda d: d["graphs"].clear(), "damaged: no graph is named 'classifier'"),
    ("path", lambda d: d["graphs"]["classifier"].update(file="../x.onnx"),
     "damaged: '../x.onnx' is no name of a file"),
    ("missing", lambda d: d["graphs"]["classifier"].update(file="y.onnx"),
     "y.onnx: No such file or directory"),
    ("checksum", lambda d: d["graphs"]["classifier"].update(sha256="0"),
     "classifier.onnx: damaged: its checksum differs from seqnlp.json"),
    ("entry", lambda d: d["graphs"]["classifier"].pop("sha256"), "damaged: 'sha256'"),
    ("labels", lambda d: d.pop("labels"), "damaged: the key 'labels' is missing"),
    ("label", lambda d: d.update(labels=["good", 1]), "damaged: labels: expected a list of texts"),
    ("more labels", lambda d: d["labels"].append("so-so"), "damaged: 3 labels for a graph of 2"),
    ("limit", lambda d: d.update(max_tokens=0), "max_tokens: expected 1 to 2**32 - 1, found 0"),
    ("limits", lambda d: d.update(max_tokens="8"), "max_tokens: expected a whole number, found '8'"),
    ("no grams", lambda d: d["pipelines"]["text"].update(ngrams=None),
     "damaged: the graph reads ids, lengths, grams, gram_positions, evidence"),
    ("no evidence", lambda d: d.update(evidence=None), "damaged: the graph reads ids, lengths, "),
    ("no table", lambda d: d.update(tables=None),
     "damaged: the table evidence_keys is missing"),
    ("sizes", lambda d: d["pipelines"]["text"]["ngrams"].update(min_size=9),
     "damaged: min_size: expected at most max_size = 6, found 9"),
    ("no pipeline", lambda d: d.update(pipelines={}), "damaged: it has no pipeline 'text'"),
    ("no object", lambda d: d["pipelines"].update(text=[]),
     "damaged: pipelines: expected an object for each"),
    ("tokenizer", lambda d: d["pipelines"]["text"]["tokenizer"].update(family="abacus"),
     "no tokenizer is named 'abacus'; known: whitespace, char, regex, bpe, unigram, wordpiece, "
     "spacy, nltk"),
    ("state", lambda d: d["pipelines"]["text"]["tokenizer"].update(state={"patern": "x"}),
     "no state of a regex tokenizer: "),
    ("pattern", lambda d: d["pipelines"]["text"]["tokenizer"].update(state={"pattern": "("}),
     "no state of a regex tokenizer: "),
    ("normalizer", lambda d: d["pipelines"]["text"].update(normalizers=["rot13"]),
     "no normalizer is named 'rot13'; known: lowercase"),
    ("pipelines", lambda d: d["pipelines"]["text"].pop("vocabulary"),
     "damaged: the key 'vocabulary' is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("_", "change", "message"), DAMAGES, ids=[name for name, *_ in DAMAGES])
def test_a_damaged_description_is_said(
    _: str, change: Callable[[dict[str, Any]], object], message: str, copy: Path
) -> None:
    edit(copy, change)
    with pytest.raises(FolderError) as caught:
        load(copy)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(copy))
    assert "\n" not in str(caught.value)


def test_a_damaged_subword_tokenizer_is_said(copy: Path) -> None:
    own = {"family": "bpe", "state": {"size": 300, "min_count": 1, "model": {"version": "x"}}}
    edit(copy, lambda described: described["pipelines"]["text"].update(tokenizer=own))
    with pytest.raises(FolderError, match=r"^a tokenizer that is damaged: "):
        load(copy)("a fine film")


def test_damaged_files_are_said(copy: Path) -> None:
    def replace(key: str, file: str, data: bytes) -> None:
        (copy / file).write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        edit(
            copy,
            lambda d: (d["tables"] if key == "tables" else d["graphs"][key]).update(sha256=digest),
        )

    replace("tables", "tables.npz", b"PK\x03\x04 no arrays")
    with pytest.raises(FolderError, match=r"tables\.npz: damaged: "):
        load(copy)
    pickled = io.BytesIO()
    np.savez(pickled, evidence_keys=np.array([{}], dtype=object))
    replace("tables", "tables.npz", pickled.getvalue())
    with pytest.raises(FolderError, match=r"tables\.npz: damaged: .*allow_pickle"):
        load(copy)
    replace("classifier", "classifier.onnx", b"no graph")
    shutil.copy(MODELS / "labels" / "tables.npz", copy)
    edit(copy, lambda d: d.update(tables=_description()["tables"]))
    with pytest.raises(FolderError, match=r"classifier\.onnx: "):
        load(copy)
    (copy / "seqnlp.json").write_text("{")
    with pytest.raises(FolderError, match=r"seqnlp\.json: damaged: not JSON$"):
        load(copy)


def _description() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((MODELS / "labels" / "seqnlp.json").read_text())
    return found


def test_numbers_that_cannot_be_are_said() -> None:
    with pytest.raises(RunnerError, match=r"^threads = 0: expected 1 or more$"):
        load(MODELS / "labels", threads=0)
    with pytest.raises(RunnerError, match=r"^batch_size = 0: expected 1 or more$"):
        load(MODELS / "labels").predict([], batch_size=0)


def test_special_tokens_are_no_tokens_of_texts() -> None:
    pipeline = Pipeline.read(_description()["pipelines"]["text"])
    assert pipeline.ids(["<pad>", "film"])[0] == 1
    assert [pipeline.token(id) for id in (0, 1)] == ["<pad>", "<unk>"]
