"""The routes, and the OpenAPI document that describes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute, APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from seqnlp.bundle import Model
from seqnlp.integrations.service.asking import json_bytes, json_response, predict, read_asked
from seqnlp.integrations.service.describing import describe
from seqnlp.integrations.service.document import document
from seqnlp.integrations.service.gate import Gate, Handler, Shortcut
from seqnlp.integrations.service.limits import Limits
from seqnlp.integrations.service.metrics import CONTENT_TYPE
from seqnlp.integrations.service.page import page_response
from seqnlp.integrations.service.refusals import RefusedError
from seqnlp.integrations.service.schemas import (
    ErrorBody,
    Health,
    ModelInfo,
    ModelList,
    PredictRequest,
    PredictResponse,
    StreamRequest,
)
from seqnlp.integrations.service.state import Service
from seqnlp.integrations.service.streaming import CONTENT_TYPE as EVENTS
from seqnlp.integrations.service.streaming import EVENT_SCHEMA, stream

_WORDS = {404: "no_route", 405: "wrong_method"}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Responses for the document: errors of these statuses."""
    return {status: {"model": ErrorBody} for status in statuses}


def build_app(
    models: Mapping[str, str | Path | Model],
    *,
    limits: Limits,
    token: str | None,
    quantize: str | None,
    engine: str | None,
    log: TextIO | None,
) -> FastAPI:
    """See `make_app`. `app.state.service` is what its routes share."""
    service = Service(models, limits=limits, token=token, quantize=quantize, engine=engine, log=log)
    app = FastAPI(
        title="seqnlp",
        version=version("seqnlp"),
        description="Answers of trained models.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    app.state.service = service
    app.openapi = cache(partial(document, app, service))  # type: ignore[method-assign]
    answer = _answering(service)
    # The one that is added last is the outermost.
    app.add_middleware(Shortcut, handlers={"predict": answer})
    app.add_middleware(Gate, service=service)
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_api_route("/", _page, methods=["GET", "HEAD"], include_in_schema=False)
    app.include_router(_health(service))
    app.include_router(_models(service, answer))
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    app.state.service.dispatcher.close()
    app.state.service.log.flush()


def _health(service: Service) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/health/live", response_model=Health)
    async def live() -> Response:
        """Whether the process answers at all."""
        return json_response({"status": "live"})

    @router.get("/health/ready", response_model=Health, responses=errors(503))
    async def ready() -> Response:
        """Whether requests are taken on: not while the service ends."""
        if service.draining:
            raise RefusedError(503, "draining", "the service is ending")
        return json_response({"status": "ready"})

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}, **errors(401)},
    )
    async def metrics() -> Response:
        """Figures in the format of Prometheus."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)

    return router


def _answering(service: Service) -> Handler:
    async def answer(request: Request) -> Response:
        asked = await read_asked(request, service)
        request.scope["seqnlp"] = {"texts": len(asked.texts)}
        answers = await predict(service, asked)
        return json_bytes(await asked.response(answers))

    return answer


def _models(service: Service, answer: Handler) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["models"])

    @router.get("/models", response_model=ModelList, responses=errors(401, 429, 503))
    async def models() -> Response:
        """All models."""
        return json_response({"models": [describe(each) for each in service.models.values()]})

    @router.get("/{model}", response_model=ModelInfo, responses=errors(401, 404, 429, 503))
    async def one(model: str) -> Response:
        """What a model is."""
        return json_response(describe(service.model(model)))

    @router.post(
        "/{model}/reload", response_model=ModelInfo, responses=errors(401, 404, 409, 422, 429, 503)
    )
    async def reload(model: str) -> Response:
        """Load a model from its folder again; until that is done, the old one answers."""
        return json_response(describe(await service.reload(model)))

    def documented(model: str, body: PredictRequest) -> None:
        """Answer one text or several, in their order.

        Texts of several requests are answered together where they come at once.
        """

    router.add_api_route(
        "/{model}/predict",
        documented,
        methods=["POST"],
        name="predict",
        response_model=PredictResponse,
        responses=errors(401, 404, 408, 413, 422, 429, 503, 504),
        route_class_override=direct(answer),
    )

    async def answer_stream(request: Request) -> Response:
        return await stream(request, service)

    def documented_stream(model: str, body: StreamRequest) -> None:
        """Answer one text as server-sent events.

        `token` has the tokens that have become certain and the text so far; `answer`, the last
        event, is what `predict` answers; `error` comes last in its place.
        """

    router.add_api_route(
        "/{model}/stream",
        documented_stream,
        methods=["POST"],
        name="stream",
        response_class=StreamingResponse,
        responses={
            200: {"content": {EVENTS: {"schema": EVENT_SCHEMA}}},
            **errors(401, 404, 408, 413, 422, 429, 503),
        },
        route_class_override=direct(answer_stream),
    )
    return router


def direct(handler: Handler) -> type[APIRoute]:
    """Routes that are in the document by their signature and answered by `handler`.

    What FastAPI does between the two, reading, checking and converting, is the handler's affair.
    """

    class Direct(APIRoute):
        def get_route_handler(self) -> Handler:
            return handler

    return Direct


async def _page() -> Response:
    """A page to try the models on."""
    return page_response()


async def _refused(request: Request, refused: Exception) -> Response:
    assert isinstance(refused, RefusedError)
    return refused.response()


async def _http_error(request: Request, error: Exception) -> Response:
    """What the router refuses: no such path, or another method."""
    assert isinstance(error, HTTPException)
    code = _WORDS.get(error.status_code, "refused")
    refused = RefusedError(
        error.status_code,
        code,
        f"{request.method} {request.url.path}: {error.detail}; /openapi.json lists what there is",
        headers=error.headers,
    )
    return refused.response()
