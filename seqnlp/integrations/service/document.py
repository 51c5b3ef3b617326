"""The OpenAPI document, made true: what this service takes, refuses and asks for."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from seqnlp.integrations.service.gate import OPEN
from seqnlp.integrations.service.state import Service

_VALIDATION = "HTTPValidationError"


def document(app: FastAPI, service: Service) -> dict[str, Any]:
    """The document of an application, with the limits of its texts and the token that it wants."""
    made = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    schemas = made["components"]["schemas"]
    # FastAPI's own errors, which nothing here gives: the handlers check what they are given.
    for name in (_VALIDATION, "ValidationError"):
        schemas.pop(name, None)
    for operations in made["paths"].values():
        for operation in operations.values():
            responses = operation["responses"]
            for status in [s for s, r in responses.items() if _VALIDATION in str(r)]:
                del responses[status]
    limits = service.limits
    for name in ("PredictRequest", "StreamRequest"):
        schemas[name]["properties"]["text"]["maxLength"] = limits.max_chars
    texts = schemas["PredictRequest"]["properties"]["texts"]
    texts["maxItems"], texts["items"]["maxLength"] = limits.max_texts, limits.max_chars
    if service.token is not None:
        made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path, operations in made["paths"].items():
            if path not in OPEN:
                for operation in operations.values():
                    operation["security"] = [{"token": []}]
    return made
