"""Models behind HTTP: one or many texts in, answers out, batches made of whatever comes at once.

`make_app` makes an ASGI application of saved models, `seqnlp serve` runs one. Everything else in
this package needs the extra `serve`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from seqnlp.errors import MissingPackageError
from seqnlp.integrations.service.limits import Limits

if TYPE_CHECKING:
    from fastapi import FastAPI

    from seqnlp.bundle import Model

__all__ = ["Limits", "make_app", "require_packages"]


def make_app(
    models: Mapping[str, str | Path | Model],
    *,
    limits: Limits | None = None,
    token: str | None = None,
    quantize: str | None = None,
    engine: str | None = None,
    log: TextIO | None = None,
) -> FastAPI:
    """An ASGI application that answers with these models.

    Args:
        models: by the name in the path; folders are loaded now, and can be loaded again later.
        limits: what the service takes on.
        token: that clients must send as `Authorization: Bearer ...`.
        quantize: "int8" for models from folders; see `Model.quantize`.
        engine: that runs the recurrences of models from folders.
        log: where events go as lines of JSON; by default nowhere.

    Raises:
        MissingPackageError: the extra `serve` is not installed.
        InputError: a name that no path can have, or a model that cannot be served.
        BundleError: a folder is no model.
    """
    require_packages("fastapi", "prometheus_client")
    from seqnlp.integrations.service.app import build_app

    return build_app(
        models,
        limits=limits or Limits(),
        token=token,
        quantize=quantize,
        engine=engine,
        log=log,
    )


def require_packages(*names: str) -> None:
    """See that packages of the extra are there.

    Raises:
        MissingPackageError: one is not.
    """
    for name in names:
        if find_spec(name) is None:
            raise MissingPackageError(
                f"the service needs the package {name.replace('_', '-')}; "
                "pip install 'seqnlp[serve]'"
            )
