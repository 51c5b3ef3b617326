"""Broken attentions and poolings: which check catches each, and what it says."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from seqnlp.nn import Attention, Pooling, ScoredAttention
from seqnlp.testing import Report, check_attention, check_pooling
from seqnlp.types import Attended, Encoded, Memory


class Plain(ScoredAttention):
    """A bilinear score. Source: none."""

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__(query_size, memory_size)
        self.layer = nn.Linear(memory_size, query_size, bias=False)

    def prepare(self, memory: Encoded) -> Memory:
        return Memory(keys=self.layer(memory.states), values=memory.states, mask=memory.mask)

    def score(self, queries: Tensor, memory: Memory, history: Tensor | None) -> Tensor:
        return torch.bmm(queries, memory.keys.transpose(1, 2))


class Unmasked(Plain):
    """A softmax over padding, too."""

    def attend(self, queries: Tensor, memory: Memory, history: Tensor | None = None) -> Attended:
        weights = self.score(queries, memory, history).softmax(2)
        return Attended(context=torch.bmm(weights, memory.values), weights=weights)


class NoSoftmax(Plain):
    """Scores for shares."""

    def attend(self, queries: Tensor, memory: Memory, history: Tensor | None = None) -> Attended:
        weights = self.score(queries, memory, history) * memory.mask.unsqueeze(1)
        return Attended(context=torch.bmm(weights, memory.values), weights=weights)


class NotANumber(Plain):
    """Minus infinity in a row that is hidden altogether."""

    def attend(self, queries: Tensor, memory: Memory, history: Tensor | None = None) -> Attended:
        scores = self.score(queries, memory, history)
        weights = scores.masked_fill(~memory.mask.unsqueeze(1), -torch.inf).softmax(2)
        return Attended(context=torch.bmm(weights, memory.values), weights=weights)


class FirstQuery(Plain):
    """Gives all queries what the first would get."""

    def score(self, queries: Tensor, memory: Memory, history: Tensor | None) -> Tensor:
        return super().score(queries[:, :1].expand_as(queries), memory, history)


class Keeping(Plain):
    """Keeps the keys on itself."""

    def prepare(self, memory: Encoded) -> Memory:
        self.keys = self.layer(memory.states)
        return Memory(keys=memory.states, values=memory.states, mask=memory.mask)

    def score(self, queries: Tensor, memory: Memory, history: Tensor | None) -> Tensor:
        return torch.bmm(queries, self.keys.transpose(1, 2))


class DeafToHistory(Plain):
    """Says that it looks back."""

    history = "sum"


class SecretHistory(Plain):
    """Looks back, and says nothing of it."""

    def score(self, queries: Tensor, memory: Memory, history: Tensor | None) -> Tensor:
        scores = super().score(queries, memory, None)
        return scores if history is None else scores - history


class TimeFirst(Plain):
    """A memory that is not batch first."""

    def prepare(self, memory: Encoded) -> Memory:
        keys = self.layer(memory.states).transpose(0, 1)
        return Memory(keys=keys, values=memory.states, mask=memory.mask)

    def score(self, queries: Tensor, memory: Memory, history: Tensor | None) -> Tensor:
        return torch.bmm(queries, memory.keys.permute(1, 2, 0))


class NoHistoryOfItsOwn(Attention):
    """An attention that is no scored one and does not attend. Source: none."""

    history = "last"

    def prepare(self, memory: Encoded) -> Memory:
        return Memory(keys=memory.states, values=memory.states, mask=memory.mask)

    def forward(self, query: Tensor, memory: Memory) -> Attended:
        weights = memory.mask / memory.mask.sum(1, keepdim=True)
        context = (memory.values * weights.unsqueeze(2)).sum(1)
        return Attended(context=context, weights=weights)


ATTENTIONS = {
    Unmasked: ("weights are shares of the real positions", "masked_softmax(scores, memory.mask)"),
    NoSoftmax: ("weights are shares of the real positions", "normalize"),
    NotANumber: ("weights are shares of the real positions", "hidden altogether"),
    FirstQuery: ("many queries equal one by one", "let attend give each query"),
    Keeping: ("nothing is kept between calls", "keep no tensor on self"),
    DeafToHistory: ("a history is read where it says so", "leave history = 'none'"),
    SecretHistory: ("a history is read where it says so", "set history = 'last' or 'sum'"),
    TimeFirst: ("shapes are right", "put the batch first"),
    NoHistoryOfItsOwn: ("shapes are right", "mend"),
}


class Mean(Pooling):
    """The mean of the real states."""

    def forward(self, encoded: Encoded) -> Tensor:
        mask = encoded.mask.to(encoded.states.dtype).unsqueeze(2)
        total: Tensor = (encoded.states * mask).sum(1)
        return total / mask.sum(1).clamp_min(1)


class MeanOfAll(Pooling):
    """The mean of padding, too."""

    def forward(self, encoded: Encoded) -> Tensor:
        return encoded.states.mean(1)


class EmptyMean(Pooling):
    """A mean of nothing, sometimes."""

    def forward(self, encoded: Encoded) -> Tensor:
        mask = encoded.mask.to(encoded.states.dtype).unsqueeze(2)
        total: Tensor = (encoded.states * mask).sum(1)
        return total / mask.sum(1)


class TwiceAsWide(Mean):
    """Mean and summary, of which output_size knows nothing."""

    def forward(self, encoded: Encoded) -> Tensor:
        return torch.cat([super().forward(encoded), encoded.summary], dim=1)


class OfTheBatch(Mean):
    """Relative to the others."""

    def forward(self, encoded: Encoded) -> Tensor:
        pooled = super().forward(encoded)
        return pooled - pooled.mean(0)


class Overwriting(Mean):
    """Zeroes padding where it stands."""

    def forward(self, encoded: Encoded) -> Tensor:
        with torch.no_grad():
            encoded.states[~encoded.mask] = 0
        return super().forward(encoded)


POOLINGS = {
    MeanOfAll: ("padding is invisible", "read the states where encoded.mask is True"),
    EmptyMean: ("empty rows give zeros", "divide by max(n, 1)"),
    TwiceAsWide: ("shapes are right", "set it in __init__ to what forward gives"),
    OfTheBatch: ("a batch equals its rows one by one", "compute each row from itself alone"),
    Overwriting: ("inputs are left alone", "write x = x + y"),
}


def failed(report: Report) -> dict[str, str]:
    return {each.check: each.remedy for each in report.failed}


def test_plain_ones_pass() -> None:
    assert check_attention(Plain).ok
    assert check_pooling(Mean).ok


@pytest.mark.parametrize("fault", ATTENTIONS, ids=lambda fault: fault.__name__)
def test_a_broken_attention_is_caught_by_its_check(fault: type[Attention]) -> None:
    check, remedy = ATTENTIONS[fault]
    report = check_attention.examine(fault)
    assert remedy in failed(report).get(check, ""), report.lines()


@pytest.mark.parametrize("fault", POOLINGS, ids=lambda fault: fault.__name__)
def test_a_broken_pooling_is_caught_by_its_check(fault: type[Pooling]) -> None:
    check, remedy = POOLINGS[fault]
    report = check_pooling.examine(fault)
    assert remedy in failed(report).get(check, ""), report.lines()
