"""Summarization: what it learns, copies, leaves out, and takes from its settings."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import seqnlp
from seqnlp.bundle import Model
from seqnlp.data.corpus import Corpus, open_corpus
from seqnlp.data.split import Split
from seqnlp.errors import InputError, SettingsError
from seqnlp.tasks.sequence_rows import PairRows, SequenceBatch
from seqnlp.tasks.summarization import SummarizationTask
from seqnlp.text.vocabulary import UNK
from seqnlp.training.preparation import complete
from tests.toy_summarization import reports, small_summarization

DOCUMENTS = [document for document, _ in reports()][1::6]
SUMMARIES = [summary for _, summary in reports()][1::6]


@pytest.fixture(scope="module")
def folder(reports_corpus: Path) -> Path:
    return reports_corpus


@pytest.fixture(scope="module")
def model(reports_run: Path) -> Model:
    return seqnlp.load(reports_run)


def opened(folder: Path) -> Corpus:
    return open_corpus(str(folder), fields=SummarizationTask.fields)


def created(folder: Path, *overrides: str) -> SummarizationTask:
    torch.manual_seed(0)
    settings = complete(small_summarization(folder, *overrides))
    return SummarizationTask.create(settings, opened(folder))


def pairs(task: SummarizationTask, corpus: Corpus, split: str = "train") -> PairRows:
    rows = task.read(corpus.split(split), training=True)
    assert isinstance(rows, PairRows)
    return rows


def test_names_that_were_never_seen_are_copied(model: Model, folder: Path) -> None:
    answers = [answer.output for answer in model.task.predict(DOCUMENTS)]
    wanted = [summary.lower() for summary in SUMMARIES]
    assert sum(a == b for a, b in zip(answers, wanted, strict=True)) >= 30
    report = model.metrics["test"]
    assert report["rouge1"]["value"] > 95
    assert report["others"]["best"]["rouge1"]["value"] > 80
    assert "TextRank" in model.metrics["baselines"]


def test_without_copying_they_are_unknown(folder: Path) -> None:
    model = seqnlp.train(small_summarization(folder, "head.copying=false"))
    answer = model("On Friday Kadir lost a mill. Mosel was there and saw it.")
    assert answer.output.split()[-3:-1] == ["loses", "a"]
    assert "kadir" not in answer.output


@pytest.mark.parametrize(
    "overrides",
    [
        ["head.attention=additive", "head.input_feeding=true", "head.coverage_loss=0.5"],
        ["head.joint=false", "head.outputs=all", "head.tie_all=false"],
        ["head.intra_attention=true", "head.selection_gate=true"],
        ["head.sentence_tokens=6"],
        ["ensemble=2"],
        ["model.cell=gru", "head.attention=multi_head", "head.decoder_layers_after=1"],
    ],
    ids=["feeding", "apart", "intra", "sentences", "ensemble", "heads"],
)
def test_every_kind_of_network_copies(folder: Path, tmp_path: Path, overrides: list[str]) -> None:
    made = seqnlp.train(small_summarization(folder, *overrides), tmp_path / "run")
    assert made.metrics["test"]["rouge1"]["value"] > 85
    loaded = seqnlp.load(tmp_path / "run")
    texts = DOCUMENTS[:9]
    wanted = [answer.output for answer in made.task.predict(texts)]
    assert [answer.output for answer in loaded.task.predict(texts)] == wanted
    assert [loaded(text).output for text in texts] == wanted


def test_what_can_be_generated_is_what_summaries_have(folder: Path) -> None:
    task = created(folder)
    vocabulary = task.target.vocabulary
    assert vocabulary is not None
    assert task.pipeline.vocabulary == vocabulary
    first = vocabulary.tokens[: task.outputs - len(vocabulary.specials)]
    assert {"buys", "sells", "boat", "mill"} <= set(first)
    assert "rained" not in first
    assert "rained" in vocabulary.tokens
    assert created(folder, "head.outputs=all").outputs == len(vocabulary)
    network: Any = task.members[0]
    assert network.output(torch.zeros(1, task.settings.model.embedding_size)).shape[1] == len(
        first
    ) + len(vocabulary.specials)


def test_goals_are_copied_where_they_cannot_be_generated(folder: Path) -> None:
    task, corpus = created(folder), opened(folder)
    vocabulary = task.target.vocabulary
    assert vocabulary is not None
    rows = pairs(task, corpus)
    batch = rows.batch(np.arange(5))
    assert batch.copies is not None
    assert batch.goals is not None
    copied = 0
    for index, document in enumerate(rows.chosen[:5].tolist()):
        row = corpus.split("train")[document]
        source, words = task.pipeline.tokens(row["document"]), task.target.tokens(row["summary"])
        for word, goal in zip(words, batch.goals[index].tolist(), strict=False):
            if goal < task.outputs:
                assert vocabulary.token(goal) == word
                continue
            copied += 1
            assert source[batch.copies.ids[index].tolist().index(goal)] == word
    assert copied == 5  # the name of each


def test_what_neither_way_leads_to_counts_in_no_loss(folder: Path, tmp_path: Path) -> None:
    """Only where there is copying; without, the unknown token is learned like others."""
    row = {"document": "On Friday Kadir lost a mill.", "summary": "Xylander loses a mill"}
    for name in ("validation", "test"):
        (tmp_path / f"{name}.jsonl").write_text((folder / f"{name}.jsonl").read_text())
    (tmp_path / "train.jsonl").write_text(
        (folder / "train.jsonl").read_text() + json.dumps(row) + "\n"
    )
    units = {}
    for copying in ("true", "false"):
        task = created(tmp_path, f"head.copying={copying}")
        rows = pairs(task, opened(tmp_path))
        batch = rows.batch(np.array([len(rows.lengths) - 1]))
        assert isinstance(batch, SequenceBatch)
        assert batch.goals is not None
        assert batch.goals[0, 0] == 1
        units[copying] = task.loss(batch).units
    assert units == {"true": 4, "false": 5}


def test_the_loss_is_that_of_the_search(model: Model) -> None:
    """Teacher forced, a found answer has the probability that the search gave it."""
    task, texts = model.task, DOCUMENTS[:7]
    answers = list(task.predict(texts))
    found = [{"document": d, "summary": a.output} for d, a in zip(texts, answers, strict=True)]
    batch = task.read(Split.from_examples("train", found), training=True).batch(np.arange(7))
    with torch.no_grad():
        total = task.loss(batch).total.item()
    wanted = -sum(answer.hypotheses[0].log_probability for answer in answers)
    assert total == pytest.approx(wanted, rel=1e-4)


def test_long_documents_are_cut_and_keep_their_summaries(folder: Path) -> None:
    task = created(folder, "text.max_tokens=6")
    rows = pairs(task, opened(folder))
    assert len(rows.lengths) == 128
    # The end counts. Rows are sorted by their documents alone: see the comment in `PairRows`.
    assert rows.lengths.max() == 7
    assert not rows.notes


def test_summaries_that_are_too_long_are_left_out(folder: Path) -> None:
    task = created(folder, "head.target.max_tokens=4")
    with pytest.raises(InputError, match=r"all 128 pairs are .* max_tokens = 1 in summary$"):
        pairs(created(folder, "head.target.max_tokens=1"), opened(folder))
    rows = pairs(task, opened(folder))
    assert rows.notes == (
        f"train: {128 - len(rows.lengths)} of 128 pairs are left out: empty, or longer than "
        "max_tokens = 4 in summary",
    )


def test_empty_and_endless_documents_are_answered(model: Model) -> None:
    empty, blank, endless = model.task.predict(["", "  \n", "word " * 100_000])
    assert empty.output == blank.output == ""
    assert len(endless.output.split()) <= 60


def test_references_are_what_the_corpus_says(folder: Path) -> None:
    task, corpus = created(folder), opened(folder)
    first = task.references(corpus.split("test"))[0]
    summary = SUMMARIES[0]
    assert first.summary == summary
    assert first.others == (f"{summary} today", summary.partition(" ")[0])
    assert first.document == DOCUMENTS[0]
    assert task.references(corpus.split("validation"))[0].others == ()


def test_outputs_of_targets_need_one_vocabulary(folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"head\.outputs: .* set head\.joint = true"):
        created(folder, "head.joint=false", "head.tie_all=false")


def test_a_state_of_impossible_outputs_is_refused(model: Model) -> None:
    task = model.task
    assert isinstance(task, SummarizationTask)
    for wrong in (0, 10**6):
        state = {**task.state(), "outputs": wrong}
        with pytest.raises(ValueError, match=f"outputs must be 1 to .*, not {wrong}"):
            SummarizationTask.restore(task.settings, task.pipelines, state)


def test_unknown_is_never_written_with_copying(model: Model) -> None:
    answers = model.task.predict(["Qq ww ee rr tt.", "?! ..."])
    assert all(UNK not in answer.output for answer in answers)
    assert all(math.isfinite(answer.hypotheses[0].score) for answer in answers)
