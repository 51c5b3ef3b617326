"""Models as classifiers of NLTK."""

from __future__ import annotations

from pathlib import Path

import nltk
import pytest
from nltk.classify import ClassifierI

import seqnlp
from seqnlp.errors import InputError
from seqnlp.integrations.nltk import NltkClassifier

TEXTS = ["The film was poor and then great .", "The cast was fine and then dull .", "", "unseen"]


@pytest.fixture(scope="module")
def classifier(toy_run: Path) -> NltkClassifier:
    return NltkClassifier(toy_run)


def test_it_classifies_as_the_model(classifier: NltkClassifier, toy_run: Path) -> None:
    assert isinstance(classifier, ClassifierI)
    model = seqnlp.load(toy_run)
    answers = [model(text) for text in TEXTS]
    assert classifier.classify_many(TEXTS) == [answer.output for answer in answers]
    for text, many, answer in zip(TEXTS, classifier.prob_classify_many(TEXTS), answers, strict=True):  # fmt: skip
        one = classifier.prob_classify(text)
        assert classifier.classify(text) == one.max() == many.max() == answer.output
        assert {label: one.prob(label) for label in one.samples()} == answer.probabilities
        for label in many.samples():
            assert many.prob(label) == pytest.approx(one.prob(label), abs=1e-6)
    assert classifier.labels() == ["negative", "positive"]


def test_nltks_own_figure_is_the_models(classifier: NltkClassifier) -> None:
    corpus = classifier.model.corpus().split("test")
    gold = list(zip(corpus.column("text"), corpus.column("label"), strict=True))
    flipped = {"positive": "negative", "negative": "positive"}
    gold = [(text, flipped[label] if n % 3 == 0 else label) for n, (text, label) in enumerate(gold)]
    hits = [classifier.model(text).output == label for text, label in gold]
    assert nltk.classify.accuracy(classifier, gold) == sum(hits) / len(hits) < 1


def test_words_are_classified_as_the_text_that_they_make(classifier: NltkClassifier) -> None:
    mixed = [TEXTS[0], TEXTS[1].split(), tuple(TEXTS[0].split()), TEXTS[1], []]
    labels = classifier.classify_many(mixed)
    assert labels[:4] == [classifier.classify(TEXTS[n]) for n in (0, 1, 0, 1)]
    assert labels[0] != labels[1]
    assert labels[4] == classifier.classify("")


def test_what_cannot_be_classified_is_one_clear_line(
    classifier: NltkClassifier, pairs_run: Path
) -> None:
    with pytest.raises(InputError, match=r"^NltkClassifier: item 1: a text or a list of words is expected, not \{'a': 1\}; the model finds its features itself$"):  # fmt: skip
        classifier.classify_many(["a", {"a": 1}])
    with pytest.raises(InputError, match=r"item 0: a text or a list of words is expected, not 3;"):
        classifier.classify(3)  # type: ignore[arg-type]
    for words in ([("fine", "JJ")], b"fine", ["fine", 3]):
        with pytest.raises(InputError, match="item 0: a text or a list of words is expected, not"):
            classifier.classify(words)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="^NltkClassifier: the task 'translation' has no labels$"):  # fmt: skip
        NltkClassifier(seqnlp.load(pairs_run))
