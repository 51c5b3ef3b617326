"""One saved model, many ways to ask it: the same labels, and probabilities within 1e-5."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path

import datasets
import numpy as np
import pytest
import seqnlp_runtime
import spacy
from seqnlp_runtime.command import run as run_exported
from starlette.testclient import TestClient

import seqnlp
import seqnlp.integrations.spacy  # registers the component, as its entry point does
from seqnlp.cli.main import run
from seqnlp.files import shipped
from seqnlp.integrations.nltk import NltkClassifier
from seqnlp.integrations.onnx.export import export_onnx
from seqnlp.integrations.service import make_app
from seqnlp.integrations.sklearn import SequenceClassifier

SMALL = {
    "model.embedding_size": 8, "model.hidden_size": 6, "text.ngram_buckets": 100,
    "text.max_size": 400, "text.max_tokens": 30, "head.evidence": "naive_bayes",
    "train.epochs": 1, "train.batch_size": 64, "train.lr": 0.02, "threads": 1,
}  # fmt: skip
"""With n-grams, unknown words, evidence, and documents that are read in chunks."""

ODD = [
    "", " ", "\t\u3000", "!", "ein Maß", "\u0130stanbul", "cafe\u0301 CAF\u00c9", "a\u2028b\x85c", "\x00",
    "\U0001f600\u200d\U0001f525 film", "film\ufeff", "plot " * 400, "w" * 3000, "١٢٣ ۴",
]  # fmt: skip
"""Texts that no review is like; each is one line of a file."""

Answers = list[tuple[str, dict[str, float]]]


@dataclass(frozen=True, kw_only=True)
class Given:
    """A saved model, the folder of its graphs, texts, and a place for files."""

    run: Path
    graphs: Path
    texts: list[str]
    scratch: Path


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    scratch = tmp_path_factory.mktemp("sameness")
    texts, labels = reviews("train")
    SequenceClassifier(settings=SMALL).fit(texts[:600], labels[:600]).save(scratch / "reviews")
    export_onnx(seqnlp.load(scratch / "reviews"), scratch / "graphs")
    return Given(
        run=scratch / "reviews",
        graphs=scratch / "graphs",
        texts=reviews("test")[0] + ODD,
        scratch=scratch,
    )


def reviews(split: str) -> tuple[list[str], list[str]]:
    """Texts and labels of the bundled reviews."""
    with (shipped("corpora") / "sentiment" / f"{split}.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [row["text"] for row in rows], [row["label"] for row in rows]


@pytest.fixture(scope="module")
def expected(given: Given) -> Answers:
    return told(seqnlp.load(given.run).predict(given.texts))


def told(answers: object) -> Answers:
    """Of predictions of the library or of the runner."""
    return [(each.output, dict(each.probabilities)) for each in answers]  # type: ignore[attr-defined]


def records(written: str) -> Answers:
    found = map(json.loads, written.removesuffix("\n").split("\n"))
    return [(record["label"], record["probabilities"]) for record in found]


def file_of(given: Given) -> str:
    path = given.scratch / "texts.txt"
    path.write_text("".join(f"{text}\n" for text in given.texts), encoding="utf-8")
    return str(path)


def one_by_one(given: Given) -> Answers:
    return told(map(seqnlp.load(given.run), given.texts))


def a_copy_in_batches_of_seven(given: Given) -> Answers:
    model = seqnlp.bundle.Model.from_files(seqnlp.load(given.run).to_files())
    return told(model.predict(given.texts, batch_size=7))


def command_line(given: Given) -> Answers:
    made = given.scratch / "answers.jsonl"
    words = ["predict", str(given.run), file_of(given), "--format", "jsonl", "--output", str(made)]
    assert run(words, debug=True) == 0
    return records(made.read_text(encoding="utf-8"))


def spacy_pipeline(given: Given) -> Answers:
    nlp = spacy.blank("en")
    nlp.add_pipe("seqnlp", config={"model": str(given.run)})
    return [(doc._.seqnlp_label, dict(doc.cats)) for doc in nlp.pipe(given.texts)]


def scikit_learn(given: Given) -> Answers:
    classifier = SequenceClassifier.load(given.run)
    shares = classifier.predict_proba(given.texts).tolist()
    labels, classes = classifier.predict(given.texts).tolist(), classifier.classes_.tolist()
    return [
        (label, dict(zip(classes, row, strict=True)))
        for label, row in zip(labels, shares, strict=True)
    ]


def nltk(given: Given) -> Answers:
    classifier = NltkClassifier(given.run)
    labels = classifier.classify_many(given.texts)
    shares = classifier.prob_classify_many(given.texts)
    return [
        (label, {name: each.prob(name) for name in each.samples()})
        for label, each in zip(labels, shares, strict=True)
    ]


def hugging_face_datasets(given: Given) -> Answers:
    model = seqnlp.load(given.run)
    table = datasets.Dataset.from_dict({"text": given.texts})
    made = table.map(model.annotate, batched=True, batch_size=100)
    return [(row["predicted_label"], row["probabilities"]) for row in made]


def onnx_runner(given: Given) -> Answers:
    return told(seqnlp_runtime.load(given.graphs).predict(given.texts, batch_size=16))


def onnx_runner_one_by_one(given: Given) -> Answers:
    return told(map(seqnlp_runtime.load(given.graphs), given.texts))


def onnx_command(given: Given) -> Answers:
    written = BytesIO()
    with redirect_stdout(TextIOWrapper(written)):
        assert run_exported([str(given.graphs), *given.texts]) == 0
        return records(written.getvalue().decode())


def service(given: Given) -> Answers:
    def answer() -> Iterator[tuple[str, dict[str, float]]]:
        with TestClient(make_app({"reviews": given.run})) as client:
            for begin in range(0, len(given.texts), 50):
                response = client.post(
                    "/v1/reviews/predict", json={"texts": given.texts[begin : begin + 50]}
                )
                assert response.status_code == 200
                for each in response.json()["answers"]:
                    yield each["label"], each["probabilities"]

    return list(answer())


WAYS: list[Callable[[Given], Answers]] = [
    one_by_one, a_copy_in_batches_of_seven, command_line, spacy_pipeline, scikit_learn, nltk,
    hugging_face_datasets, onnx_runner, onnx_runner_one_by_one, onnx_command, service,
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_the_answers_are_those_of_the_library(
    way: Callable[[Given], Answers], given: Given, expected: Answers
) -> None:
    answers = way(given)
    assert len(answers) == len(given.texts) == 1000 + len(ODD)
    for (label, found), (wanted, known) in zip(answers, expected, strict=True):
        assert label == wanted
        assert found.keys() == known.keys()
    shares = [np.array([list(each.values()) for _, each in rows]) for rows in (answers, expected)]
    np.testing.assert_allclose(*shares, rtol=0, atol=1e-5)


def test_the_texts_tell_ways_apart(given: Given, expected: Answers) -> None:
    """What is compared depends on tokens, chunks and evidence."""
    assert {label for label, _ in expected} == {"negative", "positive"}
    sure = np.array([max(shares.values()) for _, shares in expected])
    assert np.std(sure) > 0.01
    pipeline = seqnlp.load(given.run).task.pipeline
    lengths = [len(pipeline.tokens(text)) for text in given.texts]
    assert max(lengths) > 30
    assert pipeline.vocabulary is not None
    known = set(pipeline.vocabulary.tokens)
    assert any(set(pipeline.tokens(text)) - known for text in given.texts)
