"""Damaged models, thousands of them: what loading one may do, and what it may not.

    python -m tests.bundle_mutations FIRST LAST MODEL ...

changes a model for each number in a way that the number says, with its checksums made anew, so that
they do not hide what comes behind them; loads it, asks it, and prints a line of JSON: what became of it
and, of anything but an answer or one line of an error of ours, what was changed. A process of its own,
since memory is bounded and every file that is opened is looked at.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECONDS = 20
MEMORY = 3 << 30
VALUES: list[Any] = [
    None, True, False, -1, 0, 1, 2, 7, 1000, 10**6, 10**9, 2**31, 2**63, 10**30, -0.5, 0.5, 1e308, "",
    "x", "../x", "/etc/passwd", "a" * 10_000, "\x00", "\ud800", "lstm", "bpe", "unigram", "spacy",
    "attention", "words", [], {}, [[]], [0], ["x"], [None], {"x": 1}, ["../../x"],
]  # fmt: skip
LINES = [
    "{key} = 1000000000", "{key} = 100000", "{key} = -1", "{key} = 0", "{key} = 0.5", '{key} = "x"',
    '{key} = "../x"', "{key} = []", "{key} = {{}}", "{key} = true", "{key} = 1e308", "{key} = inf", "",
    "[x]", "{key}", '{key} = ["max", "mean", "last"]', '{key} = "gru"', '{key} = "layer_norm_lstm"',
    "{key} = 9223372036854775807", '{key} = "{long}"', "{key} = {deep}",
]  # fmt: skip
DTYPES = ["F64", "F32", "F16", "BF16", "I64", "I32", "U8", "BOOL", "C64", "F8_E4M3", "X"]

Change = Callable[[random.Random, Path], str]


def some_file(chance: random.Random, folder: Path, *endings: str) -> Path:
    """A file of a model, in the same order everywhere."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return chance.choice([path for path in files if path.name.endswith(endings or ("",))])


def change_bytes(chance: random.Random, folder: Path) -> str:
    """Other bytes in place of some, some more, or some fewer."""
    path = some_file(chance, folder, ".json", ".toml", ".safetensors")
    data = bytearray(path.read_bytes())
    for _ in range(chance.choice([1, 1, 2, 8])):
        at = chance.randrange(min(len(data), chance.choice([16, 400, len(data)])) or 1)
        kind = chance.randrange(3)
        piece = chance.randbytes(chance.choice([1, 1, 4, 100]))
        if kind == 0:
            data[at : at + len(piece)] = piece
        elif kind == 1:
            data[at:at] = piece
        else:
            del data[at : at + chance.choice([1, 10, len(data)])]
        if not data:
            break
    path.write_bytes(data)
    return f"bytes of {path.name}"


def change_json(chance: random.Random, folder: Path) -> str:
    """Another value somewhere in JSON, a key less, or one of another name."""
    path = some_file(chance, folder, ".json")
    data = json.loads(path.read_text())
    holder, key = pick(chance, data)
    what = chance.randrange(5)
    if what == 0:
        del holder[key]
    elif what == 1 and isinstance(holder, dict):
        holder[chance.choice(["x", "format", "../x", ""])] = holder.pop(key)
    else:
        holder[key] = chance.choice(VALUES)
    text = json.dumps(data)
    if chance.random() < 0.05:
        deep = "[" * 100_000 + "]" * 100_000
        text = text[:-1] + f', "deep": {deep}}}' if text.endswith("}") else deep
    path.write_text(text)
    return f"{path.name}: {key!r} {'removed' if what == 0 else 'changed'}"


def pick(chance: random.Random, data: Any) -> tuple[Any, Any]:
    """A list or an object, and an index or a key of it."""
    while True:
        keys = list(data) if isinstance(data, dict) else list(range(len(data)))
        if isinstance(data, list):  # of long lists the beginning
            keys = keys[:20]
        key = chance.choice(keys)
        inner = data[key]
        if not isinstance(inner, dict | list) or not inner or chance.random() < 0.3:
            return data, key
        data = inner


def change_toml(chance: random.Random, folder: Path) -> str:
    """Another line in the settings."""
    path = folder / "config.toml"
    lines = path.read_text().split("\n")
    at = chance.randrange(len(lines))
    key = lines[at].partition("=")[0].strip()
    fill = {"key": key, "long": "a" * 100_000, "deep": "[" * 5000 + "]" * 5000}
    lines[at] = chance.choice(LINES).format(**fill)
    path.write_text("\n".join(lines))
    return f"config.toml: {lines[at][:60]}"


def change_weights(chance: random.Random, folder: Path) -> str:
    """Another shape, type, place or name in the header of the weights."""
    path = folder / "weights.safetensors"
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    name = chance.choice(sorted(header))
    entry = header[name]
    what = chance.randrange(9)
    if what == 0:
        del header[name]
    elif what == 1:
        header[chance.choice(["x", "../x", "members.0"])] = header.pop(name)
    elif what == 2 and "dtype" in entry:
        entry["dtype"] = chance.choice(DTYPES)
    elif what == 3 and "shape" in entry:
        entry["shape"] = chance.choice([[], [0], [10**12], [-1], [2**62, 4], [1] * 99, "x", [0.5]])
    elif what == 4 and "data_offsets" in entry:
        entry["data_offsets"] = chance.choice([[0, 0], [0, 2**62], [-8, 8], [8, 0], "x", [1]])
    elif what == 5:
        header["__metadata__"] = chance.choice(
            [None, {}, "x", {"tied": "x"}, {"tied": "[]"}, {"tied": '{"x": "y"}'}, {"tied": "null"},
             {"tied": "[" * 100_000}, {"tied": f'{{"x": "{name}"}}'}]
        )  # fmt: skip
    elif what == 6:
        header["x"] = entry
    elif what == 7:
        return _write(path, struct.pack("<Q", chance.choice([0, 2**63, size * 2, size - 1])),
                      data[8:])  # fmt: skip
    else:
        at = chance.randrange(max(len(body) - 8, 1))
        body = body[:at] + struct.pack("<q", chance.choice([-1, 2**62, 0])) + body[at + 8 :]
    text = json.dumps(header).encode()
    return _write(path, struct.pack("<Q", len(text)), text + body)


def _write(path: Path, *parts: bytes) -> str:
    path.write_bytes(b"".join(parts))
    return "weights"


def change_files(chance: random.Random, folder: Path) -> str:
    """A file that is not there, or something else in its place."""
    path = some_file(chance, folder, ".json", ".toml", ".safetensors")
    outside = folder.parent / "outside" / path.name
    data = path.read_bytes()
    path.unlink()
    what = chance.choice(["missing", "folder", "link", "device", "pipe", "loop", "empty"])
    if what == "folder":
        path.mkdir()
    elif what == "link":
        outside.write_bytes(data)
        path.symlink_to(outside)
    elif what == "device":
        path.symlink_to("/dev/zero")
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "loop":
        path.symlink_to(path)
    elif what == "empty":
        path.write_bytes(b"")
    return f"{path.name}: {what}"


def change_manifest(chance: random.Random, folder: Path) -> str:
    """Names in the manifest that lead elsewhere, and parts that are not there."""
    path = folder / "bundle.json"
    data = json.loads(path.read_text())
    what = chance.randrange(4)
    name = chance.choice(
        ["../x", "/etc/passwd", "x/../../y", "target/pipeline.json", "", "x" * 9999]
    )
    if what == 0:
        data["sha256"][name] = hashlib.sha256(b"").hexdigest()
    elif what == 1:
        kind = chance.choice(["cells", "tasks", "tokenizers", "x", "../x"])
        data["requires"].append({"kind": kind, "name": name, "package": name, "version": name})
    elif what == 2:
        data["format"] = chance.choice([0, 1, 2, 3, 4, 10**30, "1", None, True, -1])
    else:
        key = chance.choice(sorted(data["state"]))
        data["state"][key] = chance.choice(VALUES)
    path.write_text(json.dumps(data))
    return f"bundle.json: {what} {name[:20]!r}"


CHANGES: list[Change] = [
    change_bytes, change_json, change_json, change_toml, change_weights, change_files, change_manifest,
]  # fmt: skip


def sign(folder: Path) -> None:
    """Make the checksums anew, where there is a manifest that has some."""
    path = folder / "bundle.json"
    if path.is_symlink() or not path.is_file():
        return
    try:
        data = json.loads(path.read_text())
        names = [name for name in data["sha256"] if (folder / name).is_file()]
        inside = [name for name in names if (folder / name).stat().st_size < 1 << 24]
        for name in inside:
            data["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        path.write_text(json.dumps(data))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass


class Watch:
    """Sees every file that is opened and everything that is begun, for as long as it is on."""

    def __init__(self) -> None:
        self.inside: Path | None = None
        self.seen: list[str] = []
        homes = {sys.prefix, sys.base_prefix, str(Path(__file__).parents[1]), "/usr/lib", "/proc"}
        self.code = tuple(os.path.realpath(home) for home in homes)
        sys.addaudithook(self)

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if self.inside is None:
            return
        if event == "open" and isinstance(args[0], str | bytes):
            path = os.path.realpath(os.fsdecode(args[0]))
            writes = bool(args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
            if writes or not path.startswith((str(self.inside), *self.code)):
                self.seen.append(f"{'writes' if writes else 'reads'} {path}")
        elif event in {"socket.connect", "subprocess.Popen", "os.system", "os.exec", "os.remove",
                       "os.rename", "os.mkdir", "os.symlink", "pickle.find_class"}:  # fmt: skip
            self.seen.append(f"{event} {args}")


def judge(folder: Path, watch: Watch, text: str) -> dict[str, str]:
    """What becomes of a model that is loaded and asked."""
    from seqnlp.bundle import load
    from seqnlp.errors import SeqnlpError

    def stop(signum: int, frame: object) -> None:
        raise TimeoutError(f"still at work after {SECONDS} seconds")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    watch.inside, watch.seen = folder, []
    try:
        load(folder)(text)
        end = {"end": "answered"}
    except SeqnlpError as error:
        end = {"end": "refused", "line": str(error)}
        if len(str(error).splitlines()) != 1:
            end["end"] = "no line"
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        line = f"{type(error).__name__}: {error} at {where.filename}:{where.lineno}"
        end = {"end": "failed", "line": line}
        for each in traceback.extract_tb(error.__traceback__):
            if "seqnlp" in each.filename:
                end["by"] = f"{each.filename}:{each.lineno}"
    finally:
        signal.alarm(0)
        watch.inside = None
    if watch.seen:
        end = {"end": "strayed", "line": "; ".join(watch.seen)}
    return end


def main() -> None:
    """See the module."""
    first, last, *models = sys.argv[1:]
    warnings.simplefilter("error")
    import torch

    from seqnlp.bundle import load

    torch.set_num_threads(1)
    text = "Der Hund will den Ball sehen. The film was great and dull ."
    for model in models:  # what is imported late is imported now
        load(model)(text)
    watch = Watch()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    for number in range(int(first), int(last)):
        chance = random.Random(number)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(os.path.realpath(scratch)) / "model"
            shutil.copytree(models[number % len(models)], folder)
            (folder.parent / "outside").mkdir()
            changed = [chance.choice(CHANGES)(chance, folder)]
            sign(folder)
            end = judge(folder, watch, text)
        print(json.dumps({"number": number, "changed": changed, **end}), flush=True)


if __name__ == "__main__":
    main()
