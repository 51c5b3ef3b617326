"""The hub and NLTK, by their real libraries: a hub on loopback and small corpora on disk."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqnlp.data import open_corpus
from seqnlp.errors import InputError, UnknownNameError
from seqnlp.types import Field

FIELDS = (Field(name="text", aliases=("text", "sentence")), Field(name="label"))
SHA = "0123456789abcdef0123456789abcdef01234567"
Repositories = Mapping[str, Mapping[str, bytes]]

OPEN = """
import json, sys, warnings
warnings.simplefilter("error")
from seqnlp.data import open_corpus
from seqnlp.errors import InputError
from seqnlp.types import Field
fields = (Field(name="text", aliases=("text", "sentence")), Field(name="label"))
for name in sys.argv[1:]:
    try:
        corpus = open_corpus(name, fields=fields)
    except InputError as error:
        print(json.dumps(str(error)))
        continue
    rows = {n: [[r["text"], r["label"], s.where(i)] for i, r in enumerate(s)]
            for n, s in corpus.splits.items()}
    print(json.dumps({"name": corpus.name, "rows": rows, "notes": corpus.notes,
                      "license": corpus.license}))
"""


def open_elsewhere(names: list[str], home: Path, **environment: str) -> list[Any]:
    """What `open_corpus` makes of the names in a process with an empty hub cache."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    finished = subprocess.run(
        [sys.executable, "-c", OPEN, *names],
        env={**clean, "HF_HOME": str(home / "hf"), "SEQNLP_CACHE": str(home / "cache"),
             "HF_DATASETS_DISABLE_PROGRESS_BARS": "1", **environment},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    return [json.loads(line) for line in finished.stdout.splitlines()]


class Hub(BaseHTTPRequestHandler):
    """The part of the hub's API that `datasets` calls to load a dataset."""

    repositories: Repositories

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _answer(self, body: bytes = b"") -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        api = parts[0] == "api"
        kind, *rest = parts[1:] if api else parts
        name, action, path = "/".join(rest[:2]), rest[2:3], "/".join(rest[4:])
        if kind != "datasets" or name not in self.repositories:
            return self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        files = self.repositories[name]
        if action == ["tree"]:
            return self._send_json(_listing(files, path))
        if action == ["paths-info"]:
            return self._send_json([_file(p, files[p]) for p in json.loads(body)["paths"]])
        if api:
            siblings = [{"rfilename": file} for file in files]
            return self._send_json({"id": name, "sha": SHA, "siblings": siblings})
        if path not in files:
            headers = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": SHA}
            return self._send(404, b"", headers)
        headers = {"ETag": f'"{_oid(files[path])}"', "X-Repo-Commit": SHA}
        return self._send(200, files[path], headers)

    def _send_json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, data: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _oid(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


def _file(path: str, data: bytes) -> dict[str, object]:
    return {"type": "file", "path": path, "size": len(data), "oid": _oid(data)}


def _listing(files: Mapping[str, bytes], folder: str) -> list[dict[str, object]]:
    """The files right in a folder, and its folders."""
    prefix = f"{folder}/" if folder else ""
    inside = {path: path[len(prefix) :] for path in files if path.startswith(prefix)}
    folders = {prefix + rest.partition("/")[0] for rest in inside.values() if "/" in rest}
    return [
        *(_file(path, files[path]) for path, rest in inside.items() if "/" not in rest),
        *({"type": "directory", "path": path, "oid": SHA, "size": 0} for path in folders),
    ]


@contextmanager
def serve(repositories: Repositories) -> Iterator[str]:
    handler = type("Handler", (Hub,), {"repositories": repositories})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def parquet(labels: list[int]) -> bytes:
    """Rows as the hub has them: label numbers, with their names in the file's metadata."""
    features = {
        "sentence": {"dtype": "string", "_type": "Value"},
        "label": {"names": ["neg", "pos"], "_type": "ClassLabel"},
    }
    table = pa.table({"sentence": [f"s{i}" for i in range(len(labels))], "label": labels})
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    file = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(metadata), file)
    return file.getvalue()


CSV = b"text,label\na,x\nb,y\nc,x\nd,y\n"
CONFIGS = b"""---
configs:
- config_name: small
  data_files: small.csv
- config_name: large
  data_files: large.csv
---
"""
REPOSITORIES = {
    "owner/tiny": {
        "data/train-00000-of-00001.parquet": parquet([1, 0, 1]),
        "data/validation-00000-of-00001.parquet": parquet([0]),
        "data/test-00000-of-00001.parquet": parquet([-1, -1]),
        "data/unsupervised-00000-of-00001.parquet": parquet([-1]),
    },
    "owner/several": {"README.md": CONFIGS, "small.csv": CSV, "large.csv": CSV},
    "owner/columns": {"train.csv": b"body,grade\na,x\n"},
    "owner/holes": {"data/train-00000-of-00001.parquet": parquet([1, -1])},
}


def test_datasets_of_a_hub(tmp_path: Path) -> None:
    names = ["hf:owner/tiny", "hf:owner/several:small", "hf:owner/several", "hf:owner/several:smal",
             "hf:owner/none", "hf:owner/columns", "hf:owner/holes"]  # fmt: skip
    with serve(REPOSITORIES) as address:
        found = open_elsewhere(names, tmp_path, HF_ENDPOINT=address)
    assert found[0] == {
        "name": "hf:owner/tiny",
        "rows": {
            "train": [
                [f"s{i}", label, f"hf:owner/tiny train, row {i + 1}"]
                for i, label in enumerate(["pos", "neg", "pos"])
            ],
            "validation": [["s0", "neg", "hf:owner/tiny validation, row 1"]],
        },
        "notes": ["the test split has no labels and is left out",
                  "splits left out: unsupervised", "no test split"],
        "license": "not stated",
    }  # fmt: skip
    assert {text for rows in found[1]["rows"].values() for text, _, _ in rows} == set("abcd")
    assert found[2:4] == [
        "hf:owner/several: several configurations; choose one, as in hf:owner/several:small; "
        "known: small, large",
        "hf:owner/several:smal: no configuration 'smal'; did you mean 'small'? known: large, small",
    ]
    assert found[4].startswith("hf:owner/none: the hub has no such dataset, or it is private")
    assert found[5] == (
        "hf:owner/columns train: no column for text and label among body, grade; "
        "name it with --columns text=COLUMN label=COLUMN"
    )
    assert found[6] == "hf:owner/holes train, row 2: the label is missing"
    # What was loaded once needs no hub.
    (again,) = open_elsewhere(names[:1], tmp_path, HF_HUB_OFFLINE="1")
    assert again == found[0]


def test_a_local_folder_and_no_hub(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "train.csv").write_bytes(CSV)
    (folder / "test.csv").write_bytes(CSV)
    (tmp_path / "empty").mkdir()
    names = [f"hf:{folder}", "hf:owner/tiny", f"hf:{tmp_path}/none", f"hf:{tmp_path}/empty"]
    found = open_elsewhere(names, tmp_path, HF_HUB_OFFLINE="1")
    assert [row[:2] for row in found[0]["rows"]["test"]] == [
        ["a", "x"], ["b", "y"], ["c", "x"], ["d", "y"]]  # fmt: skip
    assert len(found[0]["rows"]["train"]) == 3
    assert found[1] == (
        "hf:owner/tiny: the Hugging Face hub cannot be reached, and the dataset is not in the "
        "local cache (HF_HUB_OFFLINE is 1)"
    )
    assert found[2] == f"hf:{tmp_path}/none: no such folder"
    assert found[3].startswith(f"hf:{tmp_path}/empty: cannot be loaded: ")


def test_a_family_needs_a_name() -> None:
    with pytest.raises(InputError, match="expected hf:owner/name or hf:owner/name:config"):
        open_corpus("hf", fields=FIELDS)
    with pytest.raises(InputError, match="'reviews' takes no argument; found 'x'"):
        open_corpus("reviews:x", fields=FIELDS)
    with pytest.raises(UnknownNameError, match="no corpus of NLTK is named 'movies'; did you mean"):
        open_corpus("nltk:movies", fields=FIELDS)


def test_corpora_of_nltk(tmp_path: Path) -> None:
    reviews = tmp_path / "nltk" / "corpora" / "movie_reviews"
    for label in ("neg", "pos"):
        (reviews / label).mkdir(parents=True)
        for number in range(210):
            (reviews / label / f"cv{number:03}_1.txt").write_text(f"{label} {number} .\nmore")
    sentences = tmp_path / "nltk" / "corpora" / "sentence_polarity"
    sentences.mkdir()
    for label in ("neg", "pos"):
        lines = "".join(f"{label} {number} \n" for number in range(20))
        (sentences / f"rt-polarity.{label}").write_text(lines)
    names = ["nltk:movie_reviews", "nltk:sentence_polarity"]
    films, lines = open_elsewhere(names, tmp_path, NLTK_DATA=str(tmp_path / "nltk"))
    assert {name: len(rows) for name, rows in films["rows"].items()} == {
        "train": 18, "validation": 2, "test": 400}  # fmt: skip
    assert films["rows"]["test"][0] == [
        "neg 10 .\nmore", "neg", "nltk:movie_reviews/neg/cv010_1.txt"]  # fmt: skip
    seen = [row[0] for part in ("train", "validation") for row in films["rows"][part]]
    assert sorted(seen) == sorted(f"{c} {n} .\nmore" for c in ("neg", "pos") for n in range(10))
    assert lines["rows"]["test"] == [
        [f"{label} {n}", label, f"nltk:sentence_polarity/rt-polarity.{label}:{n + 1}"]
        for label in ("neg", "pos")
        for n in (18, 19)
    ]


def test_missing_data_of_nltk(tmp_path: Path) -> None:
    (found,) = open_elsewhere(["nltk:movie_reviews"], tmp_path, NLTK_DATA=str(tmp_path),
                              HOME=str(tmp_path))  # fmt: skip
    assert found == (
        "nltk:movie_reviews: its data is not installed (NLTK_DATA names where it is looked for); "
        "to get it: python -m nltk.downloader movie_reviews"
    )
