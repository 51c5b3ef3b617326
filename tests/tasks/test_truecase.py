"""Models that write in lower case, and whose answers have letter case all the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import seqnlp
from seqnlp.bundle import Model
from seqnlp.config import Settings
from seqnlp.data.corpus import open_corpus
from seqnlp.errors import SettingsError
from seqnlp.tasks.decoding import Decoding
from seqnlp.tasks.summarization import SummarizationTask
from seqnlp.tasks.writing_options import options_of
from seqnlp.training.preparation import complete
from tests.toy_summarization import reports, small_summarization
from tests.toy_translation import small_translation, write_pairs

LOWER = ("text.normalizers=['nfc','lowercase']", "head.truecase=true")
DOCUMENTS = [document for document, _ in reports()][1::6]
SUMMARIES = [summary for _, summary in reports()][1::6]


@pytest.fixture(scope="module")
def run(reports_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("truecase") / "run"
    seqnlp.train(small_summarization(reports_corpus, *LOWER), path)
    return path


@pytest.fixture
def model(run: Path) -> Model:
    return seqnlp.load(run)


def test_answers_have_the_case_of_names_that_train_never_had(model: Model) -> None:
    answers = list(model.task.predict(DOCUMENTS))
    right = [a.output == b for a, b in zip(answers, SUMMARIES, strict=True)]
    assert sum(right) >= 28
    best = answers[right.index(True)].hypotheses[0]
    assert " ".join(best.tokens) == best.text.lower() != best.text


def test_alone_and_together_answers_are_the_same(model: Model) -> None:
    texts = [*DOCUMENTS[:3], "", "  ", "KALO sold a boat. Rumi was there."]
    together = list(model.task.predict(texts))
    assert [model(text).output for text in texts] == [each.output for each in together]
    assert [each.output for each in together[3:5]] == ["", ""]
    assert together[5].output.split()[0] in ("KALO", "Rumi")


@pytest.mark.parametrize("options", [{}, {"mbr": True}])
def test_every_hypothesis_has_it(model: Model, options: dict[str, Any]) -> None:
    model.task.decoding = Decoding(beam=4, n_best=3, **options)
    answer = model(DOCUMENTS[0])
    assert len(answer.hypotheses) == 3
    assert answer.output == answer.hypotheses[0].text
    for hypothesis in answer.hypotheses:
        assert hypothesis.text[0].isupper()
        assert hypothesis.text.lower() == " ".join(hypothesis.tokens)


def test_parts_of_a_long_text_are_spelled_as_one(model: Model) -> None:
    settings = model.task.settings
    text = settings.text.model_copy(update={"max_tokens": 12, "long_documents": "split"})
    model.task.settings = settings.model_copy(update={"text": text})
    output = model(" ".join(DOCUMENTS[:2])).output
    assert output[0].isupper()
    assert len(output.split()) > 5
    names = {word for word in " ".join(DOCUMENTS[:2]).split() if word[0].isupper()}
    lowered = {name.lower() for name in names}
    assert not lowered & set(output.split())


def test_translations_have_it_whose_sources_write_words_otherwise(tmp_path: Path) -> None:
    """Nouns of the source have capitals, which the target must not take over."""
    corpus = write_pairs(tmp_path / "pairs")
    lower = (
        'head.target={normalizers=["nfc","lowercase"],tokenizer="bpe",tokenizer_options={size=300}}'
    )
    settings = small_translation(
        corpus, "head.truecase=true", lower, "train.epochs=40", "train.lr=0.008"
    )
    made = seqnlp.train(settings)
    assert made("Der Hund will den Ball sehen.").output == "The dog wants to see the ball."
    assert made.metrics["test"]["bleu"]["value"] > 50


def created(folder: Path, *overrides: str) -> SummarizationTask:
    corpus = open_corpus(str(folder), fields=SummarizationTask.fields)
    return SummarizationTask.create(complete(small_summarization(folder, *overrides)), corpus)


def test_members_of_an_ensemble_share_it(reports_corpus: Path) -> None:
    first, second = (created(reports_corpus, *LOWER) for _ in range(2))
    combined = SummarizationTask.combine([first, second])
    assert first.learned.truecaser is not None
    assert combined.learned.truecaser == first.learned.truecaser == second.learned.truecaser
    assert combined.state()["truecase"] == first.learned.truecaser.state()
    second.learned = replace(second.learned, truecaser=None)
    with pytest.raises(ValueError, match="targets differ in letter case cannot be combined"):
        SummarizationTask.combine([first, second])


def test_a_state_without_what_settings_ask_for_is_refused(reports_corpus: Path) -> None:
    task = created(reports_corpus, *LOWER)
    state = task.state()
    restored = SummarizationTask.restore(task.settings, task.pipelines, state)
    assert restored.learned.truecaser == task.learned.truecaser
    del state["truecase"]
    with pytest.raises(KeyError, match="truecase"):
        SummarizationTask.restore(task.settings, task.pipelines, state)
    assert "truecase" not in created(reports_corpus, "head.truecase=false").state()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["text.normalizers=['nfc']"], "head.truecase: nothing to restore where targets are "),
        ([*LOWER, "head.target.normalizers=['nfc']"], "head.truecase: nothing to restore"),
        ([*LOWER, "head.sentence_case=true"], "first capital, too; set head.sentence_case = false"),
    ],
)
def test_settings_that_exclude_each_other(
    overrides: list[str], message: str, reports_corpus: Path
) -> None:
    settings: Settings = small_summarization(reports_corpus, "head.truecase=true", *overrides)
    with pytest.raises(SettingsError, match=message):
        options_of(settings)
