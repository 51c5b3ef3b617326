"""A small Hugging Face Hub on this machine: repositories of models, in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of-the-owner"


@dataclass
class Repository:
    """commits: name to files. refs: branch to commit."""

    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"0" * 40: {}})
    refs: dict[str, str] = field(default_factory=lambda: {"main": "0" * 40})
    messages: list[str] = field(default_factory=list)

    def commit(self, branch: str, files: dict[str, bytes], message: str) -> str:
        oid = hashlib.sha1(repr((message, sorted(files.items()))).encode()).hexdigest()
        self.commits[oid], self.refs[branch] = files, oid
        self.messages.append(message)
        return oid


@dataclass
class Hub:
    """What is on it, what was uploaded as a large file, and what was asked for."""

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    broken: bool = False


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._handle()

    do_POST = do_PUT = do_HEAD = do_GET

    def _handle(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        if self.hub.broken:
            self._answer(503, {})
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path == "/api/validate-yaml":
            self._answer(200, {"errors": [], "warnings": []})
        elif path.startswith("/upload/"):
            self.hub.large[path.rpartition("/")[2]] = body
            self._answer(200, {})
        elif path.startswith("/api/models/"):
            owner, name, *rest = path.removeprefix("/api/models/").split("/")
            self._model(f"{owner}/{name}", rest, body)
        elif path.startswith("/api/"):  # the client asks for what is new, too
            self._answer(404, {})
        elif path.endswith("/info/lfs/objects/batch"):
            self._large(json.loads(body))
        else:
            owner, name, verb, revision, *file = path.strip("/").split("/")
            assert verb == "resolve", path
            self._file(f"{owner}/{name}", revision, "/".join(file))

    @property
    def _owner(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        if not self._owner:
            self._answer(401, {"error": "Invalid credentials"})
        elif len(name) > 50:
            self._answer(400, {"error": "This name is\ntoo long"})
        elif name in self.hub.repositories:
            self._answer(409, {"url": f"{self.hub.url}/{name}", "error": "exists"})
        else:
            private = asked.get("visibility") == "private" or bool(asked.get("private"))
            self.hub.repositories[name] = Repository(private=private)
            self._answer(200, {"url": f"{self.hub.url}/{name}"})

    def _find(self, name: str, revision: str) -> tuple[Repository, str] | None:
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.private and not self._owner):
            self._refuse("RepoNotFound", 401)
        elif repository.gated and not self._owner:
            self._refuse("GatedRepo", 403)
        elif (commit := repository.refs.get(revision, revision)) not in repository.commits:
            self._refuse("RevisionNotFound", 404)
        else:
            return repository, commit
        return None

    def _model(self, name: str, rest: list[str], body: bytes) -> None:
        verb, revision = rest[0] if rest else "revision", rest[1] if len(rest) > 1 else "main"
        found = self._find(name, "main" if verb == "branch" else revision)
        if found is None:
            return
        repository, commit = found
        files = repository.commits[commit]
        if verb == "revision":
            siblings = [{"rfilename": path, "size": self._size(path, data)} for path, data in files.items()]  # fmt: skip
            self._answer(200, {"id": name, "sha": commit, "siblings": siblings, "private": repository.private})  # fmt: skip
        elif verb == "tree":
            self._answer(200, [
                {"type": "file", "path": path, "size": len(data), "oid": _oid(data)}
                for path, data in files.items()
            ])  # fmt: skip
        elif verb == "preupload":
            self._answer(200, {"files": [
                {"path": each["path"], "shouldIgnore": False,
                 "uploadMode": "lfs" if each["path"].endswith(".safetensors") else "regular"}
                for each in json.loads(body)["files"]
            ]})  # fmt: skip
        elif not self._owner:
            self._answer(403, {"error": "no right to write"})
        elif verb == "branch":
            repository.refs[revision] = commit
            self._answer(200, {})
        else:
            assert verb == "commit", verb
            self._commit(name, repository, revision, body)

    def _commit(self, name: str, repository: Repository, branch: str, body: bytes) -> None:
        files, message = dict(repository.commits[repository.refs[branch]]), ""
        for line in body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "header":
                message = value["summary"]
            elif item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
            else:
                assert item["key"] == "deletedFile", item["key"]
                del files[value["path"]]
        oid = repository.commit(branch, files, message)
        url = f"{self.hub.url}/{name}/commit/{oid}"
        self._answer(200, {"commitOid": oid, "commitUrl": url, "success": True})

    def _large(self, asked: dict[str, Any]) -> None:
        objects = [
            {**each, "actions": {"upload": {"href": f"{self.hub.url}/upload/{each['oid']}"}}}
            for each in asked["objects"]
        ]
        self._answer(200, {"transfer": "basic", "objects": objects})

    def _file(self, name: str, revision: str, path: str) -> None:
        if (found := self._find(name, revision)) is None:
            return
        repository, commit = found
        if path not in repository.commits[commit]:
            self._refuse("EntryNotFound", 404)
            return
        data = repository.commits[commit][path]
        self._answer(200, data, {"X-Repo-Commit": commit, "ETag": f'"{_oid(data)}"'})

    def _size(self, path: str, data: bytes) -> int:
        return self.hub.sizes.get(path, len(data))

    def _refuse(self, code: str, status: int) -> None:
        self._answer(status, {"error": code}, {"X-Error-Code": code, "X-Error-Message": code})

    def _answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        for name, value in {"Content-Type": kind, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _oid(data: bytes) -> str:
    """As git names a blob."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class _Server(ThreadingHTTPServer):
    errors: list[BaseException]

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep what goes wrong, for `serve_hub`."""
        error = sys.exception()
        assert error is not None
        # A client that has an answer may leave without a word.
        if not isinstance(error, ConnectionError):
            self.errors.append(error)


@contextmanager
def serve_hub() -> Iterator[Hub]:
    """A Hub that answers on loopback until the block ends."""
    hub = Hub()
    server = _Server(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    server.daemon_threads, server.errors = True, []
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    if server.errors:
        raise server.errors[0]
