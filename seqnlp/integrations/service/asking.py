"""From a request to texts and a task, and from predictions to JSON."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from seqnlp.errors import InputError
from seqnlp.integrations.service import schemas
from seqnlp.integrations.service.limits import Limits
from seqnlp.integrations.service.models import Served
from seqnlp.integrations.service.refusals import RefusedError
from seqnlp.integrations.service.schemas import PredictRequest
from seqnlp.integrations.service.state import Service
from seqnlp.records import label_record, text_record
from seqnlp.tasks.base import Task
from seqnlp.tasks.word_attention import WordAttention, word_attention
from seqnlp.tasks.writing_task import WritingTask
from seqnlp.types import Prediction

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


_LONGEST = 100
"""Characters of a place in a body that are said."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a request asks of which model; `task` decodes as the request says."""

    served: Served
    task: Task
    texts: Sequence[str]
    explain: bool

    @property
    def alone(self) -> bool:
        """Whether the texts may share no batch: draws have streams by their place in it."""
        return bool(getattr(self.task.decoding, "sample", False))

    def record(self, text: str, answer: Prediction) -> dict[str, object]:
        """An answer with the fields of `seqnlp predict --format jsonl`."""
        if self.task.decoding is None:
            return label_record(text, answer)
        record = text_record(text, answer, maps=self.explain)
        if self.explain and isinstance(self.task, WritingTask):
            found = word_attention(answer, self.task.pipelines)
            record["words"] = None if found is None else _word_record(found)
        return record

    async def response(self, answers: Sequence[Prediction]) -> bytes:
        """The body of a response, in JSON. Explanations are long, and are made beside the loop."""
        return await asyncio.to_thread(self._body, answers) if self.explain else self._body(answers)

    def _body(self, answers: Sequence[Prediction]) -> bytes:
        records = [self.record(*each) for each in zip(self.texts, answers, strict=True)]
        return to_json({"model": self.served.name, "answers": records})


async def read_asked(
    request: Request, service: Service, schema: type[schemas.Request] = PredictRequest
) -> Asked:
    """What a request asks.

    Args:
        schema: of its body.

    Raises:
        RefusedError: 404, 408, 413 or 422.
    """
    served = service.model(request.path_params["model"])
    body = await read_body(request, service.limits)
    try:
        wanted = schema.model_validate_json(body)
    except ValidationError as error:
        raise invalid(error) from error
    texts = wanted.asked()
    check_texts(texts, service.limits)
    try:
        task = served.task_for(wanted.chosen())
    except InputError as error:
        raise RefusedError(422, "bad_options", str(error)) from error
    return Asked(served=served, task=task, texts=texts, explain=wanted.explain)


async def read_body(request: Request, limits: Limits) -> bytes:
    """The whole body.

    Raises:
        RefusedError: 413, it is too long; 408, it does not come.
    """
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limits.max_body:
        raise _too_large(limits)
    chunks, size = [], 0
    try:
        async with asyncio.timeout(limits.timeout):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limits.max_body:
                    raise _too_large(limits)
                chunks.append(chunk)
    except TimeoutError as error:
        raise RefusedError(
            408, "slow_body", f"the body has not come within {limits.timeout:g} s",
            headers={"Connection": "close"},
        ) from error  # fmt: skip
    return b"".join(chunks)


def check_texts(texts: Sequence[str], limits: Limits) -> None:
    """See that texts are neither too many nor too long.

    Raises:
        RefusedError: 413.
    """
    if len(texts) > limits.max_texts:
        raise RefusedError(
            413,
            "too_many_texts",
            f"{len(texts)} texts in a request; at most {limits.max_texts} are taken",
        )
    for number, text in enumerate(texts):
        if len(text) > limits.max_chars:
            raise RefusedError(
                413,
                "text_too_long",
                f"texts[{number}] has {len(text)} characters; at most {limits.max_chars} are taken",
            )


async def predict(service: Service, asked: Asked) -> list[Prediction]:
    """The answers, in a batch with whatever else has come.

    Raises:
        RefusedError: 503 or 504, see `Dispatcher`; 422, a text that the task cannot read.
    """
    try:
        return await service.dispatcher.answer(
            asked.served.name, asked.task, asked.texts, alone=asked.alone
        )
    except InputError as error:
        raise RefusedError(422, "bad_text", str(error)) from error


def _word_record(found: WordAttention) -> dict[str, object]:
    weights = [[round(float(weight), 4) for weight in row] for row in found.weights]
    return {"source": list(found.source), "output": list(found.words), "attention": weights}


def to_json(value: Mapping[str, Any]) -> bytes:
    """JSON in UTF-8; a number that JSON does not know is null."""
    try:
        return _encode(value).encode("utf-8", "replace")
    except ValueError:
        return to_json(_finite(value))


def json_response(value: Mapping[str, Any], status: int = 200) -> Response:
    """The same as a response."""
    return json_bytes(to_json(value), status)


def json_bytes(body: bytes, status: int = 200) -> Response:
    """JSON as a response."""
    return Response(body, status, None, "application/json")


def invalid(error: ValidationError) -> RefusedError:
    """What is wrong with a body, without what stands in it."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    # A key may be anything; a message is a line.
    where = ".".join(ascii(part)[1:-1] if type(part) is str else str(part) for part in first["loc"])
    where = where if len(where) <= _LONGEST else f"{where[:_LONGEST]}..."
    message = first["msg"]
    if first["type"] == "extra_forbidden":
        message = "there is no such key"
    return RefusedError(422, "invalid_request", f"{where}: {message}" if where else message)


def _too_large(limits: Limits) -> RefusedError:
    return RefusedError(
        413, "body_too_large", f"the body has over {limits.max_body} bytes, which is the most"
    )


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
