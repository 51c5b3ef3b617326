"""Transforms of torch.func over what otherwise runs in kernels of our own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jvp, vjp, vmap

from seqnlp import registry
from seqnlp.errors import InputError
from seqnlp.nn import OutputLayer, RecurrentDecoder, RecurrentEncoder, engines, unroll
from seqnlp.nn.affine import Affine
from seqnlp.nn.engines import build
from seqnlp.nn.engines.additive import additive_scores
from seqnlp.nn.engines.dropout import dropout
from seqnlp.nn.layer import set_engine
from seqnlp.types import Encoded
from tests.nn.gated import assert_equal, weigh

CELLS = sorted(name for name, package in registry.cells.names().items() if package == "seqnlp")
# Their rows are looked for one by one, which vmap over lengths cannot do.
CELLS_INTERACT = {name: registry.cells.get(name).rows_interact for name in CELLS}
ENGINES = ["reference", "auto"]
LENGTHS = torch.tensor([4, 0, 2])
EXACT = 1e-12


def make(cell: str = "lstm", engine: str = "auto", **options: object) -> RecurrentEncoder:
    torch.manual_seed(0)
    encoder = RecurrentEncoder(3, hidden_size=5, cell=cell, engine=engine, cell_options=options)
    # In training, batch normalization counts, which changes what a function may not change.
    return encoder.double().eval()


def make_x() -> Tensor:
    return torch.randn(3, 4, 3, generator=torch.Generator().manual_seed(1)).double()


def apply(encoder: nn.Module, parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
    encoded = functional_call(encoder, dict(parameters), (x, LENGTHS))
    return weigh([encoded.states, encoded.summary])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("cell", CELLS)
def test_grad_equals_backward(cell: str, engine: str) -> None:
    encoder, x = make(cell, engine), make_x()
    parameters = dict(encoder.named_parameters())
    found = grad(lambda p, x: apply(encoder, p, x), argnums=(0, 1))(parameters, x)
    back = vjp(lambda x: apply(encoder, parameters, x), x)[1]
    x.requires_grad_()
    leaves = [*parameters.values(), x]
    expected = torch.autograd.grad(apply(encoder, parameters, x), leaves)
    assert_equal([*found[0].values(), found[1]], expected, 1e-10)
    assert_equal(back(torch.tensor(1.0).double()), expected[-1:], 1e-10)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("cell", [name for name in CELLS if not CELLS_INTERACT[name]])
def test_vmap_equals_one_after_the_other(cell: str, engine: str) -> None:
    encoder = make(cell, engine)
    x = torch.stack([make_x(), 0.5 * make_x()])
    lengths = torch.tensor([[4, 0, 2], [1, 3, 4]])
    found = vmap(lambda x, n: encoder(x, n).states)(x, lengths)
    expected = [encoder(each, ends).states for each, ends in zip(x, lengths, strict=True)]
    assert_equal(list(found), expected, EXACT)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_gradients_of_gradients_and_along_a_direction() -> None:
    encoder, x = make("gru"), make_x()
    run: Callable[[Tensor], Tensor] = lambda x: apply(encoder, {}, x)  # noqa: E731
    steepness: Callable[[Tensor], Tensor] = lambda x: grad(run)(x).square().sum()  # noqa: E731
    found = grad(steepness)(x)
    leaf = x.clone().requires_grad_()
    (first,) = torch.autograd.grad(run(leaf), leaf, create_graph=True)
    assert_equal([found], torch.autograd.grad(first.square().sum(), leaf), 1e-10)
    direction = torch.ones_like(x)
    along = jvp(run, (x,), (direction,))[1]
    assert_equal([along], [(first.detach() * direction).sum()], 1e-10)


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("cell", ["lstm", "gru", "min_gru"])
def test_forward_derivatives_do_not_ask_for_gradients(cell: str, gradients: bool) -> None:
    encoder, x = make(cell).float(), make_x().float()
    found = []
    for engine in ENGINES:
        set_engine(encoder, engine)
        with torch.set_grad_enabled(gradients), forward_ad.dual_level():  # type: ignore[no-untyped-call]
            dual = forward_ad.make_dual(x, torch.ones_like(x))
            found.append(forward_ad.unpack_dual(encoder(dual, LENGTHS).states).tangent)
    assert found[0] is not None
    assert_equal([found[1]], [found[0]], 1e-6)


@pytest.mark.parametrize("cell", ["lstm", "min_gru", "layer_norm_lstm"])
def test_fused_says_what_stands_in_the_way_and_runs_again_after_it(cell: str) -> None:
    encoder, x = make(cell, "fused"), make_x()
    with pytest.raises(InputError) as caught:
        grad(lambda x: apply(encoder, {}, x))(x)
    assert str(caught.value).startswith("the engine 'fused' cannot run ")
    assert str(caught.value).endswith(
        "): its kernels are not operations of torch, which transforms of torch.func are made of; "
        "use 'reference', which runs every cell, or 'auto'"
    )
    fresh = registry.cells.get(cell)(3, 7).double()  # of a size that was never traced
    with pytest.raises(InputError, match="transforms of torch.func"):
        vmap(lambda x: unroll(fresh, x, engine="fused")[0])(x.unsqueeze(0))
    found = unroll(fresh, x, engine="fused")[0]
    assert_equal([found], [unroll(fresh, x, engine="reference")[0]], EXACT)


def test_auto_warns_of_the_slower_loop_for_each_reason(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engines, "_TOLD", set())
    encoder, x = make(), make_x()
    for _ in range(2):
        grad(lambda x: apply(encoder, {}, x))(x)
    assert [record.getMessage() for record in caplog.records] == [
        "LSTMCell runs in the slower reference loop: its kernels are not operations of torch, "
        "which transforms of torch.func are made of"
    ]


@pytest.mark.parametrize("cell", ["gru", "min_gru", "lru", "qrnn"])
def test_many_gradients_at_once_go_back_through_kernels(cell: str) -> None:
    encoder, x = make(cell), make_x().requires_grad_()
    summary = encoder(x, LENGTHS).summary
    rows = torch.eye(summary.numel()).double().view(-1, *summary.shape)
    found = torch.autograd.grad(summary, x, rows, is_grads_batched=True, retain_graph=True)
    expected = [torch.autograd.grad(summary, x, row, retain_graph=True)[0] for row in rows]
    assert_equal(list(found[0]), expected, 1e-10)


@pytest.mark.skipif(build.toolchain() is None, reason="no kernel can be compiled")
def test_scores_are_not_compiled() -> None:
    queries, keys, vector = torch.randn(2, 8, 32), torch.randn(2, 16, 32), torch.randn(32)
    mask = torch.ones(2, 16, dtype=torch.bool)
    assert additive_scores(queries, keys, vector, mask) is not None

    def score(queries: Tensor) -> Tensor:
        assert additive_scores(queries, keys, vector, mask) is None
        return queries

    vmap(score)(queries.unsqueeze(0))


def test_products_and_losses_are_torchs_own() -> None:
    torch.manual_seed(0)
    layer, x = Affine(64, 64).double(), torch.randn(64, 64).double()
    weight = layer.weight.detach()
    output, targets = OutputLayer(64, 50).double(), torch.arange(64) % 50

    def loss(x: Tensor) -> Tensor:
        return output.loss(x, targets)

    assert_equal([grad(lambda x: layer(x).sum())(x)], [weight.sum(0).expand(64, -1)], EXACT)
    assert_equal([vmap(layer)(x.unsqueeze(1)).squeeze(1)], [layer(x)], EXACT)
    leaf = x.clone().requires_grad_()
    assert_equal([grad(loss)(x)], torch.autograd.grad(loss(leaf), leaf), 1e-10)
    assert grad(lambda x: grad(loss)(x).square().sum())(x).abs().sum() > 0
    several = vmap(lambda t: output.loss(x, t))(torch.stack([targets, targets.flip(0)]))
    assert_equal([several[0]], [loss(x)], 1e-10)


def test_dropout_under_transforms() -> None:
    x = torch.ones(50, 20).double()
    slope = grad(lambda x: dropout(x, 0.5).sum())(x)
    assert set(slope.unique().tolist()) == {0.0, 2.0}
    found = vmap(lambda x: dropout(x, 0.5), randomness="different")(torch.stack([x, x]))
    assert not torch.equal(found[0], found[1])
    leaf = x.clone().requires_grad_()
    dropped = dropout(leaf, 0.5)
    rows = torch.stack([torch.ones_like(x), 3 * torch.ones_like(x)])
    (batched,) = torch.autograd.grad(dropped, leaf, rows, is_grads_batched=True)
    assert_equal(list(batched), [dropped.detach(), 3 * dropped.detach()], EXACT)


@pytest.mark.parametrize("input_feeding", [False, True])
def test_a_decoder(input_feeding: bool) -> None:
    torch.manual_seed(0)
    decoder = RecurrentDecoder(
        4, 6, 5, hidden_size=6, output_size=6, cell="gru", attention="general",
        input_feeding=input_feeding,
    ).double()  # fmt: skip
    x, states = torch.randn(3, 4, 4).double(), torch.randn(3, 5, 6).double()
    summary, mask = torch.randn(3, 5).double(), torch.ones(3, 5, dtype=torch.bool)

    def run(x: Tensor, states: Tensor) -> Tensor:
        encoded = Encoded(states=states, mask=mask, summary=summary)
        state, memory = decoder.initial_state(encoded), decoder.prepare(encoded)
        return weigh([decoder(x, LENGTHS, memory, state).outputs])

    found = grad(run, argnums=(0, 1))(x, states)
    leaves = [x.requires_grad_(), states.requires_grad_()]
    assert_equal(found, torch.autograd.grad(run(*leaves), leaves), 1e-10)


def test_second_derivatives_reach_what_does_not_lie_in_rows() -> None:
    """A kernel reads copies then, which must be a part of the graph."""
    for name in ("min_gru", "lru"):
        cell = registry.cells.get(name)(3, 5).double()
        turned = make_x().transpose(1, 2).contiguous().requires_grad_()
        found = []
        for engine in ("fused", "reference"):
            outputs, _ = unroll(cell, turned.transpose(1, 2), engine=engine)
            (first,) = torch.autograd.grad(F.tanh(outputs).sum(), turned, create_graph=True)
            found.append(torch.autograd.grad(weigh([first]), turned)[0])
        assert_equal(found[:1], found[1:], 1e-10)
