"""Processes that train one model together, each on its share of every batch.

Transport is torch.distributed's: gloo between CPUs, NCCL between GPUs. Nothing is pickled; values
travel as the bytes of a checkpoint.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from numpy.typing import NDArray
from torch import Tensor

from seqnlp.errors import InputError, LostProcessError
from seqnlp.tasks.base import Task
from seqnlp.training.checkpoints import pack, unpack
from seqnlp.training.signals import Interrupted

if TYPE_CHECKING:
    import numpy as np

PATIENCE = timedelta(hours=24)
"""How long one process waits for another: validation is the main one's work alone. One that has
died is noticed at once, by its connection."""
Flag = Literal["signal", "checkpoint"]
FLAGS: tuple[Flag, ...] = get_args(Flag)
"""What processes tell each other on the way, with the gradients, at no cost."""
_FAILED = "failed"
_NUMBERS = itertools.count()


class Group:
    """The processes of a training; `Group()` is this one alone, which waits for nobody.

    rank: this process's number, from 0. size: how many there are. main: whether this is the one
    that prints, writes and validates.

    Every method that speaks to the others must be called by all of them, in the same order. Each
    raises LostProcessError where the connection to another breaks off.
    """

    def __init__(self, rank: int = 0, size: int = 1, *, local_rank: int = 0) -> None:
        self.rank, self.size, self.local_rank = rank, size, local_rank
        self._device = torch.device("cpu")
        self._store: Any = None
        self._said: set[Flag] = set()
        self._heard: set[Flag] = set()

    @classmethod
    def from_environment(cls, device: str = "auto") -> Group:
        """The group that torchrun has started, or this process alone.

        Args:
            device: "cpu", or "cuda" where each process takes the GPU of its number on its machine;
                "auto" is "cuda" where every process of the machine can have one.

        Raises:
            InputError: variables of torchrun that are no numbers or do not go together; fewer GPUs
                than processes; the others cannot be reached.
        """
        size = _variable("WORLD_SIZE", 1)
        if size <= 1:
            return cls()
        rank, local_rank = _variable("RANK"), _variable("LOCAL_RANK", 0)
        if not 0 <= rank < size:
            raise InputError(f"RANK is {rank}; expected a number from 0 below WORLD_SIZE, {size}")
        group = cls(rank, size, local_rank=local_rank)
        group._connect(device)
        return group

    @property
    def main(self) -> bool:
        """Whether this is the process that prints, writes and validates."""
        return self.rank == 0

    @property
    def cores(self) -> int:
        """The processor's cores that there are for this process, where all share them evenly."""
        return max(1, _cores() // _variable("LOCAL_WORLD_SIZE", self.size))

    def close(self) -> None:
        """Leave the group; the process is alone from here on."""
        if self.size > 1:
            import torch.distributed as dist

            with suppress(RuntimeError, ValueError):
                dist.destroy_process_group()
        self.rank, self.size, self.local_rank = 0, 1, 0

    def deal(self, indices: NDArray[np.int64], parts: int) -> list[list[NDArray[np.int64]]]:
        """The rows of a batch for each process, in parts.

        They are dealt out like cards, so that the shares of a batch that is sorted by length are
        alike. Where there are fewer rows than parts, some are left out; a process may have none.
        """
        return [
            [part for n in range(parts) if len(part := indices[rank :: self.size][n::parts])]
            for rank in range(self.size)
        ]

    def add_up(self, tensor: Tensor) -> None:
        """Make of a tensor in each process their sum, in place; the same bits everywhere."""
        import torch.distributed as dist

        self._call(lambda: dist.all_reduce(tensor))

    def begin_to_collect(self, tensor: Tensor, found: list[Tensor]) -> Callable[[], None]:
        """Begin to put the tensor of each process, all of one shape, into `found`, by rank.

        Returns:
            What waits until they are there.
        """
        import torch.distributed as dist

        work: list[Any] = []
        self._call(lambda: work.append(dist.all_gather(found, tensor, async_op=True)))
        return lambda: self._call(work[0].wait)

    def tell(self, flag: Flag) -> None:
        """Raise a flag, which all processes will have heard once gradients are added up next."""
        (self._heard if self.size == 1 else self._said).add(flag)

    def told(self, flag: Flag) -> bool:
        """Whether a process has raised the flag; the question takes it down."""
        found = flag in self._heard
        self._heard.discard(flag)
        return found

    def said(self) -> list[float]:
        """1 for every flag that this process has raised since it was last asked, by FLAGS."""
        found = [float(flag in self._said) for flag in FLAGS]
        self._said.clear()
        return found

    def hear(self, counts: Sequence[float]) -> None:
        """Take up how many processes have raised each flag."""
        self._heard |= {flag for flag, count in zip(FLAGS, counts, strict=True) if count}

    def agree(self, flag: bool) -> bool:
        """Whether any of the processes says so."""
        return flag if self.size == 1 else any(self.gather(flag))

    def gather(self, value: Any) -> list[Any]:
        """What each process gives, by rank, everywhere; what `checkpoints.pack` takes."""
        if self.size == 1:
            return [value]
        return [self._send(value, rank) for rank in range(self.size)]

    def share_state(self, value: Any) -> Any:
        """What the main process gives, everywhere."""
        return value if self.size == 1 else self._send(value, 0)

    def from_main(self, make: Callable[[], Any]) -> Any:
        """What `make` gives in the main process, everywhere; it is called there alone.

        Raises:
            Interrupted: `make` has, in the main process.
        """
        if self.size == 1:
            return make()
        if not self.main:
            answer = self._send(None, 0)
            if "interrupted" in answer:
                raise Interrupted
            return answer["value"]
        try:
            answer = {"value": make()}
        except Interrupted:
            self._send({"interrupted": True}, 0)
            raise
        return self._send(answer, 0)["value"]

    def part_ways(self, seed: int) -> None:
        """Let each process draw other numbers from here on, for dropout; the main one goes on."""
        if not self.main:
            torch.manual_seed((self.rank << 32) + seed)

    def check_alike(self, task: Task) -> None:
        """See to it that all begin with the same weights.

        Raises:
            InputError: a process has others.
        """
        if self.size == 1:
            return
        seen = self.gather(_fingerprint(task.state_dict()))
        if others := [str(rank) for rank, each in enumerate(seen) if each != seen[0]]:
            raise InputError(
                f"process {', '.join(others)} of {self.size} begins with other weights than "
                "process 0; all must have the same corpus, settings and versions"
            )

    def fails_first(self) -> bool:
        """Whether no other has failed before: this process then is the one that says why."""
        if self._store is None:
            return True
        # Whoever keeps the store may be the one that died.
        with suppress(RuntimeError):
            return bool(self._store.add(_FAILED, 1) == 1)
        return True

    def _connect(self, device: str) -> None:
        import torch.distributed as dist
        from torch.distributed.distributed_c10d import PrefixStore
        from torch.distributed.rendezvous import rendezvous

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        local_size = _variable("LOCAL_WORLD_SIZE", self.size)
        if device == "auto":
            device = "cuda" if count >= local_size else "cpu"
        if device == "cuda":
            if count <= self.local_rank:
                raise InputError(
                    f"{local_size} processes on this machine, but torch finds {count} GPUs; "
                    "start as many processes as there are GPUs, or use device cpu"
                )
            torch.cuda.set_device(self.local_rank)
        backend = "nccl" if device == "cuda" else "gloo"
        try:
            store, _, _ = next(rendezvous("env://", self.rank, self.size))
            # A process may train several times, and torchrun may start all anew beside one store:
            # what was said in one training, addresses too, counts in it alone.
            start = _variable("TORCHELASTIC_RESTART_COUNT", 0)
            self._store = PrefixStore(f"seqnlp/{start}/{next(_NUMBERS)}", store)
            dist.init_process_group(backend, store=self._store, rank=self.rank,
                                    world_size=self.size, timeout=PATIENCE)  # fmt: skip
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"process {self.rank} of {self.size} cannot reach the others: {_first(error)}"
            ) from error
        if device == "cuda":
            self._device = torch.device("cuda", self.local_rank)

    def _send(self, value: Any, source: int) -> Any:
        """A value of the process `source`, in all."""
        import torch.distributed as dist

        own = self.rank == source
        message = bytearray(pack({"value": value}) if own else b"")
        size = torch.tensor([len(message)], device=self._device)
        self._call(lambda: dist.broadcast(size, source))
        message = message or bytearray(int(size))
        data = torch.frombuffer(message, dtype=torch.uint8).to(self._device)
        self._call(lambda: dist.broadcast(data, source))
        return value if own else unpack(data.cpu().numpy().tobytes())["value"]

    def _call(self, collective: Callable[[], object]) -> None:
        try:
            collective()
        except RuntimeError as error:
            raise LostProcessError(
                f"process {self.rank} of {self.size} has lost another: {_first(error)}"
            ) from error


def _fingerprint(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def is_main() -> bool:
    """Whether this process is alone, or the one of its training that speaks to people."""
    return _variable("WORLD_SIZE", 1) <= 1 or _variable("RANK", 0) == 0


def _cores() -> int:
    """How many the system lets this process use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _variable(name: str, default: int | None = None) -> int:
    """A number that torchrun has put into the environment."""
    text = os.environ.get(name)
    if text is None and default is not None:
        return default
    if text is None or not text.isdecimal():
        found = "not set" if text is None else repr(text)
        raise InputError(f"{name} is {found}; expected a number, as torchrun sets it")
    return int(text)


def _first(error: BaseException) -> str:
    """The first line of a message."""
    return (str(error).splitlines() or [type(error).__name__])[0]
