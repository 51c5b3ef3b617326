"""A whole model: what is measured, and that it stays as it is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from seqnlp import registry
from seqnlp.bundle import load
from seqnlp.config import load_settings
from seqnlp.data.corpus import Corpus, open_corpus
from seqnlp.diagnosis import diagnose
from seqnlp.diagnosis.report import short_names
from seqnlp.errors import InputError
from seqnlp.tasks.base import Task
from seqnlp.training.preparation import complete

PROBLEMS = [
    "adding:100,train=32,validation=8,test=8",
    "copy_memory:100,train=32,validation=8,test=8",
]


def untrained(problem: str, *overrides: str, radius: float = 1.0) -> tuple[Task, Corpus]:
    """A network that has not learned yet, its recurrent weights scaled."""
    kind = registry.tasks.get("long_range")
    given = ["task=long_range", f'corpus.name="{problem}"', "model.hidden_size=32",
             "model.engine=reference", *overrides]  # fmt: skip
    settings = complete(load_settings(None, given, base=kind.defaults))
    corpus = open_corpus(problem, fields=kind.fields)
    torch.manual_seed(0)
    task: Task = kind.create(settings, corpus)
    with torch.no_grad():
        for name, weight in task.named_parameters():
            if name.endswith("weight_h"):
                weight *= radius
    return task, corpus


IDENTITY = ["model.cell=rnn", "model.cell_options.activation=identity"]


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize(
    ("overrides", "radius", "character"),
    [
        (["model.cell=rnn"], 0.5, "vanishes"),
        (["model.cell=rnn"], 4.0, "explodes"),
        (IDENTITY, 0.8, "vanishes"),
        (IDENTITY, 1.0, "carries"),
        (IDENTITY, 1.3, "explodes"),
        (["model.cell=irnn"], 1.0, "carries"),
        (["model.cell=lstm", "model.forget_bias=6"], 1.0, "carries"),
        (["model.cell=lstm", "model.forget_bias=-2"], 1.0, "vanishes"),
    ],
)
def test_verdicts_agree_with_theory(
    problem: str, overrides: list[str], radius: float, character: str
) -> None:
    """A plain network vanishes or explodes by its radius; identities and open forget gates carry.

    Pascanu et al. 2013; Le et al. 2015; Hochreiter and Schmidhuber 1997 with Gers et al. 2000.
    """
    task, corpus = untrained(problem, *overrides, radius=radius)
    found = diagnose(task, corpus, examples=16)
    (layer,) = found.layers
    assert layer.character == character
    assert found.verdicts[0].kind == character
    if "cell=rnn" in overrides[0]:
        assert layer.blocks[0].radius == pytest.approx(radius, rel=1e-4)
    if "cell=rnn" in overrides[0] and character != "carries":
        assert "the recurrent weight's spectral radius is" in found.verdicts[0].text


def test_a_diagnosis_has_all_figures_as_json(toy_run: Path) -> None:
    found = diagnose(load(toy_run), examples=10)
    assert (found.split, found.rows) == ("train", 10)
    values = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert [each["name"] for each in values["layers"]] == [
        "encoder layer 1 forward", "encoder layer 1 backward",
    ]  # fmt: skip
    first = values["layers"][0]
    assert first["cell"] == "LSTMCell"
    assert first["character"] == found.layers[0].character
    assert first["flow"]["carry"][0] == 1
    assert len(first["flow"]["carry"]) == first["flow"]["steps"] + 1 == len(first["flow"]["state"])
    assert {"factor", "half_life", "vanishes_at", "explodes_at"} <= first["flow"].keys()
    assert [each["name"] for each in first["blocks"]] == ["input", "forget", "candidate", "output"]
    assert values["verdicts"][0].keys() == {"kind", "level", "where", "text", "remedy"}
    assert all(each["gradient"] > 0 for each in values["weights"] if each["norm"])
    assert (values["clipping"], values["epoch"], values["step"]) == (None, None, None)


def test_what_is_not_finite_is_none_in_json() -> None:
    task, corpus = untrained("adding:20,train=32,validation=8,test=8", "model.cell=rnn")
    with torch.no_grad():
        next(task.parameters()).fill_(torch.nan)
    found = diagnose(task, corpus)
    assert [each.kind for each in found.verdicts] == ["loss"]
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["loss"] is None
    assert found.layers[0].character == "unknown"


def test_the_model_is_left_as_it_is(toy_run: Path) -> None:
    model = load(toy_run)
    model.task.train()
    weights = {name: each.clone() for name, each in model.task.state_dict().items()}
    before = torch.get_rng_state()
    first = diagnose(model)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.task.training
    assert all(torch.equal(each, weights[name]) for name, each in model.task.state_dict().items())
    assert diagnose(model) == first
    assert diagnose(model.task) == first


def test_gradients_of_weights_are_autograds() -> None:
    task, corpus = untrained("adding:20,train=8,validation=8,test=8", "model.cell=gru")
    found = diagnose(task, corpus, examples=100)
    rows = task.read(corpus.split("train"), training=True)
    task.loss(rows.batch(np.arange(8))).mean.backward()
    wanted = {name: (each.grad.norm() / each.detach().norm()).item()
              for name, each in task.named_parameters() if each.grad is not None and each.any()}  # fmt: skip
    assert {each.name: each.gradient for each in found.weights if each.norm} == pytest.approx(
        wanted, rel=1e-4
    )


def test_encoder_and_decoder_are_told_apart(pairs_run: Path) -> None:
    found = diagnose(load(pairs_run), examples=8)
    assert [layer.name for layer in found.layers] == [
        "encoder layer 1 forward", "encoder layer 1 backward", "decoder layer 1",
        "decoder layers_after 1",
    ]  # fmt: skip
    assert all(layer.flow.state[0] > 0 for layer in found.layers)


def test_examples_and_span_bound_the_work(toy_run: Path) -> None:
    model = load(toy_run)
    found = diagnose(model, examples=3, span=2)
    assert (found.rows, found.layers[0].flow.steps) == (3, 2)
    message = "examples and span must be at least 1, not 0 and 5"
    with pytest.raises(InputError, match=re.escape(message)):
        diagnose(model, examples=0, span=5)
    with pytest.raises(InputError, match="has no tests split; did you mean 'test'"):
        diagnose(model, split="tests")


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["encoder.layers.0"], ["encoder layer 1"]),
        (["members.0.encoder.layers.0", "members.0.encoder.layers.1"], ["encoder layer 1", "encoder layer 2"]),
        (["members.0.encoder.layers.0", "members.1.encoder.layers.0"],
         ["member 1 encoder layer 1", "member 2 encoder layer 1"]),
        (["reader.inner"], ["reader inner"]),
    ],
)  # fmt: skip
def test_layers_have_names_that_people_use(paths: list[str], names: list[str]) -> None:
    assert list(short_names(paths).values()) == names
