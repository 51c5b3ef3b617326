"""What an attention owes."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from seqnlp.nn import Attention
from seqnlp.testing.contract import Contract, Part, Skip
from seqnlp.testing.network import Network, Outputs
from seqnlp.testing.network_checks import add_network_checks
from seqnlp.testing.requiring import require
from seqnlp.testing.seeding import seeded
from seqnlp.testing.signature import check_described, check_options
from seqnlp.testing.tensors import Inputs, require_close, require_finite
from seqnlp.types import Attended, Encoded, Memory

S, D, N = 6, 8, 3
MASK = (
    "hide positions by the memory's mask: seqnlp.nn's masked_softmax(scores, memory.mask) gives 0 "
    "there, and zeros for a row that is hidden altogether"
)
BATCHED = "let attend give each query what forward would give it: scores [B, N, S], softmax over S"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """An attention under test, with queries of the memory's size, which all attentions take."""

    part: Part

    def make(self) -> Attention:
        """A small one, in float64 and evaluation."""
        made: Attention = self.part.make(query_size=D, memory_size=D)
        return made.double().eval()

    @cached_property
    def network(self) -> Network:
        """For the checks of all networks: one query a row, and many with their own past."""
        return Network(
            make=self.make,
            inputs=make_inputs,
            run=run,
            padded={"context": None, "weights": "states", "contexts": None},
            batches=(4, D),
            padding=MASK,
        )


def make_inputs(rows: int) -> Inputs:
    """A query and a ragged memory for each row."""
    lengths = torch.tensor([(S, 2, 4, 1, 5, 3)[row % 6] for row in range(rows)])
    states = torch.randn(rows, S, D, dtype=torch.float64)
    query = torch.randn(rows, D, dtype=torch.float64)
    return Inputs(tensors={"query": query, "states": states}, lengths={"states": lengths})


def memory_of(inputs: Inputs) -> Encoded:
    """The memory as an encoder gives it."""
    states = inputs.tensors["states"]
    return Encoded(states=states, mask=inputs.mask("states"), summary=states.sum(1))


def run(module: nn.Module, inputs: Inputs) -> Outputs:
    """What one query finds, and what two do behind it."""
    assert isinstance(module, Attention)
    query, memory = inputs.tensors["query"], module.prepare(memory_of(inputs))
    attended = module(query, memory)
    past = None if module.history == "none" else attended.weights.unsqueeze(1).expand(-1, 2, -1)
    many = module.attend(torch.stack([query, -query], 1), memory, past)
    return {"context": attended.context, "weights": attended.weights, "contexts": many.context}


check_attention: Contract[Any] = Contract(
    "attentions", lambda part: Subject(part=part), around=seeded
)
"""The contract of an attention.

Options: those of the attention, as `head.attention_options` would give them.
"""


@check_attention.check("is an attention", required=True)
def _is_an_attention(subject: Subject) -> str | None:
    factory = subject.part.factory
    require(
        inspect.isclass(factory) and issubclass(factory, Attention),
        f"{subject.part.name} is no subclass of seqnlp.nn.Attention",
        "derive it from ScoredAttention, whose score you write, or from Attention",
    )
    return check_described(subject.part, source=True)


@check_attention.check("options are typed", required=True)
def _options(subject: Subject) -> str | None:
    return check_options(subject.part, "query_size", "memory_size", query_size=D, memory_size=D)


@check_attention.check("shapes are right", required=True)
def _shapes(subject: Subject) -> str | None:
    module, inputs = subject.make(), make_inputs(4)
    require(
        (module.query_size, module.memory_size) == (D, D),
        f"its sizes are {module.query_size} and {module.memory_size} where {D} and {D} were given",
        "hand the given sizes on: super().__init__(query_size, memory_size)",
    )
    require(
        module.history in ("none", "last", "sum"),
        f"history is {module.history!r}",
        "set it to 'none', or to 'last' or 'sum' of the weights of the steps before",
    )
    memory = module.prepare(memory_of(inputs))
    for name in ("keys", "values", "mask"):
        found = getattr(memory, name)
        require(
            len(found) == 4, f"{name} of the memory are {list(found.shape)}, for 4 rows",
            "put the batch first in all of a Memory: a search selects its rows",
        )  # fmt: skip
    size = module.context_size
    _check_shape(module(inputs.tensors["query"], memory), (4,), size)
    for count in (N, 1, 0):
        queries = torch.randn(4, count, D, dtype=torch.float64)
        _check_shape(module.attend(queries, memory), (4, count), size)
    return f"contexts of {size} features" if size != D else None


def _check_shape(attended: Attended, rows: tuple[int, ...], size: int) -> None:
    for name, width, axis in (("context", size, "context_size"), ("weights", S, "S")):
        found = tuple(getattr(attended, name).shape)
        require(
            found == (*rows, width),
            f"{name} are {list(found)}, not {[*rows, width]}, for queries {[*rows, D]} and "
            f"a memory [4, {S}, {D}]",
            f"return {name} [B, {axis}], of N queries [B, N, {axis}]; context_size is what "
            "__init__ leaves it at, the memory's size by default",
        )


@check_attention.check("weights are shares of the real positions")
def _weights(subject: Subject) -> str | None:
    module, inputs = subject.make(), make_inputs(5)
    mask = inputs.mask("states").clone()
    mask[4] = False
    memory = module.prepare(
        Encoded(states=inputs.tensors["states"], mask=mask, summary=torch.zeros(5, D).double())
    )
    attended = module(inputs.tensors["query"], memory)
    hidden = attended.weights[~mask]
    require(not hidden.any(), f"a hidden position has the weight {hidden.abs().max():.3g}", MASK)
    sums = attended.weights.sum(1)[:4]
    require_close(sums, torch.ones_like(sums), "sums of weights, and 1,", f"normalize; {MASK}")
    least = float(attended.weights.detach().min())
    require(least >= 0, f"a weight is {least:.3g}", "let weights be shares: softmax, not scores")
    empty = attended.context[4]
    require_close(
        empty, torch.zeros_like(empty), "the context of a row that is hidden altogether, and zero,",
        f"{MASK}; add no bias there",
    )  # fmt: skip
    one = inputs.select(torch.tensor([3]))
    single = module(one.tensors["query"], module.prepare(memory_of(one))).weights[0, 0]
    require_close(
        single, torch.ones_like(single), "the weight of the only position, and 1,",
        f"normalize; {MASK}",
    )  # fmt: skip
    return None


add_network_checks(check_attention)


@check_attention.check("many queries equal one by one")
def _many(subject: Subject) -> str | None:
    module, inputs = subject.make(), make_inputs(4)
    memory = module.prepare(memory_of(inputs))
    queries = torch.randn(4, N, D, dtype=torch.float64)
    past = None
    if module.history != "none":
        past = torch.rand(4, N, S, dtype=torch.float64).masked_fill(~memory.mask.unsqueeze(1), 0)
    together = module.attend(queries, memory, past)
    for n in range(N):
        own = None if past is None else past[:, n : n + 1]
        alone = module.attend(queries[:, n : n + 1], memory, own)
        _same(alone, together, n, f"query {n} alone and among {N}")
    fresh = module.attend(queries, memory)
    for n in range(N):
        one: Attended = module(queries[:, n], memory)
        single = Attended(context=one.context.unsqueeze(1), weights=one.weights.unsqueeze(1))
        _same(single, fresh, n, f"query {n} by forward and by attend")
    return None


def _same(alone: Attended, together: Attended, n: int, which: str) -> None:
    for name in ("context", "weights"):
        found, expected = getattr(together, name)[:, n], getattr(alone, name)[:, 0]
        require_close(found, expected, f"{name} of {which}", BATCHED)


@check_attention.check("a history is read where it says so")
def _history(subject: Subject) -> str | None:
    module, inputs = subject.make(), make_inputs(4)
    memory = module.prepare(memory_of(inputs))
    queries = inputs.tensors["query"].unsqueeze(1)
    past = torch.softmax(3 * torch.randn(4, 1, S, dtype=torch.float64), 2)
    past = past.masked_fill(~memory.mask.unsqueeze(1), 0)
    without, with_past = module.attend(queries, memory), module.attend(queries, memory, past)
    far = float((without.weights - with_past.weights).detach().abs().max())
    if module.history == "none":
        require(
            far == 0, "weights depend on a history that it says it does not read",
            "set history = 'last' or 'sum' on the class, so that a decoder hands it on",
        )  # fmt: skip
        raise Skip("it reads no history")
    require(
        far > 1e-9, f"history is {module.history!r}, but the weights are the same with and without",
        "read the argument `history` of attend, or leave history = 'none'",
    )  # fmt: skip
    nothing = module.attend(queries, memory, torch.zeros_like(past))
    require_close(
        without.weights, nothing.weights, "weights without a history and with one of zeros",
        "take None for zeros: it is what stands before the first step",
    )  # fmt: skip
    return f"reads {module.history!r}"


@check_attention.check("rows of a prepared memory can be chosen")
def _selected(subject: Subject) -> str | None:
    module, inputs = subject.make(), make_inputs(4)
    memory: Memory = module.prepare(memory_of(inputs))
    whole = module(inputs.tensors["query"], memory)
    remedy = "keep all that attend reads of a memory in a Memory, or a subclass of it, batch first"
    rows = torch.tensor([2, 0, 2])
    for name in ("context", "weights"):
        chosen = getattr(module(inputs.tensors["query"][rows], memory.select(rows)), name)
        what = f"{name} of chosen rows, before and after they are"
        require_close(chosen, getattr(whole, name)[rows], what, remedy)
        first = getattr(module(inputs.tensors["query"][:2], memory.first(2)), name)
        require_close(first, getattr(whole, name)[:2], f"{name} of the first rows", remedy)
    return None


@check_attention.check("empty memories and batches are read")
def _empty(subject: Subject) -> str | None:
    module = subject.make()
    remedy = "use torch's operations on whole tensors, which take sizes of 0"
    for rows, positions in ((0, S), (2, 0)):
        states = torch.randn(rows, positions, D, dtype=torch.float64)
        mask = torch.ones(rows, positions, dtype=torch.bool)
        memory = module.prepare(Encoded(states=states, mask=mask, summary=states.sum(1)))
        attended = module(torch.randn(rows, D, dtype=torch.float64), memory)
        where = f"{rows} rows of {positions} positions"
        require_finite(attended.context, f"contexts of {where}", remedy)
        require(
            tuple(attended.weights.shape) == (rows, positions),
            f"weights of {where} are {list(attended.weights.shape)}", remedy,
        )  # fmt: skip
    return None


@check_attention.check("learns where to look")
def _learns(subject: Subject) -> str | None:
    """The position whose first half a query repeats is to be found."""
    torch.manual_seed(0)
    module = subject.make().float().train()
    reader = nn.Linear(D, D)
    optimizer = torch.optim.Adam([*module.parameters(), *reader.parameters()], lr=0.02)
    keys = torch.eye(D)[:S].expand(32, S, D)
    mask = torch.ones(32, S, dtype=torch.bool)
    losses = []
    for _ in range(60):
        places = torch.randint(0, S, (32,))
        shuffled = torch.stack([key[torch.randperm(S)] for key in keys])
        query = reader(shuffled[torch.arange(32), places])
        memory = module.prepare(Encoded(states=shuffled, mask=mask, summary=shuffled.sum(1)))
        share: Tensor = module(query, memory).weights[torch.arange(32), places]
        loss = -share.clamp_min(1e-9).log().mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    require(
        losses[-1] < 0.8 * losses[0],
        f"in 60 steps the loss only went from {losses[0]:.3f} to {losses[-1]:.3f}",
        "let the scores depend on query and key, and gradients reach both",
    )
    return f"loss {losses[0]:.2f} to {losses[-1]:.2f} in 60 steps"
