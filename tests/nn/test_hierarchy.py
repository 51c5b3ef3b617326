"""Hierarchical reading against a loop over sentences, for every registered cell."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from seqnlp import registry
from seqnlp.errors import InputError
from seqnlp.nn import (
    Encoder,
    HierarchicalEncoder,
    MaxPooling,
    RecurrentEncoder,
    SentenceEncoder,
    dropout_sites,
    quantize,
)
from seqnlp.nn.sentences import Sentences, move
from seqnlp.types import Encoded

D, H, T = 3, 4, 12
LENGTHS = [12, 1, 0, 7, 9]
EXACT: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-11}


def make(cell: str = "lstm", *, most: int = 0, inner: int = H, **options: Any) -> HierarchicalEncoder:  # fmt: skip
    torch.manual_seed(0)
    words = RecurrentEncoder(D, cell=cell, hidden_size=H, **options)
    sentences = RecurrentEncoder(words.output_size, cell=cell, hidden_size=inner)
    return HierarchicalEncoder(SentenceEncoder(words, sentences, most=most)).double().eval()


def batch(seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(len(LENGTHS), T, D, generator=generator, dtype=torch.float64)
    ends = torch.rand(len(LENGTHS), T, generator=generator) < 0.3
    return x, torch.tensor(LENGTHS), ends


def cut(length: int, ends: Sequence[bool], most: int) -> list[tuple[int, int]]:
    """Begin and end of each sentence of a document, the plain way."""
    if most and length <= most:
        ends = [False] * length
    found, begin = [], 0
    for t in range(length):
        if ends[t] or t == length - 1:
            size = t + 1 - begin
            pieces = -(-size // most) if most else 1
            edges = [begin + k * size // pieces for k in range(pieces + 1)]
            found += list(pairwise(edges))
            begin = t + 1
    return found


def loop(encoder: HierarchicalEncoder, x: Tensor, lengths: Tensor, ends: Tensor) -> Encoded:
    """Every document by itself, and every sentence of it."""
    rows, summaries = [], []
    for document, length in enumerate(lengths.tolist()):
        states = x.new_zeros(x.shape[1], encoder.output_size)
        spans = cut(length, ends[document].tolist(), encoder.reader.most)
        read = [
            encoder.reader.words(x[document : document + 1, a:b], torch.tensor([b - a]))
            for a, b in spans
        ]
        vectors = [encoder.reader.pooling(each) for each in read]
        whole = torch.stack(vectors, dim=1) if vectors else x.new_zeros(1, 0, encoder.output_size)
        above = encoder.reader.sentences(whole, torch.tensor([len(spans)]))
        for k, (a, b) in enumerate(spans):
            context = encoder.context.weight @ above.states[0, k] + encoder.context.bias
            states = torch.cat([states[:a], read[k].states[0] + context, states[b:]])
        rows.append(states)
        summaries.append(encoder.summary(above.summary)[0])
    mask = torch.arange(x.shape[1]) < lengths.unsqueeze(1)
    return Encoded(states=torch.stack(rows), mask=mask, summary=torch.stack(summaries))


def gradients(encoded: Encoded, wanted: list[Tensor]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(5)
    weights = torch.rand(encoded.states.shape, generator=generator, dtype=torch.float64)
    total = (encoded.states * weights).sum() + encoded.summary.square().sum()
    return list(torch.autograd.grad(total, wanted, materialize_grads=True))


@pytest.mark.parametrize("most", [0, 3])
@pytest.mark.parametrize("cell", sorted(registry.cells.names()))
def test_values_and_gradients_are_those_of_a_loop_over_sentences(cell: str, most: int) -> None:
    encoder = make(cell, most=most)
    x, lengths, ends = batch()
    x.requires_grad_()
    found, expected = encoder(x, lengths, ends), loop(encoder, x, lengths, ends)
    assert torch.equal(found.mask, expected.mask)
    torch.testing.assert_close(found.states, expected.states, **EXACT)
    torch.testing.assert_close(found.summary, expected.summary, **EXACT)
    wanted = [x, *encoder.parameters()]
    for one, other in zip(gradients(found, wanted), gradients(expected, wanted), strict=True):
        torch.testing.assert_close(one, other, **EXACT)


@pytest.mark.parametrize("options", [{"bidirectional": False}, {"layers": 2, "residual": True}])
def test_encoders_of_any_kind_and_size_stand_on_each_other(options: dict[str, Any]) -> None:
    encoder = make("gru", inner=3, **options)
    x, lengths, ends = batch()
    found, expected = encoder(x, lengths, ends), loop(encoder, x, lengths, ends)
    torch.testing.assert_close(found.states, expected.states, **EXACT)
    torch.testing.assert_close(found.summary, expected.summary, **EXACT)


def test_a_document_in_company_is_read_as_alone() -> None:
    encoder = make(most=4)
    x, lengths, ends = batch()
    together = encoder(x, lengths, ends)
    for row, length in enumerate(LENGTHS):
        only = slice(row, row + 1)
        alone = encoder(x[only, :length], lengths[only], ends[only, :length])
        torch.testing.assert_close(together.states[only, :length], alone.states, **EXACT)
        torch.testing.assert_close(together.summary[only], alone.summary, **EXACT)


@pytest.mark.parametrize("value", [1e6, float("nan")])
def test_padding_is_invisible(value: float) -> None:
    encoder = make(most=4)
    x, lengths, ends = batch()
    mask = torch.arange(T) < lengths.unsqueeze(1)
    other = torch.where(mask.unsqueeze(2), x, value).requires_grad_()
    one, two = encoder(x, lengths, ends), encoder(other, lengths, ends | ~mask)
    torch.testing.assert_close(two.states, one.states, rtol=0, atol=0)
    torch.testing.assert_close(two.summary, one.summary, rtol=0, atol=0)
    assert two.states[~mask].eq(0).all()
    assert gradients(two, [other])[0][~mask].eq(0).all()


def test_without_a_second_level_the_words_of_a_short_document_are_read_as_ever() -> None:
    encoder = make(most=T)
    x, lengths, ends = batch()
    with torch.no_grad():
        encoder.context.weight.zero_()
        encoder.context.bias.zero_()
    expected = encoder.reader.words(x, lengths).states
    torch.testing.assert_close(encoder(x, lengths, ends).states, expected, **EXACT)


def test_what_is_read_of_sentences_alone_is_the_second_level() -> None:
    encoder = make(most=4)
    x, lengths, ends = batch()
    above = encoder.reader(x, lengths, ends)
    spans = [cut(length, row, 4) for length, row in zip(LENGTHS, ends.tolist(), strict=True)]
    assert above.mask.sum(1).tolist() == list(map(len, spans))
    torch.testing.assert_close(
        encoder.summary(above.summary), encoder(x, lengths, ends).summary, **EXACT
    )


def test_a_pooling_makes_the_vectors_of_sentences() -> None:
    plain = make()
    torch.manual_seed(3)
    reader = plain.reader
    pooled = HierarchicalEncoder(
        SentenceEncoder(reader.words, reader.sentences, pooling=MaxPooling(2 * H))
    ).double()
    x, lengths, ends = batch()
    torch.testing.assert_close(
        pooled(x, lengths, ends).states, loop(pooled, x, lengths, ends).states, **EXACT
    )
    assert not torch.allclose(pooled(x, lengths, ends).states, plain(x, lengths, ends).states)


def test_nothing_is_read_of_no_rows_no_steps_and_empty_documents() -> None:
    encoder = make()
    for rows, steps in ((0, 3), (2, 0), (2, 3)):
        x = torch.randn(rows, steps, D, dtype=torch.float64)
        encoded = encoder(x, torch.zeros(rows, dtype=torch.int64))
        assert encoded.states.shape == (rows, steps, 2 * H)
        assert encoded.states.eq(0).all()
        assert not encoded.mask.any()
        assert encoded.summary.eq(0).all()


def test_dropout_sites_and_quantization_reach_both_levels() -> None:
    encoder = make()
    assert len(dropout_sites(encoder)["layer"]) == 2
    single = encoder.float()
    x, lengths, ends = batch()
    before = single(x.float(), lengths, ends).states
    after = quantize(single)(x.float(), lengths, ends).states
    assert 0 < (after - before).abs().max() < 0.05


documents = st.lists(st.lists(st.booleans(), max_size=20), min_size=1, max_size=6)


@given(documents, st.integers(0, 6))
def test_sentences_cover_documents_as_the_plain_way_has_it(
    marks: list[list[bool]], most: int
) -> None:
    time = max(map(len, marks))
    ends = torch.ones(len(marks), time, dtype=torch.bool)
    for row, each in enumerate(marks):
        ends[row, : len(each)] = torch.tensor(each, dtype=torch.bool)
    found = Sentences.of(torch.tensor(list(map(len, marks))), ends, time, most=most)
    spans = [cut(len(each), each, most) for each in marks]
    assert found.counts.tolist() == list(map(len, spans))
    assert found.documents.tolist() == [n for n, each in enumerate(spans) for _ in each]
    assert found.numbers.tolist() == [k for each in spans for k in range(len(each))]
    flat = [(n * time + a, b - a) for n, each in enumerate(spans) for a, b in each]
    assert list(zip(found.begins.tolist(), found.sizes.tolist(), strict=True)) == flat
    assert not most or max(found.sizes, default=0) <= most


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(1, 100))
def test_groups_hold_every_sentence_once_and_little_padding(sizes: list[int], block: int) -> None:
    many = np.array(sizes)
    layout = Sentences(
        documents=np.zeros_like(many), numbers=np.arange(len(many)),
        begins=np.cumsum(many) - many, sizes=many, counts=np.array([len(many)]),
    )  # fmt: skip
    groups = list(layout.groups(block))
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(sizes)))
    for group in groups:
        padded = len(group) * many[group].max()
        assert padded <= 2 * many[group].sum()
        assert padded <= block or len(group) == 1
    assert len(list(layout.groups())) <= 6  # as often as 50 can be halved
    sources = [layout.tokens(group)[0] for group in groups]
    assert sorted(np.concatenate(sources).tolist()) == list(range(many.sum()))


def test_a_move_has_the_gradients_of_a_permutation() -> None:
    rows = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    sources, places = np.array([4, 0, 2]), np.array([1, 3, 0])
    moved = move(rows, sources, places, 6)
    assert torch.equal(moved[[1, 3, 0]], rows[[4, 0, 2]])
    assert moved[[2, 4, 5]].eq(0).all()
    assert torch.autograd.gradcheck(lambda each: move(each, sources, places, 6), rows)
    assert torch.autograd.gradgradcheck(lambda each: move(each, sources, places, 6), rows)


def test_transforms_of_functions_follow() -> None:
    encoder = make()
    x, lengths, ends = batch()

    def total(x: Tensor) -> Tensor:
        encoded: Encoded = encoder(x, lengths, ends)
        return encoded.states.square().sum()

    expected = torch.autograd.grad(total(x.requires_grad_()), x)[0]
    torch.testing.assert_close(torch.func.grad(total)(x), expected, **EXACT)


class _Mean(Encoder):
    """An encoder that is not recurrent."""

    def forward(self, x: Tensor, lengths: Tensor) -> Encoded:
        mask = torch.arange(x.shape[1]) < lengths.unsqueeze(1)
        return Encoded(states=x * mask.unsqueeze(2), mask=mask, summary=x.sum(1))


def test_any_encoder_reads_either_level() -> None:
    encoder = HierarchicalEncoder(SentenceEncoder(_Mean(D, D), _Mean(D, D))).double()
    x, lengths, ends = batch()
    expected = loop(encoder, x, lengths, ends)
    torch.testing.assert_close(encoder(x, lengths, ends).states, expected.states, **EXACT)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(5, T, D + 1)}, r"x must be float \[B, T, 3\], not \[5, 12, 4\]"),
        ({"lengths": torch.tensor([1, 2])}, r"lengths must be int64 \[5\], one a row of x, not int64 \[2\]"),
        ({"lengths": torch.tensor([1, 2, 13, 4, 5])}, "row 2 has length 13, but x has 12 steps"),
        ({"ends": torch.zeros(5, T)}, r"ends must be bool \[5, 12\], as x has steps, not float32 \[5, 12\]"),
        ({"ends": torch.zeros(5, 2, dtype=torch.bool)}, r"ends must be bool \[5, 12\], .* not bool \[5, 2\]"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(change: dict[str, Tensor], message: str) -> None:
    x, lengths, ends = batch()
    with pytest.raises(InputError, match=message):
        make()(**{"x": x, "lengths": lengths, "ends": ends, **change})


def test_encoders_that_do_not_fit_each_other_are_refused() -> None:
    with pytest.raises(InputError, match="reads 5 features, but a sentence is 8"):
        SentenceEncoder(RecurrentEncoder(D, hidden_size=H), RecurrentEncoder(5))
    with pytest.raises(InputError, match="most must be at least 0, not -1"):
        make(most=-1)
    with pytest.raises(InputError, match="cannot stream"):
        make().initial_state(1)
