"""Translation: what it learns, answers, refuses, and takes from its settings."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import seqnlp
from seqnlp.bundle import Model
from seqnlp.config import Settings
from seqnlp.data.corpus import Corpus, open_corpus
from seqnlp.errors import InputError, SettingsError, UnknownNameError
from seqnlp.tasks.decoding import Decoding
from seqnlp.tasks.network_stepper import NetworkStepper
from seqnlp.tasks.translation import TranslationTask
from seqnlp.training.preparation import complete
from seqnlp.types import Prediction
from tests.toy_translation import pairs, small_translation, write_pairs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return seqnlp.train(small_translation(folder, "train.epochs=20"))


def opened(folder: Path) -> Corpus:
    return open_corpus(str(folder), fields=TranslationTask.fields, languages=("de", "en"))


def created(folder: Path, *overrides: str) -> TranslationTask:
    torch.manual_seed(0)
    return TranslationTask.create(complete(small_translation(folder, *overrides)), opened(folder))


def test_a_small_corpus_is_learned(model: Model) -> None:
    """No sentence of test is in train: the order of words was learned."""
    assert model.metrics["test"]["bleu"]["value"] == pytest.approx(100)
    assert model.metrics["validation"]["bleu"]["value"] == pytest.approx(100)
    assert model("Der Hund will den Ball sehen.").output == "The dog wants to see the ball."
    assert set(model.metrics["baselines"]) == {"copied source", "nearest pair"}
    assert model.metrics["baselines"]["copied source"]["bleu"]["value"] < 20


@pytest.mark.parametrize(
    ("least", "overrides"),
    [
        (80, ["head.input_feeding=true", "head.attention=additive"]),
        (50, ["text.tokenizer=bpe", "text.tokenizer_options.size=300", "train.epochs=40",
              "train.lr=0.008"]),
        (80, ["head.joint=true", "head.tie_all=true", "model.cell=lstm"]),
        (80, ["head.scheduled_sampling=0.2", "head.scheduled_sampling_epochs=4"]),
        (50, ["text.ngram_buckets=100", "text.normalizers=lowercase", "head.sentence_case=true",
              'head.target={normalizers = ["nfc"], tokenizer = "char"}', "train.epochs=30"]),
        (80, ["model.bidirectional=false", "head.decoder_cell=rnn", "head.decoder_hidden_size=24",
              "head.attention=general", "head.tie_embeddings=false", "train.epochs=24"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)  # fmt: skip
def test_every_kind_learns(folder: Path, least: float, overrides: list[str]) -> None:
    made = seqnlp.train(small_translation(folder, "train.epochs=16", *overrides))
    assert made.metrics["test"]["bleu"]["value"] > least
    assert made.metrics["baselines"]["nearest pair"]["bleu"]["value"] < least


def same(first: Prediction, second: Prediction) -> None:
    assert first.output == second.output
    assert first.source_tokens == second.source_tokens
    assert len(first.hypotheses) == len(second.hypotheses)
    for mine, other in zip(first.hypotheses, second.hypotheses, strict=True):
        assert (mine.text, mine.tokens) == (other.text, other.tokens)
        assert mine.log_probability == pytest.approx(other.log_probability, abs=1e-4)
        assert mine.score == pytest.approx(other.score, abs=1e-4)
        assert mine.attention is not None
        np.testing.assert_allclose(mine.attention, other.attention, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"beam": 4, "n_best": 3}, {"sample": True, "n_best": 2}])
def test_an_answer_does_not_depend_on_its_neighbors(model: Model, options: dict[str, Any]) -> None:
    task = model.task
    texts = [*(source for source, _ in pairs()[:9]), "", "Der", "Hund " * 30, "den unbekannten"]
    task.decoding = Decoding(**options)
    try:
        together = list(task.predict(texts))
        by_twos = list(task.predict(texts, batch_size=2))
        backward = list(task.predict(texts[::-1]))[::-1]
    finally:
        task.decoding = Decoding()
    for row, answer in enumerate(together):
        same(answer, by_twos[row])
        same(answer, backward[row])


def test_hypotheses_have_tokens_scores_and_attention(model: Model) -> None:
    [answer] = model.task.answer_texts(["Der Hund will den Ball sehen."], batch_size=1)
    [best] = answer.hypotheses
    assert answer.source_tokens == ("Der", "Hund", "will", "den", "Ball", "sehen", ".", "<eos>")
    assert best.tokens == ("The", "dog", "wants", "to", "see", "the", "ball", ".")
    assert best.text == answer.output
    assert best.attention is not None
    assert best.attention.shape == (9, 8)
    np.testing.assert_allclose(best.attention.sum(1), 1, atol=1e-5)
    assert best.log_probability < 0
    rows = model.task.read(opened_split(model))
    batch = rows.pairs.batch(np.arange(1))  # type: ignore[attr-defined]
    source, target = batch.source.ids[0].tolist(), batch.target.ids[0].tolist()
    assert target[0] == 2
    assert target[-1] == source[-1] + 1 == 3


def opened_split(model: Model) -> Any:
    return model.corpus().split("test")


def test_a_log_probability_is_the_loss_of_the_answer(model: Model, tmp_path: Path) -> None:
    sources = [source for source, _ in pairs()[:20]]
    answers = list(model.predict(sources))
    write_pairs(tmp_path)
    for name, texts in (("de", sources), ("en", [answer.output for answer in answers])):
        (tmp_path / f"test.{name}").write_text("\n".join(texts) + "\n", encoding="utf-8")
    rows = model.task.read(opened(tmp_path).split("test"))
    figures = model.task.validate(rows, [answer.output for answer in answers], batch_size=7)
    assert figures["bleu"] == pytest.approx(100)
    total = sum(answer.hypotheses[0].log_probability for answer in answers)
    tokens = sum(len(answer.hypotheses[0].tokens) + 1 for answer in answers)
    assert figures["loss"] == pytest.approx(-total / tokens, rel=1e-4)


def test_an_ensemble_answers_by_the_mean_of_probabilities(folder: Path) -> None:
    made = seqnlp.train(small_translation(folder, "ensemble=2", "train.epochs=3"))
    assert made.task.state() == {
        "members": 2,
        "length_ratio": pytest.approx(1.2, abs=0.1),
        "outputs": len(made.task.pipelines["target"].vocabulary),
        "usual_length": {"intercept": pytest.approx(0.1, abs=0.1), "slope": 1.0, "spread": 0.1},
    }
    singles = [
        seqnlp.train(small_translation(folder, f"seed={seed}", "train.epochs=3")).task
        for seed in (0, 1)
    ]
    corpus = opened(folder)
    rows = made.task.read(corpus.split("test"))
    batch = rows.pairs.batch(np.array([3]))  # type: ignore[attr-defined]
    answer = made.task.answer(rows, batch_size=4)[3].hypotheses[0]
    target = made.task.pipelines["target"].ids(answer.tokens).tolist()
    total = 0.0
    with torch.no_grad():
        steppers = [
            NetworkStepper(network, network.encode(batch.source))  # type: ignore[arg-type, operator]
            for network in (task.members[0] for task in singles)
        ]
        for before, after in zip([2, *target], [*target, 3], strict=True):
            found = [stepper.step(torch.tensor([before])) for stepper in steppers]
            shares = [scores.log_probabilities()[0, after].exp() for scores in found]
            total += math.log(sum(shares) / 2)
    assert answer.log_probability == pytest.approx(total, rel=1e-4)


def test_bad_input_is_answered(model: Model) -> None:
    long = "Der Hund will den Ball sehen. " * 800
    empty, blank, endless, strange, one = model.predict(["", " \t", long, "漢字 \x00 😀", "."])
    assert (empty, blank) == (Prediction(output=""),) * 2
    assert len(long.split()) > 4000
    assert endless.output
    assert endless.hypotheses[0].attention is not None
    assert endless.hypotheses[0].attention.shape == (
        len(endless.hypotheses[0].tokens) + 1, len(endless.source_tokens),
    )  # fmt: skip
    assert strange.hypotheses
    assert one.hypotheses


def test_a_long_text_is_cut_where_the_settings_say_so(folder: Path) -> None:
    text = "Der Hund will den Ball sehen. " * 10
    chunked = created(folder, "text.max_tokens=20").answer_texts([text], batch_size=3)[0]
    assert sum(token == "<eos>" for token in chunked.source_tokens) == 4
    assert len(chunked.source_tokens) == 74
    cut = created(folder, "text.max_tokens=20", "text.long_documents=truncate")
    assert len(cut.answer_texts([text], batch_size=3)[0].source_tokens) == 21


def test_pairs_that_are_too_long_are_not_learned_from(folder: Path) -> None:
    task = created(folder, "text.max_tokens=7", "head.target.max_tokens=8")
    rows = task.read(opened(folder).split("train"), training=True)
    assert 0 < len(rows.lengths) < len(opened(folder).split("train"))
    assert rows.lengths.max(0).tolist() == [10, 8]  # with <bos> and <eos>, and with <eos>
    left_out = len(opened(folder).split("train")) - len(rows.lengths)
    assert rows.notes == (
        f"train: {left_out} of 85 pairs are left out: empty, or longer than max_tokens = 7 in "
        "source or 8 in target",
    )
    said: list[str] = []
    seqnlp.train(
        small_translation(folder, "text.max_tokens=8", "train.epochs=1"), notify=said.append
    )
    assert len(said) == 1
    assert "pairs are left out: empty, or longer" in said[0]
    with pytest.raises(
        InputError, match=r"all 85 pairs are empty, or longer than max_tokens = 2 in source or 2"
    ):
        created(folder, "text.max_tokens=2").read(opened(folder).split("train"), training=True)


def test_subwords_are_drawn_anew_for_each_epoch(folder: Path) -> None:
    bpe = ["text.tokenizer=bpe", "text.tokenizer_options.size=300"]
    task = created(folder, *bpe, "head.subword_sampling=0.3")
    split = opened(folder).split("train")
    rows = task.read(split, training=True)
    texts = list(split.column("target"))
    seen = set()
    for epoch in (1, 2, 3):
        batch = rows.for_epoch(epoch).batch(np.arange(5))
        again = rows.for_epoch(epoch).batch(np.arange(5))
        assert batch.target.ids.equal(again.target.ids)  # type: ignore[attr-defined]
        for row, length in enumerate(batch.target.lengths.tolist()):  # type: ignore[attr-defined]
            ids = batch.target.ids[row, :length].tolist()  # type: ignore[attr-defined]
            assert (ids[0], ids[-1]) == (2, 3)
            assert task.target.decode(ids[1:-1]) == texts[row]
        seen.add(tuple(batch.target.ids.flatten().tolist()))  # type: ignore[attr-defined]
    assert len(seen) == 3
    plain = created(folder, *bpe).read(split, training=True)
    assert (
        plain.for_epoch(2)
        .batch(np.arange(5))
        .target.ids.equal(  # type: ignore[attr-defined]
            plain.batch(np.arange(5)).target.ids  # type: ignore[attr-defined]
        )
    )


def test_scheduled_sampling_rises_by_the_epoch(folder: Path) -> None:
    task = created(folder, "head.scheduled_sampling=0.4", "head.scheduled_sampling_epochs=4")
    rows = task.read(opened(folder).split("train"), training=True)
    shares = [rows.for_epoch(epoch).batch(np.arange(2)).own_share for epoch in (1, 2, 5, 9)]  # type: ignore[attr-defined]
    assert shares == pytest.approx([0.0, 0.1, 0.4, 0.4])


def test_unknown_words_are_replaced_by_what_is_attended_to(model: Model) -> None:
    task = model.task
    unk = task.target.vocabulary.unk  # type: ignore[attr-defined]
    with torch.no_grad():
        before = task.members[0].output.bias.clone()  # type: ignore[union-attr]
        task.members[0].output.bias[unk] = 100.0  # type: ignore[union-attr, index]
    try:
        text = "Der Hund kann den Ball sehen."
        task.decoding = Decoding(max_length=3)
        assert model(text).output == "<unk> <unk> <unk>"
        task.decoding = Decoding(max_length=3, replace_unknown="attention")
        [found] = model(text).hypotheses
        assert found.attention is not None
        best = found.attention[:3, :-1].argmax(1)
        assert list(found.tokens) == [model(text).source_tokens[place] for place in best]
    finally:
        task.decoding = Decoding()
        with torch.no_grad():
            task.members[0].output.bias.copy_(before)  # type: ignore[union-attr, operator]


def test_prefixes_and_phrases_are_kept(model: Model) -> None:
    task, text = model.task, "Der Hund will den Ball sehen."
    try:
        task.decoding = Decoding(prefix="A cat can")
        assert model(text).output.startswith("A cat can")
        task.decoding = Decoding(beam=4, constraints=("the flower", "woman"))
        assert "the flower" in model(text).output
        assert "woman" in model(text).output
        task.decoding = Decoding(prefix="A zebra")
        with pytest.raises(InputError, match="decoding.prefix: 'A zebra' has 'zebra', which the model cannot write"):  # fmt: skip
            model(text)
    finally:
        task.decoding = Decoding()


def test_unknown_words_are_replaced_by_whole_words(folder: Path) -> None:
    task = created(
        folder,
        "text.tokenizer=bpe",
        "text.tokenizer_options.size=260",
        "head.target.tokenizer=regex",
    )
    with torch.no_grad():
        task.get_parameter("members.0.output.bias")[1] = 100.0
    task.decoding = Decoding(max_length=2, replace_unknown="attention")
    [answer] = task.answer_texts(["Hund Hund Hund"], batch_size=1)
    assert len(answer.source_tokens) > 9
    assert answer.output == "Hund Hund"


def test_a_text_in_parts_has_its_prefix_and_phrases_once(folder: Path) -> None:
    task = created(folder, "text.max_tokens=8")
    text = "Der Hund will den Ball sehen. " * 3
    task.decoding = Decoding(prefix="A woman can", max_length=3)
    assert task.answer_texts([text], batch_size=2)[0].output.count("A woman can") == 1
    task.decoding = Decoding(beam=2, constraints=("flower",), max_length=1)
    assert task.answer_texts([text], batch_size=2)[0].output.count("flower") == 1


def test_draws_depend_on_the_text_and_the_seed_alone(model: Model) -> None:
    text = "Der Hund will den Ball sehen."
    try:
        outputs = []
        for seed in (1, 1, 2):
            task = model.task
            task.decoding = Decoding(sample=True, temperature=3.0, seed=seed)
            outputs.append([answer.output for answer in task.predict(["Der", text])][1])
        assert outputs[0] == outputs[1] != outputs[2]
        task.decoding = Decoding(sample=True, temperature=3.0, seed=1)
        assert model(text).output == outputs[0]
    finally:
        model.task.decoding = Decoding()


def test_a_stream_is_refused(model: Model) -> None:
    with pytest.raises(InputError, match="'translation' cannot stream.*predict MODEL -` answers"):
        model.stream()


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        (["head.atention=dot"], SettingsError, "no key 'atention'; did you mean 'attention'"),
        (["head.attention=dott"], UnknownNameError, "no attention is named 'dott'"),
        (["head.decoder_cell=gruu"], UnknownNameError, "no cell is named 'gruu'"),
        (["head.tie_all=true"], SettingsError, "head.tie_all: source and target have a vocabulary each"),
        (["head.joint=true", "head.target.min_count=2"], SettingsError, "head.target.min_count: one for both"),
        (["head.target.tokeniser=char"], SettingsError, "head.target: no key 'tokeniser'; did you mean 'tokenizer'"),
        (["head.target.tokenizer=charr"], UnknownNameError, "no tokenizer is named 'charr'"),
        (["head.target.ngram_buckets=9"], SettingsError, "head.target.ngram_buckets: of the source alone"),
        (["head.input_feeding=true", "head.decoder_layers_after=1"], SettingsError, "decoder_layers_after: 0 with head.input_feeding, not 1"),
        (["head.decoding.beam=0"], SettingsError, "head: decoding.beam: Input should be greater"),
        (["head.subword_sampling=0.1"], SettingsError, "'regex' cuts a text in one way only"),
        (["head.attention=dot"], SettingsError, "dot attention needs .* head.decoder_hidden_size = 64$"),
        (["head.bridge=copy"], InputError, "needs a state of 64 features.* head.decoder_hidden_size = 64$"),
        (["train.monitor=accuracy"], SettingsError, "no figure 'accuracy'.*bleu, chrf, loss"),
        (["text.min_count=1000"], SettingsError, "text: no token of train is left"),
        (["head.target.min_count=1000"], SettingsError, "head.target: no token of train is left"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_one_clear_line(
    folder: Path, overrides: list[str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as raised:
        seqnlp.train(small_translation(folder, *overrides))
    assert "\n" not in str(raised.value)


def test_the_size_that_a_message_names_will_do(folder: Path) -> None:
    created(folder, "head.attention=dot", "head.bridge=copy", "head.decoder_hidden_size=64")


def test_parts_are_named(folder: Path) -> None:
    settings: Settings = small_translation(
        folder, "head.decoder_cell=rnn", "head.target.tokenizer=char", "head.sentence_case=true"
    )
    parts = TranslationTask.named_parts(settings)
    assert {("cells", "gru"), ("cells", "rnn"), ("attentions", "multi_head"), ("tokenizers", "char"),
            ("tokenizers", "regex"), ("normalizers", "uncapitalize")} <= set(parts)  # fmt: skip


def _swap(task: TranslationTask) -> None:
    task.target = task.pipeline


@pytest.mark.parametrize("change", [_swap])
def test_tasks_of_other_vocabularies_are_not_combined(
    folder: Path, change: Callable[[TranslationTask], None]
) -> None:
    first, second = created(folder), created(folder)
    change(second)
    with pytest.raises(ValueError, match="different vocabularies"):
        TranslationTask.combine([first, second])
