"""The page at `/`: one document that loads nothing but answers of its own service."""

from __future__ import annotations

from base64 import b64encode
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files

from starlette.responses import Response


@lru_cache(maxsize=1)
def page() -> tuple[bytes, dict[str, str]]:
    """The document in UTF-8, and the headers that keep it to itself."""
    style, script = _read("page.css"), _read("page.js") + _read("answers.js")
    document = _read("page.html").replace("{{style}}", style).replace("{{script}}", script)
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",
    }
    return document.encode(), headers


def page_response() -> Response:
    """The same as a response."""
    document, headers = page()
    return Response(document, headers=headers, media_type="text/html")


def _read(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """What a browser compares an inline element with."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
