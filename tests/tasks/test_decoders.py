"""Decoders by name: what they are given, what is refused, and that all that writes works with any."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import seqnlp
from seqnlp import registry
from seqnlp.bundle import Model
from seqnlp.config import Settings, load_settings
from seqnlp.data.corpus import open_corpus
from seqnlp.errors import InputError, SettingsError, UnknownNameError
from seqnlp.tasks.alignment import align_words
from seqnlp.tasks.decoding import Decoding
from seqnlp.tasks.sentiment import SentimentTask
from seqnlp.tasks.translation import TranslationTask
from seqnlp.training.preparation import complete
from tests.cli.calling import call
from tests.tasks.test_copying import COPYING, GOALS, UNK, loss, network, stepped
from tests.toy_decoder import BlindDecoder, ToyDecoder, ToyEncoder
from tests.toy_summarization import small_summarization
from tests.toy_translation import SMALL_TRANSLATION, small_translation, write_pairs


@pytest.fixture(autouse=True, scope="module")
def toys() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.decoders._local, "toy", ToyDecoder)
        patch.setitem(registry.decoders._local, "blind", BlindDecoder)
        patch.setitem(registry.encoders._local, "toy", ToyEncoder)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module", params=["toy", "blind"])
def model(request: pytest.FixtureRequest, folder: Path) -> Model:
    given = ["train.epochs=4", f"head.decoder={request.param}", "head.label_smoothing=0"]
    return seqnlp.train(small_translation(folder, *given))


def created(folder: Path, *overrides: str) -> TranslationTask:
    corpus = open_corpus(str(folder), fields=TranslationTask.fields, languages=("de", "en"))
    settings = load_settings(
        None,
        ["task=translation", *SMALL_TRANSLATION[1:3], "text.tokenizer=regex", *overrides],
        base=TranslationTask.defaults,
        unread=TranslationTask.unread,
    )
    return TranslationTask.create(complete(settings), corpus)


@pytest.mark.parametrize(
    "options",
    [{}, {"beam": 4, "n_best": 3}, {"sample": True, "n_best": 2}, {"prefix": "A man"},
     {"beam": 3, "constraints": ["flower"]}, {"beam": 4, "mbr": True},
     {"beam": 4, "diverse_groups": 2}],
)  # fmt: skip
def test_every_search_works(model: Model, options: dict[str, Any]) -> None:
    """Log-probabilities of what is found are those that the network learns by."""
    task = model.task
    assert isinstance(task, TranslationTask)
    text = "Der Hund will den Ball sehen."
    task.decoding = Decoding(**options)
    try:
        [answer, empty] = task.predict([text, ""])
    finally:
        task.decoding = Decoding()
    assert empty.output == ""
    best = answer.hypotheses[0]
    assert best.log_probability is not None
    vocabulary = task.target.vocabulary
    assert vocabulary is not None
    ids = torch.tensor([[2, *vocabulary.ids(best.tokens), 3]])
    batch = task.read_texts([text]).batch(torch.arange(1).numpy())
    target = replace(batch.source, ids=ids, lengths=torch.tensor([ids.shape[1]]))
    with torch.inference_mode():
        expected = -task.members[0].eval().loss(batch.source, target).total.item()
    assert best.log_probability == pytest.approx(expected, rel=1e-4, abs=1e-4)
    weighs = task.members[0].decoder.gives_weights
    assert (best.attention is not None) == weighs
    if weighs:
        assert best.attention.shape == (len(best.tokens) + 1, len(answer.source_tokens))


def test_coverage_needs_weights(model: Model) -> None:
    model.task.decoding = Decoding(beam=2, coverage_penalty=0.2)
    try:
        if model.task.members[0].decoder.gives_weights:
            assert model("Der Hund kann das Haus malen.").output
        else:
            with pytest.raises(InputError, match="coverage_penalty needs attention"):
                model("Der Hund kann das Haus malen.")
    finally:
        model.task.decoding = Decoding()


def test_words_are_aligned_where_there_are_weights(model: Model) -> None:
    answer = model("Der Hund kann das Haus malen.")
    if model.task.members[0].decoder.gives_weights:
        pairs = align_words(answer, model.task.pipelines)
        assert {target for _, target in pairs} <= set(range(len(answer.output.split())))
        assert pairs
    else:
        with pytest.raises(InputError, match="nor with a decoder that gives no weights$"):
            align_words(answer, model.task.pipelines)


def test_a_model_is_saved_with_its_decoder(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path / "run")
    again = seqnlp.load(tmp_path / "run")
    name = model.settings.head["decoder"]
    assert again.settings.head["decoder"] == name
    parts = type(model.task).named_parts(model.settings)
    assert ("decoders", name) in parts
    assert ("attentions", "multi_head") not in parts
    assert ("cells", "gru") in parts  # the encoder's
    assert again("Der Hund will").output == model("Der Hund will").output
    assert f", decoder {name}, " in (tmp_path / "run" / "README.md").read_text()


@pytest.mark.parametrize("options", [{}, {"coverage_loss": 0.7}, {"selection_gate": True}])
def test_copying_works_with_any_decoder_that_gives_weights(options: dict[str, Any]) -> None:
    made = network(replace(COPYING, decoder="toy", **options)).eval()
    torch.testing.assert_close(loss(made), -stepped(made)[0][GOALS > UNK].sum())
    sampled = loss(made.train(), own_share=0.5)
    assert sampled.isfinite()


@pytest.mark.parametrize(
    ("key", "options"), [("copying", {}), ("coverage_loss", {"copying": False, "coverage_loss": 1.0})]
)  # fmt: skip
def test_copying_needs_weights(key: str, options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as caught:
        network(replace(COPYING, decoder="blind", **options))
    assert str(caught.value) == (
        f"head.{key}: needs weights over the source, and the decoder 'blind' gives none"
    )


def test_a_decoder_gets_what_its_signature_names(folder: Path) -> None:
    task = created(
        folder, "head.decoder=toy", "head.decoder_hidden_size=5",
        "head.decoder_options.sharpness=2.5",
    )  # fmt: skip
    decoder = task.members[0].decoder
    assert isinstance(decoder, ToyDecoder)
    assert decoder.hidden.out_features == 5
    assert decoder.sharpness == 2.5
    plain = created(folder, "head.decoder=toy", "model.hidden_size=7").members[0].decoder
    assert plain.hidden.out_features == 7


READ = "the decoder 'toy' does not read it"


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        *(
            (["head.decoder=toy", f"head.{key}={value}"], SettingsError, f"head.{key}: {READ}")
            for key, value in {
                "input_feeding": "true", "bridge": "linear", "attention": "dot",
                "attention_options.heads": "3", "deep_output": "false", "intra_attention": "true",
                "decoder_cell": "rnn", "decoder_cell_options.activation": "relu",
                "decoder_layers": "2", "decoder_layers_after": "0",
            }.items()
        ),
        (
            ["model.encoder=toy", "head.decoder=toy", "model.cell=rnn"],
            SettingsError,
            "model.cell: the encoder 'toy' does not read it",
        ),
        (
            ["model.encoder=toy", "head.decoder_cell=rnn", "model.cell=rnn"],
            SettingsError,
            "model.cell: the encoder 'toy' does not read it",
        ),
        (
            ["head.decoder=toy", "head.decoder_options.sharpnes=2"],
            SettingsError,
            "head.decoder_options: no key 'sharpnes'; did you mean 'sharpness'? known: sharpness",
        ),
        (
            ["head.decoder=recurent"],
            UnknownNameError,
            "no decoder is named 'recurent'; did you mean 'recurrent'?",
        ),
        (
            ["head.decoder_options.layers=0"],
            SettingsError,
            "head.decoder_options: layers must be at least 1, not 0",
        ),
        (["head.bridge=copy"], SettingsError, "head: the bridge 'copy' needs a state of 64 features"),
    ],
    ids=str,
)  # fmt: skip
def test_what_a_decoder_cannot_take(
    folder: Path, overrides: list[str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        created(folder, *overrides)
    # "attention_options.heads" is a key within one that is not read.
    assert str(caught.value).startswith(
        message.replace(".heads:", ":").replace(".activation:", ":")
    )


def test_the_other_part_may_read_what_an_encoder_does_not(folder: Path) -> None:
    task = created(folder, "model.encoder=toy", "model.cell=rnn", "model.layer_norm=true")
    assert type(task.members[0].decoder.layers[0].forward_cell).__name__ == "RNNCell"
    assert ("cells", "rnn") in TranslationTask.named_parts(task.settings)
    parts = SentimentTask.named_parts(Settings.model_validate({"model": {"encoder": "toy"}}))
    assert ("encoders", "toy") in parts
    assert not any(kind == "cells" for kind, _ in parts)


def test_what_stood_below_is_left_behind(tmp_path: Path) -> None:
    recipe = tmp_path / "own.toml"
    recipe.write_text(
        'task = "translation"\n[model]\ncell = "lstm"\nhidden_size = 24\n[head]\n'
        'input_feeding = true\nbridge = "linear"\nattention_options = { heads = 2 }\n'
    )
    task = TranslationTask

    def settings(*overrides: str) -> Settings:
        return load_settings(recipe, overrides, base=task.defaults, unread=task.unread)

    kept = settings("model.encoder=toy")
    assert (kept.model.cell, kept.model.hidden_size) == ("lstm", 24)  # the decoder reads it
    assert kept.head["input_feeding"] is True
    both = settings("model.encoder=toy", "head.decoder=toy")
    assert (both.model.cell, both.model.hidden_size) == ("lstm", 24)  # the default again
    assert both.head == {"decoder": "toy"}
    assert task.unread(both) == []
    gru = load_settings(None, ["model.encoder=toy", "head.decoder=toy"], base=task.defaults)
    assert task.unread(gru) == ["model.cell"]  # that of the defaults, where nobody asks
    named = settings("head.decoder=toy", "head.bridge=tanh", "head.intra_attention=true")
    assert named.head["intra_attention"] is True
    assert task.unread(named) == ["head.intra_attention"]
    # In one and the same file both are meant.
    recipe.write_text('task = "translation"\n[head]\ndecoder = "toy"\ninput_feeding = true\n')
    assert task.unread(settings()) == ["head.input_feeding"]


def test_summaries_are_written_by_any_decoder(reports_corpus: Path) -> None:
    settings = small_summarization(reports_corpus, "train.epochs=2")
    tables = settings.model_dump()
    tables["head"] |= {"decoder": "toy"}
    tables["head"] = {
        key: value
        for key, value in tables["head"].items()
        if key not in ("attention", "decoder_layers_after")
    }
    made = seqnlp.train(Settings.model_validate(tables))
    [answer] = made.task.answer_texts(["On Monday Kalo lost a mill."], batch_size=1)
    assert answer.hypotheses[0].attention is not None


def test_the_command_line_names_both(
    capfd: pytest.CaptureFixture[str], pairs_corpus: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    sets = [word for item in SMALL_TRANSLATION if "engine" not in item for word in ("--set", item)]
    train = [
        "train", "--task", "translation", "--corpus", pairs_corpus, "--source", "de",
        "--target", "en", *sets, "--epochs", 1,
    ]  # fmt: skip
    status, _, err = call(capfd, *train, "--encoder", "toy", "--decoder", "toy")
    assert status == 0, err
    assert "from de to en, encoder toy, decoder toy, tokenizer regex" in err
    assert (tmp_path / "runs" / f"{pairs_corpus.name}-toy" / "bundle.json").is_file()
    for words, message in (
        (["--decoder", "tyo"], "no decoder is named 'tyo'; did you mean 'toy'?"),
        (["--encoder", "tyo"], "no encoder is named 'tyo'; did you mean 'toy'?"),
        (["--decoder", "toy", "--attention", "dot"], f"head.attention: {READ}"),
        (["--encoder", "toy", "--decoder", "toy", "--cell", "gru"],
         "model.cell: the encoder 'toy' does not read it"),
    ):  # fmt: skip
        status, _, err = call(capfd, *train, *words)
        assert status == 2
        assert message in err
    status, _, err = call(capfd, "train", "--task", "sentiment", "--decoder", "toy")
    assert status == 2
    assert "no key 'decoder'" in err
