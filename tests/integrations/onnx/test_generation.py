"""Exported writers answer as the library does, whatever is asked of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from seqnlp_runtime.errors import RunnerError
from seqnlp_runtime.folder import Graph
from seqnlp_runtime.writing import WriterModel
from torch import Tensor, nn

from seqnlp import registry
from seqnlp.bundle import Model
from seqnlp.errors import InputError
from seqnlp.integrations.onnx.export import exported_files
from seqnlp.integrations.onnx.graphs import to_onnx
from tests.integrations.onnx.writers import check_answers, exported, writer
from tests.toy_decoder import ToyDecoder
from tests.toy_translation import pairs

ALIKE = ["head.decoder_hidden_size=16"]
"""The size of the encoder's states, which some attentions ask of their queries."""
CELLS = [name for name, package in registry.cells.names().items() if package == "seqnlp"]
VARIANTS: dict[str, tuple[str, int, list[str]]] = {
    **{f"cell {name}": ("translation", 1, [f"model.cell={name}"]) for name in CELLS},
    **{
        f"attention {name}": ("translation", 1, [f"head.attention={name}", *ALIKE])
        for name in registry.attentions.names()
    },
    "coverage": (
        "translation", 1, ["head.attention=additive", "head.attention_options.coverage=true"],
    ),
    "fed history": (
        "summarization", 1, ["head.input_feeding=true", "head.attention=location"],
    ),
    "looking back": (
        "summarization", 2,
        ["head.intra_attention=true", "head.selection_gate=true", "head.decoder_layers=2"],
    ),
    "ensemble": ("translation", 3, ["head.input_feeding=true", "head.intra_attention=true"]),
    "deep": ("translation", 1, ["model.layers=2", "model.residual=true", "model.layer_norm=true"]),
    "one direction": (
        "translation", 1,
        ["model.bidirectional=false", "head.bridge=copy", "head.decoder_hidden_size=8"],
    ),
    "no bridge": (
        "translation", 1,
        ["head.bridge=none", "head.deep_output=false", "head.tie_embeddings=false"],
    ),
    "zoneout": ("translation", 1, ["model.zoneout_output=0.1"]),
}  # fmt: skip

TEXTS = [
    *(german for german, _ in pairs()[::9]), "", "   ", "Ein Hund", "Quark? Hü & hott!", "die", "Ö",
    "Der Hund will den Ball sehen. Eine Frau kann das Haus malen. Das Kind kann die Blume suchen.",
]  # fmt: skip
REPORTS = [
    "On Monday Kalomi bought a boat. Rutevo was there and saw it.", "Xyz sold Xyz. Abc saw Xyz.",
    "It rained on Friday when NASA came. Who knows?", "", "unheard of", ".",
    "McDonald painted a house on Tuesday. " * 3, 'It "rained (on Friday" when Dupilo came.',
]  # fmt: skip
DECODINGS: list[dict[str, Any]] = [
    {},
    {"beam": 4, "n_best": 4},
    {"beam": 3, "length_penalty": 0.0, "length_prior": 0.7, "coverage_penalty": 0.1},
    {"beam": 4, "n_best": 3, "diverse_groups": 2, "no_repeat_ngram": 2},
    {"max_words": 3, "tidy": True, "replace_unknown": "attention"},
    {"beam": 2, "max_words": 4, "min_length": 3, "max_length": 9},
    {"sample": True, "n_best": 2, "top_k": 5, "seed": 4},
]


@pytest.fixture(scope="module")
def translator(
    pairs_corpus: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Model, WriterModel]:
    """One that feeds its outputs, with subwords, first capitals and texts in parts."""
    own = ["text.tokenizer=bpe", "text.tokenizer_options={size=280}", "text.max_tokens=16"]
    own += ["text.long_documents=chunk", "head.sentence_case=true", "head.input_feeding=true"]
    own += ["head.attention=additive"]
    model = writer(pairs_corpus, "translation", *own)
    return model, exported(model, tmp_path_factory.mktemp("exported") / "de-en")


@pytest.fixture(scope="module")
def reporter(
    reports_corpus: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Model, WriterModel]:
    """One that copies, writes in lower case and restores capitals, with layers on both sides."""
    own = ["text.normalizers=['nfc', 'lowercase']", "head.truecase=true", "text.min_count=4"]
    own += ["head.decoder_layers_after=1", "text.max_tokens=14"]
    model = writer(reports_corpus, "summarization", *own)
    return model, exported(model, tmp_path_factory.mktemp("exported") / "reports")


@pytest.mark.parametrize("options", DECODINGS, ids=str)
def test_translations_are_the_same(
    translator: tuple[Model, WriterModel], options: dict[str, Any]
) -> None:
    check_answers(*translator, TEXTS, **options)


@pytest.mark.parametrize("options", DECODINGS, ids=str)
def test_summaries_are_the_same(
    reporter: tuple[Model, WriterModel], options: dict[str, Any]
) -> None:
    check_answers(*reporter, REPORTS, **options)


def test_what_is_forced_is_the_same(
    translator: tuple[Model, WriterModel], reporter: tuple[Model, WriterModel]
) -> None:
    check_answers(*translator, TEXTS, beam=4, prefix="A man", constraints=["the ball", "tree"])
    check_answers(*reporter, REPORTS[:2], prefix="sells a", max_words=5)
    with pytest.raises(RunnerError) as caught:
        list(reporter[1].predict(["On Monday it rained."], decoding={"prefix": "sells quarks"}))
    assert str(caught.value) == (
        "decoding.prefix: 'sells quarks' has 'quarks', which the model cannot write: it is neither "
        "in its vocabulary nor in the text that begins 'on monday it rained'"
    )


def test_batches_change_nothing(reporter: tuple[Model, WriterModel]) -> None:
    ours, theirs = reporter
    for size in (1, 3):
        check_answers(ours, theirs, REPORTS, batch_size=size)
    alone, first = (
        theirs(REPORTS[0], decoding={"beam": 2}),
        next(theirs.predict(REPORTS, decoding={"beam": 2})),
    )
    assert alone.output == first.output
    assert theirs(REPORTS[0]).output == ours(REPORTS[0]).output


def test_tokens_in_the_place_of_texts(translator: tuple[Model, WriterModel]) -> None:
    _, model = translator
    tokens = model.pipeline.tokens(TEXTS[0])
    assert next(model.predict_tokens([tokens])).output == model(TEXTS[0]).output


def test_what_the_runner_does_not_do_is_said(translator: tuple[Model, WriterModel]) -> None:
    _, model = translator
    with pytest.raises(RunnerError, match=r"^batch_size = 0: expected 1 or more$"):
        model.predict(["a"], batch_size=0)
    with pytest.raises(RunnerError, match=r"^decoding\.mbr: a choice by risk needs seqnlp's own"):
        model.predict(["a"], decoding={"beam": 3, "mbr": True})
    with pytest.raises(RunnerError, match="a model of the task 'translation' cannot stream"):
        model.stream()


def test_what_cannot_be_recorded_is_said(pairs_corpus: Path) -> None:
    for setting, line in (
        ("head.sentence_tokens=9", "head.sentence_tokens: a model that reads sentences cannot be "
         "exported: how many a batch has is no size of its arrays"),
        ("text.ngram_buckets=9", "text.ngram_buckets: a model that writes and reads n-grams cannot "
         "be exported; train one with text.ngram_buckets = 0"),
    ):  # fmt: skip
        with pytest.raises(InputError) as caught:
            exported_files(writer(pairs_corpus, "translation", "text.tokenizer=regex", setting))
        assert str(caught.value) == line


def test_a_state_that_counts_is_said(pairs_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.decoders._local, "toy", ToyDecoder)
    model = writer(pairs_corpus, "translation", "text.tokenizer=regex", "head.decoder=toy")
    with pytest.raises(InputError) as caught:
        exported_files(model)
    assert str(caught.value) == (
        "ToyState holds a number that changes from step to step, which no graph can; a tensor [N] "
        "can be recorded"
    )


def test_outputs_that_are_the_same_keep_their_names() -> None:
    class Twice(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, ...]:
            return x + 1, x * 2, x + 1

    graph = to_onnx(Twice(), [torch.ones(2)], [{0: "batch"}], ["x"], ["a", "b", "c"])
    assert [value.name for value in graph.graph.output] == ["a", "b", "c"]
    found = Graph(graph.SerializeToString(), "twice", 1)({"x": np.arange(3, 6, dtype=np.float32)})
    assert [each.tolist() for each in found] == [[4, 5, 6], [6, 8, 10], [4, 5, 6]]


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_any_network_writes_the_same(
    name: str, pairs_corpus: Path, reports_corpus: Path, tmp_path: Path
) -> None:
    task, members, own = VARIANTS[name]
    corpus, texts = (pairs_corpus, TEXTS) if task == "translation" else (reports_corpus, REPORTS)
    model = writer(corpus, task, "text.tokenizer=regex", *own, members=members)
    runner = exported(model, tmp_path / "exported")
    check_answers(model, runner, texts)
    check_answers(model, runner, texts, beam=3, n_best=3)
