"""What a service answers: the same as the library and the command line; and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from starlette.testclient import TestClient

import seqnlp
from seqnlp.bundle import Model
from seqnlp.errors import InputError
from seqnlp.integrations.service import Limits, make_app
from seqnlp.integrations.service.schemas import PredictRequest
from seqnlp.types import Prediction
from tests.cli.calling import call

TEXTS = ["The film was dull and then great .", "", "The room was awful and then weak ."]
SENTENCE = "Der Hund will den Ball sehen ."
LIMITS = Limits(max_body=5000, max_chars=100, max_texts=3, timeout=20)


@pytest.fixture(scope="module")
def client(toy_run: Path, pairs_run: Path, extracts_run: Path) -> Iterator[TestClient]:
    runs = {"toy": toy_run, "de-en": pairs_run, "sentences": extracts_run}
    with TestClient(make_app(runs, limits=LIMITS)) as made:
        yield made


def ask(client: TestClient, model: str, value: object) -> tuple[int, Any]:
    response = client.post(f"/v1/{model}/predict", json=value)
    assert response.headers["content-type"] == "application/json"
    return response.status_code, response.json()


def refused(client: TestClient, value: object, model: str = "toy") -> tuple[int, str, str]:
    status, body = ask(client, model, value)
    assert list(body) == ["error"]
    assert body["error"]["status"] == status
    return status, body["error"]["code"], body["error"]["message"]


def test_the_answers_are_those_of_the_library_and_of_the_command_line(
    client: TestClient, toy_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    status, body = ask(client, "toy", {"texts": TEXTS})
    assert (status, body["model"]) == (200, "toy")
    model = seqnlp.load(toy_run)
    for text, answer in zip(TEXTS, body["answers"], strict=True):
        known = model(text)
        assert (answer["text"], answer["label"]) == (text, known.output)
        assert answer["probabilities"] == pytest.approx(known.probabilities, abs=1e-6)
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS) + "\n")
    _, out, _ = call(capfd, "predict", toy_run, tmp_path / "texts.txt", "--format", "jsonl")
    assert body["answers"] == [json.loads(line) for line in out.splitlines()]
    alone = ask(client, "toy", {"text": TEXTS[0]})[1]["answers"]
    assert [answer["label"] for answer in alone] == [body["answers"][0]["label"]]


def test_texts_are_written_as_on_the_command_line(
    client: TestClient, pairs_run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = {"beam": 3, "n_best": 2}
    status, body = ask(client, "de-en", {"text": SENTENCE, "options": options})
    _, out, _ = call(
        capfd, "predict", pairs_run, SENTENCE, "--beam", 3, "--n-best", 2, "--format", "jsonl"
    )
    assert status == 200
    assert body["answers"] == [json.loads(out)]
    assert len(body["answers"][0]["hypotheses"]) == 2


def test_options_of_one_request_change_no_other(client: TestClient) -> None:
    def hypotheses() -> int:
        return len(ask(client, "de-en", {"text": SENTENCE})[1]["answers"][0]["hypotheses"])

    before = hypotheses()
    ask(client, "de-en", {"text": SENTENCE, "options": {"beam": 4, "n_best": 4}})
    assert hypotheses() == before == 1
    assert client.get("/v1/de-en").json()["options"]["beam"] == 1


def test_draws_depend_on_nothing_beside_them(client: TestClient) -> None:
    drawn = {"sample": True, "seed": 3, "temperature": 2.0}
    one = ask(client, "de-en", {"text": SENTENCE, "options": drawn})[1]["answers"]
    two = ask(client, "de-en", {"texts": [SENTENCE, "Die Katze ."], "options": drawn})[1]["answers"]
    assert one[0]["hypotheses"][0]["tokens"] == two[0]["hypotheses"][0]["tokens"]
    usual = ask(client, "de-en", {"text": SENTENCE})[1]["answers"]
    assert one[0]["output"] != usual[0]["output"]


def test_attention_comes_when_it_is_asked_for(client: TestClient) -> None:
    (plain,) = ask(client, "de-en", {"text": SENTENCE})[1]["answers"]
    assert "attention" not in plain["hypotheses"][0]
    (full,) = ask(client, "de-en", {"text": SENTENCE, "explain": True})[1]["answers"]
    (found,) = full["hypotheses"]
    assert len(found["attention"]) == len(found["tokens"]) + 1
    for row in found["attention"]:
        assert len(row) == len(full["source_tokens"])
        assert sum(row) == pytest.approx(1, abs=0.01)


def test_extracts_take_their_options(client: TestClient) -> None:
    text = "The mill has burned . Nobody was hurt . The police ask why ."
    asked = {"text": text, "options": {"sentences": 2}}
    status, body = ask(client, "sentences", asked)
    assert status == 200
    assert body["answers"][0]["output"].count(" .") == 2


def test_models_are_described(client: TestClient) -> None:
    listed = client.get("/v1/models").json()["models"]
    assert [model["name"] for model in listed] == ["toy", "de-en", "sentences"]
    toy = client.get("/v1/toy").json()
    assert toy == listed[0]
    assert (toy["task"], toy["labels"]) == ("sentiment", ["negative", "positive"])
    assert toy["figures"]["split"] == "test"
    assert 0 <= toy["figures"]["accuracy"]["value"] <= 1
    assert (toy["generates"], listed[1]["generates"]) == (False, True)
    assert listed[1]["options"]["length_penalty"] == 1.0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({}, (422, "invalid_request", "give either text or texts")),
        ({"text": "a", "texts": ["b"]}, (422, "invalid_request", "give either text or texts")),
        ({"text": 3}, (422, "invalid_request", "text: Input should be a valid string")),
        ({"text": None}, (422, "invalid_request", "text: Input should be a valid string")),
        ({"texts": ["a", 1]}, (422, "invalid_request", "texts.1: Input should be a valid string")),
        ({"text": "a", "textt": 1}, (422, "invalid_request", "textt: there is no such key")),
        (
            {"text": "a", "options": {"beams": 2}},
            (422, "invalid_request", "options.beams: there is no such key"),
        ),
        (
            {"text": "a", "options": {"beam": 1000}},
            (422, "invalid_request", "options.beam: Input should be less than or equal to 32"),
        ),
        (
            {"text": "a", "options": {"beam": 2}},
            (
                422,
                "bad_options",
                "options: the task 'sentiment' writes no texts, so there is nothing to set by beam",
            ),
        ),
        (
            {"texts": ["a"] * 4},
            (413, "too_many_texts", "4 texts in a request; at most 3 are taken"),
        ),
        (
            {"texts": ["a", "b" * 101]},
            (413, "text_too_long", "texts[1] has 101 characters; at most 100 are taken"),
        ),
        (
            {"text": "a" * 6000},
            (413, "body_too_large", "the body has over 5000 bytes, which is the most"),
        ),
        ([1], (422, "invalid_request", "Input should be an object")),
    ],
)
def test_what_cannot_be_answered_is_refused_in_one_line(
    client: TestClient, value: object, expected: tuple[int, str, str]
) -> None:
    assert refused(client, value) == expected


def test_options_are_checked_as_on_the_command_line(client: TestClient) -> None:
    asked = {"text": "a", "options": {"n_best": 2}}
    status, code, message = refused(client, asked, "de-en")
    assert (status, code) == (422, "bad_options")
    assert message == "options: n_best: at most beam, which is 1, not 2"
    status, code, message = refused(client, {"text": "a", "options": {"sentences": 2}}, "de-en")
    assert (status, code) == (422, "bad_options")
    assert "no key 'sentences'" in message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "Invalid JSON: EOF while parsing a value at line 1 column 0"),
        (b"\xff", "Invalid JSON: expected value at line 1 column 1"),
        (b'{"text": "\\ud800"}', "Invalid JSON: "),
        (b"[" * 3000, "Invalid JSON: recursion limit exceeded at line 1 column 20"),
    ],
)
def test_bytes_that_are_no_json_are_refused(client: TestClient, body: bytes, message: str) -> None:
    response = client.post("/v1/toy/predict", content=body)
    assert response.status_code == 422
    assert response.json()["error"]["message"].startswith(message)


def test_of_a_long_list_of_wrong_texts_one_is_complained_of() -> None:
    with pytest.raises(ValidationError) as caught:
        PredictRequest.model_validate_json('{"texts": [' + "1, " * 1000 + "1]}")
    assert caught.value.error_count() == 1


def test_of_many_wrong_keys_a_hundred_are_looked_at() -> None:
    keys = json.dumps(dict.fromkeys(map(str, range(1000))))
    for body in (keys, f'{{"text": "a", "options": {keys}}}'):
        with pytest.raises(ValidationError) as caught:
            PredictRequest.model_validate_json(body)
        assert caught.value.error_count() == 100


def test_a_body_in_pieces_is_measured_as_it_comes(client: TestClient) -> None:
    def pieces(count: int) -> Iterator[bytes]:
        yield b'{"text": "'
        for _ in range(count):
            yield b" " * 90
        yield b'"}'

    assert client.post("/v1/toy/predict", content=pieces(1)).status_code == 200
    response = client.post("/v1/toy/predict", content=pieces(60))
    assert (response.status_code, response.json()["error"]["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("POST", "/v1/tony/predict", 404, "no model 'tony'; did you mean 'toy'? known: de-en, sentences, toy"),
        ("GET", "/v1/tony", 404, "no model 'tony'; did you mean 'toy'? known: de-en, sentences, toy"),
        ("GET", "/v2", 404, "GET /v2: Not Found; /openapi.json lists what there is"),
        ("POST", "/v1/toy/predict/", 404, "POST /v1/toy/predict/: Not Found; /openapi.json lists what there is"),
        ("GET", "/v1/toy/predict", 405, "GET /v1/toy/predict: Method Not Allowed; /openapi.json lists what there is"),
    ],
)  # fmt: skip
def test_paths_that_lead_nowhere(
    client: TestClient, method: str, path: str, status: int, message: str
) -> None:
    response = client.request(method, path, json={"text": "a"})
    assert response.status_code == status
    assert response.json()["error"]["message"] == message
    assert status != 405 or response.headers["allow"] == "POST"


def test_what_a_task_cannot_read_is_refused_and_what_breaks_is_hidden(toy_run: Path) -> None:
    model = seqnlp.load(toy_run)

    def answer_texts(texts: list[str], *, batch_size: int) -> list[Prediction]:
        raise InputError("this is no sentence") if texts == ["bad"] else RuntimeError("secret")

    model.task.answer_texts = answer_texts  # type: ignore[method-assign, assignment]
    client = TestClient(make_app({"toy": model}))
    assert refused(client, {"text": "bad"}) == (422, "bad_text", "this is no sentence")
    status, code, message = refused(client, {"text": "worse"})
    assert (status, code) == (500, "internal")
    assert message.startswith("something went wrong here; id ")


def test_numbers_that_json_has_not_are_null(toy_run: Path) -> None:
    model = seqnlp.load(toy_run)
    odd = Prediction(output="positive", probabilities={"positive": float("nan"), "negative": 0.5})
    model.task.answer_texts = lambda texts, *, batch_size: [odd]  # type: ignore[method-assign]
    client = TestClient(make_app({"toy": model}))
    (answer,) = ask(client, "toy", {"text": "a"})[1]["answers"]
    assert answer["probabilities"] == {"positive": None, "negative": 0.5}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("models", "'models' is the list of all; NAME=FOLDER gives a model another name"),
        ("a b", "'a b' cannot be the name of a model here: letters, digits, '.', '_' and '-', 100 at most; NAME=FOLDER gives another"),
        ("", "'' cannot be the name of a model here: letters, digits, '.', '_' and '-', 100 at most; NAME=FOLDER gives another"),
    ],
)  # fmt: skip
def test_names_that_no_path_can_have(toy_run: Path, name: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        make_app({name: toy_run})
    assert str(caught.value) == message


def test_models_that_open_files_are_not_served(toy_run: Path) -> None:
    model = seqnlp.load(toy_run)
    model.task.reads_files = True  # type: ignore[misc]
    with pytest.raises(
        InputError,
        match="^toy: the task 'sentiment' reads files by their paths, which no client of a service may name$",
    ):
        make_app({"toy": model})
    with pytest.raises(InputError, match="^a service needs at least one model$"):
        make_app({})


def test_the_document_says_what_is_taken(client: TestClient, toy_run: Path) -> None:
    document = client.get("/openapi.json").json()
    text = document["components"]["schemas"]["PredictRequest"]["properties"]
    assert text["text"]["maxLength"] == text["texts"]["items"]["maxLength"] == 100
    assert text["texts"]["maxItems"] == 3
    assert "security" not in document["paths"]["/v1/models"]["get"]
    assert "HTTPValidationError" not in json.dumps(document)
    statuses = set(document["paths"]["/v1/{model}/predict"]["post"]["responses"])
    assert {"200", "404", "413", "422", "503", "504"} <= statuses
    model: Model = seqnlp.load(toy_run)
    guarded = make_app({"toy": model}, token="secret").openapi()
    assert guarded["paths"]["/v1/models"]["get"]["security"] == [{"token": []}]
    assert "security" not in guarded["paths"]["/health/live"]["get"]
