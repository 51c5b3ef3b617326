"""The sentiment task: its loss, its chunks, its ensembles, its refusals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from seqnlp.config import Settings, load_settings
from seqnlp.data.corpus import Corpus, Split
from seqnlp.data.tokens import tokenize_split
from seqnlp.errors import InputError, SettingsError, UnknownNameError
from seqnlp.tasks.evidence import FIRST_WEIGHT, FITS
from seqnlp.tasks.labeled import LabeledRows, label_numbers
from seqnlp.tasks.sentiment import SentimentTask

ROWS = [("a fine film", "good"), ("a poor film", "bad"), ("so so", "mixed"), ("fine fine", "good")]


def corpus(rows: Sequence[tuple[str, str]] = ROWS, **more: Sequence[tuple[str, str]]) -> Corpus:
    splits = {"train": rows, "validation": rows, **more}
    return Corpus(
        name="memory",
        splits={
            name: Split.from_examples(name, [{"text": t, "label": y} for t, y in part])
            for name, part in splits.items()
        },
    )


def task(*overrides: str, of: Corpus | None = None) -> SentimentTask:
    torch.manual_seed(0)
    settings = load_settings(
        None, ["model.embedding_size=6", "model.hidden_size=6", "text.ngram_buckets=30", *overrides]
    )
    return SentimentTask.create(settings, of or corpus())


def everything(made: SentimentTask, of: Corpus | None = None) -> LabeledRows:
    return made.read((of or corpus()).split("train"))


def test_labels_are_sorted_with_numbers_as_numbers() -> None:
    stars = corpus([("a", "10"), ("b", "2"), ("c", "1")])
    assert task(of=stars).labels == ("1", "2", "10")


def test_the_loss_is_a_sum_and_its_mean_is_torchs() -> None:
    made = task("head.label_smoothing=0.1", "head.class_weights={good = 2.0, bad = 0.5}")
    made.eval()
    batch = everything(made).batch(np.arange(4))
    loss = made.loss(batch)
    logits = made.members[0](batch.tokens)
    weights = torch.tensor([0.5, 2.0, 1.0])
    assert made.labels == ("bad", "good", "mixed")
    assert batch.labels is not None
    expected = functional.cross_entropy(logits, batch.labels, weight=weights, label_smoothing=0.1)
    torch.testing.assert_close(loss.mean, expected)
    parts = [made.loss(everything(made).batch(np.array([n]))) for n in range(4)]
    torch.testing.assert_close(loss.total, torch.stack([part.total for part in parts]).sum())
    assert loss.units == pytest.approx(sum(part.units for part in parts))


def test_balanced_weights_are_inverse_to_the_share_of_train() -> None:
    made = task("head.class_weights=balanced")
    assert made.class_weights == pytest.approx((4 / 3, 4 / 6, 4 / 3))


def test_padding_and_company_do_not_change_an_answer() -> None:
    made = task().eval()
    rows = everything(made)
    together = made.probabilities(rows, batch_size=4)
    alone = made.probabilities(rows, batch_size=1)
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_prediction_happens_without_dropout_and_leaves_the_mode_as_it_was() -> None:
    made = task()
    for part in made.modules():
        if hasattr(part, "rate"):
            part.rate = 0.9
    made.train()
    frozen = next(iter(made.members.children()))
    frozen.eval()
    first = made.probabilities(everything(made), batch_size=2)
    second = made.probabilities(everything(made), batch_size=2)
    np.testing.assert_array_equal(first, second)
    assert made.training
    assert not frozen.training


def test_chunks_are_combined_by_the_geometric_mean() -> None:
    long = corpus([("a b c d e f", "good"), ("x y", "bad")])
    made = task("text.max_tokens=2", of=long).eval()
    rows = made.read_texts(["a b c d e f"])
    assert rows.lengths.tolist() == [2, 2, 2]
    with torch.inference_mode():
        logs = made.log_probabilities(rows.batch(np.arange(3))).double().numpy()
    expected = np.exp(logs.mean(0))
    np.testing.assert_allclose(
        made.probabilities(rows, batch_size=2)[0], expected / expected.sum(), rtol=1e-6
    )


def test_an_ensemble_answers_with_the_mean_probability() -> None:
    torch.manual_seed(1)
    settings, of = load_settings(None, ["model.hidden_size=5", "text.ngram_buckets=0"]), corpus()
    members = [SentimentTask.create(settings, of).eval() for _ in range(3)]
    combined = SentimentTask.combine(members).eval()
    texts = ["a fine film", "unseen words", ""]
    singles = [m.probabilities(m.read_texts(texts), batch_size=2) for m in members]
    np.testing.assert_allclose(
        combined.probabilities(combined.read_texts(texts), batch_size=2),
        np.mean(singles, axis=0),
        atol=1e-6,
    )
    assert combined.state()["members"] == 3
    restored = SentimentTask.restore(settings, combined.pipelines, combined.state())
    restored.load_state_dict(combined.state_dict())


@pytest.mark.parametrize("attention", ["additive", "dot", "general", "multi_head"])
def test_every_attention_pools(attention: str) -> None:
    made = task(f"head.attention={attention}")
    assert len(made.members[0].poolings) == 2  # type: ignore[arg-type]
    made.loss(everything(made).batch(np.arange(4))).mean.backward()
    for name, weight in made.named_parameters():
        assert weight.grad is not None, name


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
def test_every_pooling_learns(pooling: str) -> None:
    made = task(f'head.pooling=["{pooling}"]')
    made.loss(everything(made).batch(np.arange(4))).mean.backward()
    for name, weight in made.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0 or "bias" in name, name


@pytest.mark.parametrize("kind", ["naive_bayes", "logistic"])
def test_evidence_is_added_by_a_learned_weight(kind: str) -> None:
    many = corpus(ROWS * 6)
    made = task(f"head.evidence={kind}", of=many)
    train = many.split("train")
    rows = made.read(train, training=True)
    seen = made.read(train)
    assert rows.evidence is not None
    assert seen.evidence is not None
    # What is trained on does not know its own labels; what is measured is the fitted model.
    text = tokenize_split(train, "text", made.pipeline)
    fitted, held_out = FITS[kind](text, label_numbers(train, made.labels), 3)
    np.testing.assert_array_equal(rows.evidence, held_out)
    np.testing.assert_allclose(seen.evidence, fitted(text), rtol=1e-5)
    assert not np.allclose(rows.evidence, seen.evidence)
    made.eval()
    batch = rows.batch(np.arange(4))
    plain = made.members[0](batch.tokens)
    start = FIRST_WEIGHT[kind]
    expected = functional.cross_entropy(
        plain + start * torch.from_numpy(rows.evidence[:4]), batch.labels
    )
    torch.testing.assert_close(made.loss(batch).mean, expected)
    answers = made.answer(seen, batch_size=2)[:4]
    for single, together in zip(made.predict([t for t, _ in ROWS]), answers, strict=True):
        assert single.probabilities == pytest.approx(together.probabilities, abs=1e-5)


def test_an_example_of_weight_two_counts_as_two_in_the_loss() -> None:
    rows = [*ROWS, ("a film a film a film", "bad")]
    examples = [
        {"text": text, "label": label, "weight": weight}
        for (text, label), weight in zip(rows, [1, 2, 0.5, 2, 1], strict=True)
    ]
    light = Corpus(name="memory", splits={"train": Split.from_examples("train", examples)})
    heavy = corpus([rows[n] for n in (0, 0, 1, 1, 1, 1, 2, 3, 3, 3, 3, 4, 4)])
    options = ["text.max_tokens=4", "head.label_smoothing=0.1", "head.class_weights={good = 2.0}"]
    made = task(*options, of=heavy).eval()
    losses, gradients = [], []
    for of in (light, heavy):
        read = made.read(of.split("train"))
        losses.append(made.loss(read.batch(np.arange(len(read.lengths)))))
        gradients.append(torch.autograd.grad(losses[-1].mean, list(made.parameters())))
    assert 2 * losses[0].units == pytest.approx(losses[1].units)
    torch.testing.assert_close(2 * losses[0].total, losses[1].total)
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("kind", ["naive_bayes", "logistic"])
def test_evidence_of_a_weighted_example_is_fitted_to_its_weight(kind: str) -> None:
    examples = [{"text": t, "label": y, "weight": 3} for t, y in ROWS * 3]
    many = Corpus(name="memory", splits={"train": Split.from_examples("train", examples)})
    made = task(f"head.evidence={kind}", of=many)
    rows = made.read(many.split("train"), training=True)
    text = tokenize_split(many.split("train"), "text", made.pipeline)
    labels = label_numbers(many.split("train"), made.labels)
    _, expected = FITS[kind](text, labels, 3, np.full(12, 3.0))
    np.testing.assert_array_equal(rows.evidence, expected)
    assert not np.allclose(expected, FITS[kind](text, labels, 3)[1])


def test_evidence_is_that_of_the_whole_document_in_each_chunk() -> None:
    long = corpus([("a b a b a b", "good"), ("x y", "bad"), ("x z", "bad")])
    made = task("text.max_tokens=2", "head.evidence=naive_bayes", of=long)
    rows = made.read(long.split("train"), training=True)
    evidence = rows.batch(np.arange(3)).evidence
    assert evidence is not None
    assert rows.tokens.documents.tolist() == [0, 0, 0, 1, 2]
    assert torch.equal(evidence[0], evidence[2])


def test_scores_are_those_of_the_answers() -> None:
    made = task().eval()
    answers = made.answer(everything(made), batch_size=2)
    references = made.references(corpus().split("train"))
    score = made.score(answers, references)
    hits = [a.output == r for a, r in zip(answers, references, strict=True)]
    assert score["accuracy"] == pytest.approx(np.mean(hits))
    logs = [np.log((a.probabilities or {})[r]) for a, r in zip(answers, references, strict=True)]
    assert score["loss"] == pytest.approx(-np.mean(logs))


def test_baselines_are_reported_on_test() -> None:
    many = [("fine", "good"), ("poor", "bad")] * 10
    of = corpus(many, test=[("fine", "good"), ("poor", "bad"), ("fine fine", "good")])
    reports = task(of=of).baselines(of)
    assert reports["majority class"]["accuracy"]["value"] in (pytest.approx(1 / 3), pytest.approx(2 / 3))  # fmt: skip
    assert reports["bag of words"]["accuracy"]["value"] == 1.0
    assert reports["bag of words"]["examples"] == 3


def test_pretrained_vectors_are_read(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text("fine 1 2 3 4 5 6\nelsewhere 0 0 0 0 0 0\n")
    made = task(f'text.vectors="{path}"')
    assert made.pipeline.vocabulary is not None
    row = made.pipeline.vocabulary.id("fine")
    assert made.members[0].embedding.words[row].tolist() == [1, 2, 3, 4, 5, 6]  # type: ignore[union-attr, index]


@pytest.mark.parametrize(
    ("override", "kind", "message"),
    [
        ("head.poling=last", SettingsError, "head: no key 'poling'; did you mean 'pooling'"),
        ("head.pooling=[]", SettingsError, "head.pooling: name at least one"),
        ('head.pooling=["lsat"]', UnknownNameError, "no pooling is named 'lsat'; did you mean 'last'"),
        ("head.attention=additiv", UnknownNameError, "did you mean 'additive'"),
        ("head.attention=dot\nx", UnknownNameError, "no attention is named"),
        ("head.class_weights={god = 1}", SettingsError, "no label 'god'; did you mean 'good'"),
        ("head.class_weights={good = 0}", SettingsError, "head.class_weights.good: must be positive"),
        ("model.cell=lstn", UnknownNameError, "did you mean 'lstm'"),
        ("model.encoder=recurent", UnknownNameError, "did you mean 'recurrent'"),
        ("model.encoder_options={x = 1}", SettingsError, "model.encoder_options: no key 'x'"),
        ("model.cell_options={activation = 'tanh'}", SettingsError, "no key 'activation'"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_one_clear_line(
    override: str, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        task(override)


def test_one_class_only_is_refused() -> None:
    with pytest.raises(InputError, match="every training example has the label 'good'"):
        task(of=corpus([("a", "good"), ("b", "good")]))


def test_an_unknown_label_is_named_with_its_row() -> None:
    of = corpus(test=[("a", "good"), ("b", "goood")])
    with pytest.raises(InputError, match="row 2: the label 'goood' does not occur in train; did you mean 'good'"):  # fmt: skip
        task().read(of.split("test"))


def test_settings_of_the_run_are_those_of_the_task() -> None:
    assert isinstance(task().settings, Settings)
