"""The extraction task: what it learns from, what it reads, what it quotes, what it refuses."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from seqnlp import registry
from seqnlp.bundle import Model, load
from seqnlp.config import load_settings
from seqnlp.data.corpus import Corpus, Split
from seqnlp.data.tokens import TokenizedText, tokenize_sentences, tokenize_split
from seqnlp.errors import InputError, SettingsError
from seqnlp.tasks.extraction import ExtractionTask
from seqnlp.tasks.extraction_options import Selection
from seqnlp.tasks.extraction_rows import ExtractionBatch, ExtractionRows
from seqnlp.tasks.oracle import best_sentences, label_sentences
from seqnlp.tasks.rouge import Rouge
from seqnlp.tasks.summary_metrics import Reference
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.sentences import split_sentences
from seqnlp.text.tokenizers import WhitespaceTokenizer
from seqnlp.training.run import train
from tests.cli.calling import call

SMALL = [
    "model.embedding_size=6", "model.hidden_size=6", "text.ngram_buckets=0", "model.engine=reference",
]  # fmt: skip
ROWS = [
    ("Good day. The bridge is closed. Bye.", "bridge closed"),
    ("We met. Lunch was fine. The road is open again.", "road open"),
    ("Nothing here. Nor there.", "unrelated"),
    ("The river rose.", "river rose"),
]


def corpus(rows: Sequence[tuple[str, str]] = ROWS, **more: Sequence[tuple[str, str]]) -> Corpus:
    splits = {"train": rows, "validation": rows, **more}
    return Corpus(
        name="memory",
        splits={
            name: Split.from_examples(name, [{"document": d, "summary": s} for d, s in part])
            for name, part in splits.items()
        },
    )


def make(*overrides: str, of: Corpus | None = None) -> ExtractionTask:
    torch.manual_seed(0)
    settings = load_settings(
        None, ["task=extraction", *SMALL, *overrides], base=ExtractionTask.defaults
    )
    made = ExtractionTask.create(settings, of or corpus()).eval()
    with torch.no_grad():  # away from where sentences are all alike
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made


def all_of(rows: ExtractionRows) -> ExtractionBatch:
    return rows.batch(np.arange(len(rows.lengths)))


def test_the_best_sentences_are_those_of_a_plain_search() -> None:
    rouge = Rouge(["text"])

    def quality(sentences: Sequence[Sequence[str]], summary: Sequence[str]) -> float:
        total = 0.0
        for size in (1, 2):
            wanted = [tuple(summary[k : k + size]) for k in range(len(summary) - size + 1)]
            found = [
                tuple(each[k : k + size]) for each in sentences for k in range(len(each) - size + 1)
            ]
            shared = sum(min(found.count(n), wanted.count(n)) for n in set(wanted))
            total += 2 * shared / max(len(found) + len(wanted), 1)
        return total

    for document, summary in [*ROWS, ("Storm hits. Town is safe. Storm hits the town.", "Storm hits the town")]:  # fmt: skip
        sentences = [rouge.tokenize(each) for each in split_sentences(document)]
        wanted = rouge.tokenize(summary)
        taken: list[int] = []
        while True:
            rest = [n for n in range(len(sentences)) if n not in taken]
            scores = [quality([sentences[k] for k in [*taken, n]], wanted) for n in rest]
            now = quality([sentences[k] for k in taken], wanted)
            if not rest or max(scores) <= now + 1e-12:
                break
            taken.append(rest[scores.index(max(scores))])
        assert best_sentences(sentences, wanted) == taken
        assert best_sentences(sentences, wanted, most=1) == taken[:1]


@pytest.mark.parametrize("summary", [[], ["x"], ["x", "y"]])
def test_without_common_words_or_without_words_nothing_is_best(summary: list[str]) -> None:
    assert best_sentences([], summary) == []
    assert best_sentences([["a", "b"], []], summary) == []


def test_one_word_more_is_taken_only_where_it_helps() -> None:
    sentences = [["the", "town", "is", "very", "far"], ["storm", "hits"], ["a", "fast", "storm"]]
    summary = ["storm", "hits", "the", "town"]
    assert best_sentences(sentences, summary) == [1, 0]
    assert best_sentences(sentences[1:], summary) == [0]


def test_labels_are_cached_and_a_damaged_cache_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQNLP_CACHE", str(tmp_path))
    split = corpus().split("train")
    counts, labels = label_sentences(split)
    assert counts.tolist() == [3, 3, 2, 1]
    assert labels.tolist() == [False, True, False, False, False, True, False, False, True]
    (entry,) = tmp_path.glob("extracts/*.npy")
    whole = entry.read_bytes()
    for damage in (whole[:-1], b"", b"nonsense", whole[:150]):
        entry.write_bytes(damage)
        again = label_sentences(split)
        assert again[0].tolist() == counts.tolist()
        assert again[1].tolist() == labels.tolist()
        assert entry.read_bytes() == whole
    monkeypatch.setattr("seqnlp.tasks.oracle.best_sentences", None)
    assert label_sentences(split)[1].tolist() == labels.tolist()
    monkeypatch.undo()
    monkeypatch.setenv("SEQNLP_CACHE", str(tmp_path / "other"))
    passing = Split.from_examples("train", list(split), lasting=False)
    assert label_sentences(passing)[1].tolist() == labels.tolist()
    assert not (tmp_path / "other").exists()


def test_sentences_are_tokenized_one_by_one_and_cached_apart() -> None:
    split, pipeline = corpus().split("train"), TokenPipeline(tokenizer=WhitespaceTokenizer())
    found = tokenize_sentences(split, "document", pipeline)
    assert len(found) == 9
    assert [found.types[n] for n in found[1]] == ["The", "bridge", "is", "closed."]
    assert len(tokenize_split(split, "document", pipeline)) == 4
    assert len(tokenize_sentences(split, "document", pipeline)) == 9


WORDS = ["alpha", "beta", "gamma", "delta"]
sentence = st.lists(st.sampled_from(WORDS), max_size=7)


@given(
    st.lists(st.lists(sentence, max_size=6), min_size=1, max_size=5),
    st.integers(1, 5),
    st.integers(1, 12),
    st.sampled_from(["chunk", "truncate"]),
)
def test_rows_hold_every_sentence_that_is_to_be_read_once(
    documents: list[list[list[str]]], cap: int, most: int, long: Any
) -> None:
    pipeline = TokenPipeline(tokenizer=WhitespaceTokenizer()).fit(WORDS)
    flat = [each for document in documents for each in document]
    counts = np.array([len(document) for document in documents])
    labels = np.arange(len(flat)) % 3 == 0
    rows = ExtractionRows(
        TokenizedText.from_tokens(flat), counts, pipeline, documents=list,
        sentence_tokens=cap, max_tokens=most, long_documents=long, labels=labels,
    )  # fmt: skip
    cut = [[each[:cap] for each in document] for document in documents]
    expected = []
    for number, document in enumerate(cut):
        read = 0
        for place, each in enumerate(document):
            fits = long == "chunk" or not read or sum(map(len, document[: place + 1])) <= most
            if each and fits:
                expected.append((number, place, each))
                read += len(each)
    places = rows.places(np.arange(len(rows.lengths)))
    begins = np.cumsum(counts) - counts
    assert places.tolist() == [begins[number] + place for number, place, _ in expected]
    if not expected:
        assert len(rows.lengths) == 0
        return
    batch = all_of(rows)
    assert batch.tokens.ends is not None
    assert batch.labels is not None
    found = []
    for row in range(len(rows.lengths)):
        ids = batch.tokens.ids[row, : batch.tokens.lengths[row]].tolist()
        ends = [0, *(batch.tokens.ends[row].nonzero().flatten() + 1).tolist()]
        assert ends[-1] == len(ids)
        found += [ids[a:b] for a, b in itertools.pairwise(ends)]
        total = len(ids)
        assert total <= most + cap
    assert found == [pipeline.ids(each).tolist() for _, _, each in expected]
    real = batch.totals > 0
    assert batch.numbers[real].tolist() == [place for _, place, _ in expected]
    assert batch.totals[real].tolist() == [counts[number] for number, _, _ in expected]
    assert batch.labels[real].tolist() == labels[places].tolist()
    assert batch.labels[~real].eq(0).all()
    if long == "chunk":
        sums = [sum(map(len, document)) for document in cut]
        assert len(rows.lengths) <= sum(-(-each // most) for each in sums)


def test_training_leaves_out_what_has_no_best_sentence_and_says_so() -> None:
    made = make()
    rows = made.read(corpus().split("train"), training=True)
    assert rows.notes == (
        "train: 1 of 4 documents are left out: no sentence shares a word with the summary",
    )
    assert len(rows.lengths) == 3
    assert len(made.read(corpus().split("train")).lengths) == 4
    with pytest.raises(InputError, match="all 1 documents are left out: no sentence shares a word"):
        make().read(corpus([ROWS[2]]).split("train"), training=True)


def test_the_network_is_the_formula() -> None:
    made = make()
    network: Any = made.members[0]
    rows = made.read(corpus().split("train"))
    logits = network(all_of(rows))
    for row, (document, _) in enumerate(ROWS):
        own = rows.batch(np.array([row]))
        tokens = own.tokens
        states = network.encoder(network.embedding(tokens), tokens.lengths, tokens.ends).states[0]
        count = len(split_sentences(document))
        assert len(states) == count
        d = torch.tanh(network.document.weight @ states.mean(0) + network.document.bias)
        taken = torch.zeros_like(d)
        for j, h in enumerate(states):
            logit = (
                network.content.weight[0] @ h
                + h @ network.salience.weight @ d
                - network.novelty.weight @ h @ torch.tanh(taken)
                + network.content.bias[0]
                + network.place[j]
                + network.part[j * 10 // count]
            )
            torch.testing.assert_close(logits[row, j], logit, rtol=1e-4, atol=1e-5)
            taken = taken + torch.sigmoid(logit) * h


def test_the_loss_is_a_sum_over_sentences() -> None:
    made = make()
    rows = made.read(corpus().split("train"))
    batch = all_of(rows)
    assert batch.labels is not None
    loss = made.loss(batch)
    real = batch.totals > 0
    logits = made.members[0](batch)[real]
    expected = functional.binary_cross_entropy_with_logits(logits, batch.labels[real])
    torch.testing.assert_close(loss.mean, expected)
    assert loss.units == 9
    parts = [made.loss(rows.batch(np.array([n]))) for n in range(4)]
    torch.testing.assert_close(loss.total, torch.stack([part.total for part in parts]).sum())
    references = made.references(corpus().split("train"))
    figures = made.validate(rows, references, batch_size=2)
    assert figures["loss"] == pytest.approx(expected.item(), rel=1e-5)
    assert set(figures) == set(ExtractionTask.figures)


def test_every_parameter_learns() -> None:
    made = make("head.pooling=attention")
    loss = made.loss(all_of(made.read(corpus().split("train"))))
    names, weights = zip(*made.named_parameters(), strict=True)
    for name, gradient in zip(names, torch.autograd.grad(loss.mean, weights), strict=True):
        assert gradient.abs().sum() > 0, name


@pytest.mark.parametrize("cell", ["lstm", "qrnn", "slstm", "lru"])
def test_company_changes_no_answer(cell: str) -> None:
    made = make(f"model.cell={cell}", "text.max_tokens=7")
    texts = [document for document, _ in ROWS] + ["", "One two three four five six seven eight."]
    rows = made.read_texts(texts)
    together = made.probabilities(rows, batch_size=9)
    alone = made.probabilities(rows, batch_size=1)
    np.testing.assert_allclose(together, alone, atol=1e-6)
    one_by_one = [made.answer_texts([text], batch_size=1)[0].output for text in texts]
    assert [each.output for each in made.answer_texts(texts, batch_size=9)] == one_by_one


def test_answers_are_quoted_in_the_order_of_the_document() -> None:
    made = make("head.decoding.sentences=2")
    rows = made.read_texts([ROWS[1][0], " \n "])
    found = made.probabilities(rows, batch_size=2)
    first, blank = made.answer(rows, batch_size=2)
    sentences = split_sentences(ROWS[1][0])
    best = sorted(np.argsort(-found)[:2].tolist())
    assert first.output == " ".join(sentences[n] for n in best)
    assert first.hypotheses[0].tokens == tuple(sentences[n] for n in best)
    assert first.hypotheses[0].score == pytest.approx(found[best].mean())
    assert first.hypotheses[0].log_probability == pytest.approx(np.log(found[best]).sum())
    assert blank.output == ""
    assert blank.hypotheses == ()


def test_as_many_are_taken_as_best_extracts_of_train_have() -> None:
    two = [("Cats ran. Then it rained. Dogs slept. Well.", "Cats ran and dogs slept")] * 3
    assert make(of=corpus(two)).sentences == 2
    assert make().sentences == 1
    assert make("head.oracle_sentences=1", of=corpus(two)).sentences == 1
    assert len(make(of=corpus(two)).answer_texts(["A. Bee. Sea. Dee."], batch_size=1)[0].hypotheses[0].tokens) == 2  # fmt: skip


def test_words_are_limited() -> None:
    shares = np.array([0.2, 0.9, 0.5, 0.7, -1.0])
    words = [3, 6, 2, 4, 1]
    assert Selection(sentences=2).choose(shares, words) == [1, 3]
    assert Selection().choose(shares, words) == [0, 1, 2, 3]
    assert Selection(max_words=8).choose(shares, words) == [1, 2]
    assert Selection(max_words=8, sentences=1).choose(shares, words) == [1]
    assert Selection(max_words=5).choose(shares, words) == [1]
    assert Selection().choose(np.array([]), []) == []
    assert Selection(sentences=2).choose(np.array([0.5, 0.5, 0.5]), [1, 1, 1]) == [0, 1]
    made = make("head.decoding.max_words=2")
    assert made.answer_texts(["One two three four."], batch_size=1)[0].output == "One two"


def test_an_ensemble_answers_with_the_mean_probability() -> None:
    members = [make() for _ in range(2)]
    with torch.no_grad():
        for parameter in members[1].parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    combined = ExtractionTask.combine(members).eval()
    rows = members[0].read_texts([ROWS[0][0], ROWS[1][0]])
    singles = [each.probabilities(rows, batch_size=2) for each in members]
    assert not np.allclose(singles[0], singles[1])
    np.testing.assert_allclose(
        combined.probabilities(rows, batch_size=2), np.mean(singles, axis=0), atol=1e-6
    )
    assert combined.state() == {"members": 2, "sentences": 1}


@pytest.mark.parametrize(
    ("state", "message"),
    [({"members": -1, "sentences": 1}, "members must be 0 to 1000, not -1"),
     ({"members": 1, "sentences": 0}, "sentences must be at least 1, not 0")],
)  # fmt: skip
def test_a_damaged_state_is_refused(state: dict[str, int], message: str) -> None:
    made = make()
    with pytest.raises(ValueError, match=message):
        ExtractionTask.restore(made.settings, made.pipelines, state)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("head.poling=max", "head: no key 'poling'; did you mean 'pooling'"),
        ("head.sentence_tokens=0", "head: sentence_tokens: .* greater than or equal to 1, not 0"),
        ("head.decoding.beam=5", "head: no key 'decoding.beam'; known: max_words, sentences"),
        ("head.pooling_options.size=3", "head.pooling_options"),
    ],
)
def test_what_is_misspelled_or_out_of_range_is_refused(override: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        make(override)


def test_references_have_their_documents_and_the_figures_are_those_of_summaries() -> None:
    made = make()
    split = corpus().split("train")
    references = made.references(split)
    assert references[0] == Reference(summary="bridge closed", document=ROWS[0][0])
    answers = made.answer(made.read(split), batch_size=4)
    report = made.report(answers, references)
    assert report["examples"] == 4
    assert report["copied"] is not None
    assert made.score(answers, references)["rouge1"] == pytest.approx(report["rouge1"]["value"])
    compared = made.compare(answers, answers, references)
    assert compared["rouge1"]["difference"]["value"] == 0
    with pytest.raises(InputError, match="the task 'extraction' cannot stream"):
        made.stream()


def test_a_document_of_a_hundred_thousand_words_is_read_in_bounded_rows() -> None:
    words = itertools.cycle(["alpha", "beta", "gamma", "delta.", "Eps"])
    long = " ".join(itertools.islice(words, 100_000))
    endless = " ".join(["word"] * 100_000)
    made = make("head.decoding.sentences=3")
    rows = made.read_texts([long, endless])
    assert rows.lengths.max() <= 2000 + 100
    answers = made.answer(rows, batch_size=64)
    assert [len(each.hypotheses[0].tokens) for each in answers] == [3, 1]
    learned = corpus([*ROWS, (long, "beta gamma")])
    training = make(of=learned).read(learned.split("train"), training=True)
    assert training.lengths.max() <= 2000 + 100


NOUNS = ["bridge", "road", "river", "school", "market", "harbor", "station", "museum"]
VERBS = ["opened", "closed", "moved", "burned"]
PADDING = ["Good morning to all.", "We met as usual.", "Lunch was fine.", "It rained a little."]


def reports() -> list[tuple[str, str]]:
    """The sentence that counts begins with a word that no other has, at any place."""
    made = []
    for k, (noun, verb) in enumerate(itertools.product(NOUNS, VERBS)):
        sentences = [PADDING[(k + n) % 4] for n in range(3)]
        sentences.insert((k * 7) % 4, f"Today the {noun} {verb}.")
        made.append((" ".join(sentences), f"{noun} {verb}"))
    return made


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an extractor trained on reports."""
    folder = tmp_path_factory.mktemp("reports")
    everything = reports()
    parts = {"train": everything[8:], "validation": everything[:4], "test": everything[4:8]}
    for name, part in parts.items():
        lines = ["document\tsummary", *("\t".join(row) for row in part)]
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    settings = load_settings(
        None,
        ["task=extraction", f'corpus.name="{folder}"', *SMALL, "train.epochs=10", "train.lr=0.03",
         "train.batch_size=4", "train.monitor=loss", "threads=1", "hooks.dropout=false"],
        base=registry.tasks.get("extraction").defaults,
    )  # fmt: skip
    train(settings, folder / "model")
    return folder / "model"


def test_it_learns_which_sentence_counts_and_is_saved_and_loaded(run: Path) -> None:
    model: Model = load(run)
    assert model.metrics["test"]["rouge1"]["value"] > 60
    assert set(model.metrics["baselines"]) >= {"TextRank", "nearest document"}
    document = "It rained a little. We met as usual. Today the tower closed. Lunch was fine."
    assert model(document).output == "Today the tower closed."
    assert isinstance(model.task, ExtractionTask)
    assert model.quantize()(document).output == "Today the tower closed."


def test_the_command_line_extracts_and_measures(
    run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = "It rained a little. Today the tower closed. Lunch was fine."
    assert call(capfd, "predict", run, text)[:2] == (0, "Today the tower closed.\n")
    assert call(capfd, "predict", run, "--max-words", 3, text)[1] == "Today the tower\n"
    status, out, _ = call(capfd, "evaluate", run, "--decode", "sentences=2")
    assert status == 0
    assert "the best sentences, sentences 2" in out
    status, _, errors = call(capfd, "predict", run, "--beam", 5, text)
    assert status == 2
    assert "decoding: no key 'beam'" in errors
    status, _, errors = call(capfd, "predict", run, "--attention", text)
    assert status == 2
    assert "no attention" in errors
