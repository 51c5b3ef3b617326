"""Models that are loaded again while they answer."""

from __future__ import annotations

import asyncio
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import seqnlp
from seqnlp.errors import InputError
from seqnlp.integrations.service import make_app
from seqnlp.integrations.service.models import Served, names_of
from seqnlp.integrations.service.refusals import RefusedError

TEXT = "The film was dull and then great ."


@pytest.fixture
def folder(toy_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(toy_run, tmp_path / "model"))


def swap(folder: Path) -> None:
    """Another model in the folder: its labels are called otherwise."""
    model = seqnlp.load(folder)
    model.task.labels = ("no", "yes")  # type: ignore[assignment]
    model.save(folder)


def label(client: TestClient) -> str:
    found = client.post("/v1/model/predict", json={"text": TEXT}).json()["answers"][0]["label"]
    assert isinstance(found, str)
    return found


def test_the_new_model_answers_once_it_is_loaded(folder: Path) -> None:
    with TestClient(make_app({"model": folder})) as client:
        before = client.get("/v1/model").json()
        assert label(client) == "positive"
        swap(folder)
        assert label(client) == "positive"
        response = client.post("/v1/model/reload")
        assert (response.status_code, response.json()["labels"]) == (200, ["no", "yes"])
        assert response.json()["loaded_at"] > before["loaded_at"]
        assert label(client) == "yes"
        assert 'seqnlp_reloads_total{model="model",outcome="done"} 1.0' in (
            client.get("/metrics").text
        )


def test_a_broken_folder_leaves_the_model_that_was_there(folder: Path) -> None:
    with TestClient(make_app({"model": folder})) as client:
        weights = folder / "weights.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1])
        response = client.post("/v1/model/reload")
        assert response.status_code == 422
        assert response.json()["error"]["message"] == (
            f"{weights}: damaged: its checksum differs from bundle.json; the model that was there "
            "goes on answering"
        )
        assert label(client) == "positive"
        assert 'seqnlp_reloads_total{model="model",outcome="refused"} 1.0' in (
            client.get("/metrics").text
        )


def test_whatever_goes_wrong_the_model_that_was_there_stays(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = Served("model", folder)
    before = served.model

    def load(*_: object, **__: object) -> None:
        raise PermissionError("not for you")

    monkeypatch.setattr("seqnlp.integrations.service.models.load", load)
    with pytest.raises(RefusedError) as caught:
        asyncio.run(served.reload())
    assert caught.value.message == (
        f"{folder}: PermissionError: not for you; the model that was there goes on answering"
    )
    assert served.model is before


def test_a_model_without_a_folder_cannot_be_loaded_again(folder: Path) -> None:
    client = TestClient(make_app({"model": seqnlp.load(folder)}))
    response = client.post("/v1/model/reload")
    assert response.status_code == 409
    assert response.json()["error"]["message"] == "the model 'model' is not from a folder"


def test_a_model_that_breaks_at_its_first_answer_is_not_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(model: object, text: str) -> None:
        raise RuntimeError("no such product")

    served = Served("model", folder)
    monkeypatch.setattr(seqnlp.bundle.Model, "__call__", broken)
    with pytest.raises(InputError) as caught:
        Served("model", folder)
    message = f"{folder}: the model cannot answer: RuntimeError: no such product"
    assert str(caught.value) == message
    with pytest.raises(RefusedError, match="^" + message):
        asyncio.run(served.reload())


def test_the_old_model_answers_while_the_new_one_is_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app({"model": folder})
    served: Served = app.state.service.models["model"]
    begun, open_, loads = threading.Event(), threading.Event(), []
    usual = served._load

    def load() -> Any:
        loads.append(1)
        begun.set()
        assert open_.wait(10)
        return usual()

    monkeypatch.setattr(served, "_load", load)
    swap(folder)

    async def test() -> None:
        before = served.model
        # Two ask for it at once: it is loaded once, and one that goes away breaks nothing off.
        first, second = (asyncio.create_task(served.reload()) for _ in range(2))
        while not begun.is_set():
            await asyncio.sleep(0.001)
        task = served.task
        (answer,) = await app.state.service.dispatcher.answer("model", task, [TEXT])
        assert answer.output == "positive"
        assert served.model is before
        first.cancel()
        # What is being read may be older than what this one asks for.
        later = asyncio.create_task(served.reload())
        await asyncio.sleep(0)
        open_.set()
        await second
        assert served.model is not before
        await later

    asyncio.run(test())
    app.state.service.dispatcher.close()
    assert loads == [1, 1]


def test_options_are_those_of_the_model_that_is_there(pairs_run: Path) -> None:
    served = Served("m", pairs_run)
    wide = served.task_for({"beam": 3})
    assert served.task_for({"beam": 3}) is wide
    assert served.task_for({}) is served.task
    assert getattr(wide.decoding, "beam", 0) == 3
    asyncio.run(served.reload())
    again = served.task_for({"beam": 3})
    assert again is not wide
    first = {id(parameter) for parameter in again.parameters()}
    assert first == {id(parameter) for parameter in served.task.parameters()}
    for beam in range(1, 33):
        for penalty in (0.5, 1.5, 2.5):
            served.task_for({"beam": beam, "length_penalty": penalty})
    assert len(served._variants) == 64


def test_names_are_those_of_folders_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b").mkdir()
    assert names_of(("runs/x/", "other=runs/x", "a=b", "y")) == {
        "x": Path("runs/x"), "other": Path("runs/x"), "a=b": Path("a=b"), "y": Path("y"),
    }  # fmt: skip
    assert list(names_of((".",))) == [tmp_path.name]
    with pytest.raises(InputError) as caught:
        names_of(("runs/x", "old/x"))
    assert str(caught.value) == (
        "old/x: the model 'x' is there already, from runs/x; NAME=old/x gives it another name"
    )
