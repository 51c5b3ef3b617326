"""Checkpoints: what a training run must remember to go on as if it had never stopped.

A checkpoint is one file: a line with a checksum, then tensors and JSON as safetensors. It is
written under another name, put on the disk and then renamed, so that whatever happens there is a
whole one; the newest few are kept, since a disk can damage what was whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from seqnlp.errors import InputError
from seqnlp.files import new_file

FOLDER = "checkpoints"
"""Within the folder of a run; it is removed when the run is complete."""
_HEAD = b"seqnlp checkpoint 1 sha256 "
_TENSOR = "tensor:"
_DONE = "done.checkpoint"


class DamagedCheckpointError(InputError):
    """A file that is no whole checkpoint."""


def pack(state: Mapping[str, Any]) -> bytes:
    """A state as bytes: JSON values, tensors, and lists and dicts of these with strings as keys.

    A tensor that occurs several times is stored once. Tuples come back as lists.

    Raises:
        TypeError: a value of another type.
    """
    tensors: dict[str, Tensor] = {}
    names: dict[tuple[object, ...], str] = {}

    def store(tensor: Tensor) -> str:
        where = tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride()
        name = names.setdefault(where if tensor.numel() else (len(tensors),), str(len(tensors)))
        if name not in tensors:
            tensors[name] = tensor.detach().cpu().contiguous()
        return _TENSOR + name

    def plain(value: object) -> object:
        match value:
            case Tensor():
                return store(value)
            case Mapping():
                if wrong := [name for name in value if not isinstance(name, str)]:
                    raise TypeError(f"the key {wrong[0]!r} of a state is no string")
                return {name: plain(inner) for name, inner in value.items()}
            case list() | tuple():
                return [plain(inner) for inner in value]
            case str() if value.startswith(_TENSOR):
                raise TypeError(f"a text of a state begins with {_TENSOR!r}: {value!r}")
            case None | bool() | int() | float() | str():
                return value
        raise TypeError(f"a state holds a {type(value).__name__}; expected JSON values and tensors")

    text = json.dumps(plain(state))
    return save_tensors(_apart(tensors), metadata={"state": text})


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same, but that none is a part of another's memory, which safetensors refuses."""
    seen: set[int] = set()
    result = {}
    for name, tensor in tensors.items():
        memory = tensor.untyped_storage()
        own = memory.data_ptr() not in seen and memory.nbytes() == tensor.nbytes
        result[name] = tensor if own else tensor.clone()
        seen.add(memory.data_ptr())
    return result


def unpack(data: bytes) -> dict[str, Any]:
    """What `pack` was given, its tensors on the CPU.

    Raises:
        DamagedCheckpointError: something else, or a part of it.
    """
    try:
        tensors = load_tensors(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        state = json.loads(header["__metadata__"]["state"])
    except (SafetensorError, ValueError, KeyError) as error:
        raise DamagedCheckpointError(f"not to be read: {error}") from error

    def whole(value: Any) -> Any:
        match value:
            case str() if value.startswith(_TENSOR):
                return tensors[value.removeprefix(_TENSOR)]
            case dict():
                return {name: whole(inner) for name, inner in value.items()}
            case list():
                return [whole(inner) for inner in value]
        return value

    result: dict[str, Any] = whole(state)
    return result


class Checkpoints:
    """The checkpoints of one training: of one seed, on train or on train and validation.

    Args:
        folder: of their own. Nothing is made before the first is saved.
        notify: is told what a person should know.
    """

    def __init__(self, folder: Path, notify: Callable[[str], None]) -> None:
        self.folder, self.notify = folder, notify

    def save(self, step: int, state: Mapping[str, Any], *, keep: int) -> None:
        """Write the newest checkpoint, and remove all but the newest `keep`.

        Where it cannot be written, a note says so and those before it stay. One of a later step
        was damaged, or it would have been gone on from: it counts for nothing.
        """
        name = f"step-{step:09d}.checkpoint"
        if self._tried(name, state, f"no checkpoint at step {step}: {{}}; training goes on"):
            known = [path for path in self._steps() if path.name <= name]
            self._remove_but(known[:keep])

    def load(self) -> dict[str, Any] | None:
        """The newest checkpoint that is whole; None where there is none."""
        for path in self._steps():
            if (state := self._read(path)) is not None:
                return state
        return None

    def finish(self, state: Mapping[str, Any]) -> None:
        """Keep what the training has come to, in the place of its checkpoints.

        Where it cannot be written, a note says so, and they stay.
        """
        if self._tried(_DONE, state, "no checkpoint of the trained weights: {}"):
            self._remove_but([])

    def finished(self) -> dict[str, Any] | None:
        """What `finish` was given, where the training is over."""
        path = self.folder / _DONE
        return self._read(path) if path.is_file() else None

    def others_finished(self) -> int:
        """How many other trainings of the run are over."""
        found = self.folder.parent.glob(f"*/{_DONE}")
        return sum(path.parent != self.folder for path in found)

    def _tried(self, name: str, state: Mapping[str, Any], note: str) -> bool:
        """Write a file, or tell why not: whatever ails a disk, training does without."""
        try:
            self._write(name, state)
        except InputError as error:
            self.notify(note.format(error))
        except OSError as error:
            self.notify(note.format(f"cannot write {self.folder / name}: {error.strerror}"))
        else:
            return True
        return False

    def _remove_but(self, kept: Sequence[Path]) -> None:
        for path in self._steps():
            if path not in kept:
                with suppress(OSError):
                    path.unlink()

    def _write(self, name: str, state: Mapping[str, Any]) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write {self.folder}: {error.strerror}") from error
        body = pack(state)
        with new_file(self.folder / name, durable=True) as file:
            file.write(_HEAD + hashlib.sha256(body).hexdigest().encode() + b"\n")
            file.write(body)

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            return unpack(_checked(path.read_bytes()))
        except OSError as error:
            reason = error.strerror or str(error)
        except DamagedCheckpointError as error:
            reason = str(error)
        self.notify(f"{path} is damaged ({reason}); going on from the one before, if there is one")
        return None

    def _steps(self) -> list[Path]:
        """The newest first."""
        return sorted(self.folder.glob("step-*.checkpoint"), reverse=True)


def _checked(data: bytes) -> bytes:
    """What stands behind the checksum of a file."""
    head, _, body = data.partition(b"\n")
    if not head.startswith(_HEAD):
        raise DamagedCheckpointError("no checkpoint of this version")
    if hashlib.sha256(body).hexdigest().encode() != head.removeprefix(_HEAD):
        raise DamagedCheckpointError("its checksum is wrong")
    return body
