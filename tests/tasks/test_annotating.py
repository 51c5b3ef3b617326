"""Answers to columns of tables, and to words of other tokenizers."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets.fingerprint import Hasher

import seqnlp
from seqnlp.bundle import Model
from seqnlp.errors import InputError
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.tokenizers import RegexTokenizer

TEXTS = ["The film was poor and then great .", "The cast was fine and then dull .", "", "unseen"]


@pytest.fixture(scope="module")
def model(toy_run: Path) -> Model:
    return seqnlp.load(toy_run)


@pytest.fixture
def _no_warnings(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    logger = datasets.logging.get_logger("datasets")
    logger.addHandler(caplog.handler)
    bars = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    yield
    logger.removeHandler(caplog.handler)
    if not bars:
        datasets.enable_progress_bars()
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


@pytest.mark.usefixtures("_no_warnings")
def test_a_dataset_is_annotated_by_map(model: Model) -> None:
    data = datasets.Dataset.from_dict({"Sentence": TEXTS, "label": ["x"] * 4})
    made = data.map(model.annotate, batched=True, batch_size=3)
    assert made.column_names == ["Sentence", "label", "predicted_label", "probabilities"]
    assert made["label"] == ["x"] * 4
    answers = list(model.predict(TEXTS))
    assert made["predicted_label"] == [answer.output for answer in answers]
    for found, answer in zip(made["probabilities"], answers, strict=True):
        assert found == pytest.approx(answer.probabilities, abs=1e-6)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.usefixtures("_no_warnings")
def test_a_dataset_is_annotated_by_two_processes(model: Model) -> None:
    data = datasets.Dataset.from_dict({"review": TEXTS, "text": ["other"] * 4})
    one = data.map(model.annotate, batched=True, fn_kwargs={"column": "review"})
    two = data.map(model.annotate, batched=True, fn_kwargs={"column": "review"}, num_proc=2)
    assert one["predicted_label"] == two["predicted_label"]
    assert one["predicted_label"] != data.map(model.annotate, batched=True)["predicted_label"]


def test_the_fingerprint_is_that_of_the_model_and_its_decoding(
    toy_run: Path, pairs_run: Path
) -> None:
    first, again, other = (seqnlp.load(folder) for folder in (toy_run, toy_run, pairs_run))
    before = Hasher.hash(first.annotate)
    first("The film was great .")
    assert Hasher.hash(first.annotate) == before == Hasher.hash(again.annotate)
    plain = Hasher.hash(other.annotate)
    assert plain != before
    other.task.decoding = other.task.decoding.model_copy(update={"beam_size": 7})  # type: ignore[union-attr]
    assert Hasher.hash(other.annotate) != plain


@pytest.mark.parametrize("quantized", [False, True])
def test_a_copy_answers_as_the_model(pairs_run: Path, quantized: bool) -> None:
    model = seqnlp.load(pairs_run)
    model = model.quantize() if quantized else model
    model.task.decoding = model.task.decoding.model_copy(update={"beam_size": 3, "n_best": 3})  # type: ignore[union-attr]
    copy = pickle.loads(pickle.dumps(model))
    assert copy.quantized == model.quantized
    answer = copy("Der Hund will den Ball sehen.")
    assert len(answer.hypotheses) == 3
    assert answer == model("Der Hund will den Ball sehen.")


def test_columns_of_written_texts_are_called_as_the_task_calls_them(
    pairs_run: Path, extracts_run: Path
) -> None:
    texts = ["Der Hund will den Ball sehen."]
    model = seqnlp.load(pairs_run)
    assert model.annotate({"src": texts}) == {"predicted_target": [model(texts[0]).output]}
    assert list(seqnlp.load(extracts_run).annotate({"article": texts})) == ["predicted_summary"]


@pytest.mark.parametrize(
    ("batch", "column", "message"),
    [
        ({"txt": ["a"], "stars": [1]}, None,
         "annotate: no column for text among txt, stars; name it: column=..., or in dataset.map "
         r"fn_kwargs=\{'column': ...\}"),
        ({"text": ["a"]}, "texts", "annotate: no column 'texts'; did you mean 'text'?"),
        ({"text": ["a", None]}, None, "annotate: row 1 of the batch: the column 'text' has None, expected a text"),
        ({"text": "a row"}, None,
         r"annotate: one row, expected a batch: dataset.map\(model.annotate, batched=True\)"),
    ],
)  # fmt: skip
def test_what_cannot_be_annotated_is_one_clear_line(
    model: Model, batch: dict[str, list[Any]], column: str | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        model.annotate(batch, column=column)


def test_a_text_is_no_list_of_its_words(model: Model) -> None:
    with pytest.raises(InputError, match="^predict_tokens: document 1 is 'fine', expected a list of words$"):  # fmt: skip
        list(model.predict_tokens([["It"], "fine"]))


def test_words_of_the_same_tokenizer_are_answered_as_the_text(
    model: Model, pairs_run: Path
) -> None:
    for each in (model, seqnlp.load(pairs_run)):
        texts = [*TEXTS, "Der Hund will den Ball sehen."]
        words = [RegexTokenizer().tokenize(text) for text in texts]
        found = list(each.predict_tokens(words))
        for one, other in zip(found, each.predict(texts), strict=True):
            assert one.output == other.output
            assert one.source_tokens == other.source_tokens
            assert (one.probabilities or {}) == pytest.approx(other.probabilities or {}, abs=1e-6)


def test_words_come_lazily(model: Model) -> None:
    words = (["fine" if n % 2 else "poor"] for n in count())
    assert len(list(islice(model.predict_tokens(words), 3))) == 3


def test_normalizers_keep_the_places_of_words() -> None:
    pipeline = TokenPipeline(
        normalizers=("strip_accents", "uncapitalize", "mask_digits"), tokenizer=RegexTokenizer()
    )
    words = ["'", "\u0301", "Ünser", "Hund", "NASA", "12"]
    assert pipeline.normalize_tokens(words) == ["'", "\u0301", "unser", "Hund", "NASA", "00"]
    assert pipeline.normalize_tokens([]) == []
    assert pipeline.normalize_tokens(["!", "?"]) == ["!", "?"]


def test_a_model_that_reads_no_words_says_so(
    extracts_run: Path, toy_corpus: Path, model: Model
) -> None:
    with pytest.raises(InputError, match="the task 'extraction' reads texts, and no tokens"):
        list(seqnlp.load(extracts_run).predict_tokens([["a"]]))
    from seqnlp.tasks.sentiment import SentimentTask
    from tests.toy import small_settings

    settings = small_settings(toy_corpus, "text.tokenizer=char")
    task = SentimentTask.create(
        settings, seqnlp.open_corpus(str(toy_corpus), fields=SentimentTask.fields)
    )
    with pytest.raises(
        InputError, match="tokens are parts of words, made by its tokenizer 'char'; words of"
    ):
        list(Model(task, {}).predict_tokens([["a"]]))


def test_a_model_without_texts_says_so() -> None:
    from seqnlp.config import load_settings
    from tests.toy_numbers import MeanTask

    model = Model(MeanTask(load_settings(None, ["task=long_range", "model.hidden_size=2"])), {})
    with pytest.raises(InputError, match="the task 'long_range' reads no texts, and so no words"):
        list(model.predict_tokens([["a"]]))
    with pytest.raises(InputError, match="annotate: the task 'long_range' reads no texts"):
        model.annotate({"text": ["a"]})
