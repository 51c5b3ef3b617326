"""The batch-normalized LSTM: torch.nn.BatchNorm1d step by step, and who counts in a statistic."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn, sigmoid, tanh

from seqnlp.errors import InputError
from seqnlp.nn import BatchNormLSTMCell, RecurrentEncoder, State, initialize, unroll
from tests.nn.cells.steps import B, D, H, scramble

T = 4
EXACT = {"rtol": 1e-11, "atol": 1e-12}


class Oracle(nn.Module):
    """The formula on torch's modules: three a step, whose gains and shift are the cell's."""

    def __init__(self, cell: BatchNormLSTMCell) -> None:
        super().__init__()
        self.cell = cell
        sizes = {"x": 4 * H, "h": 4 * H, "c": H}
        self.norms = nn.ModuleDict(
            {k: nn.ModuleList(nn.BatchNorm1d(n, momentum=None).double() for _ in range(cell.max_steps))
             for k, n in sizes.items()}
        )  # fmt: skip
        for norms, own in ((self.norms[k], getattr(cell, f"norm_{k}")) for k in sizes):
            for norm in norms:
                norm.weight = own.gain
                norm.bias = (
                    nn.Parameter(torch.zeros_like(own.gain)) if own.shift is None else own.shift
                )

    def forward(self, x: Tensor) -> Tensor:
        cell, outputs = self.cell, []
        h = c = x.new_zeros(len(x), H)
        for t, x_t in enumerate(x.unbind(1)):
            k = min(t, cell.max_steps - 1)
            sums = self.norms["x"][k](x_t @ cell.weight_x.T) + self.norms["h"][k](
                h @ cell.weight_h.T
            )
            i, f, g, o = (sums + cell.bias).chunk(4, 1)
            c = sigmoid(f) * c + sigmoid(i) * tanh(g)
            h = sigmoid(o) * tanh(self.norms["c"][k](c))
            outputs.append(h)
        return torch.stack(outputs, 1)


def make(max_steps: int = T, **options: float) -> BatchNormLSTMCell:
    torch.manual_seed(0)
    return scramble(BatchNormLSTMCell(D, H, max_steps=max_steps, **options))


def draw(*shape: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, D, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("max_steps", [T, T - 2, 1])
def test_training_and_evaluation_equal_torchs_modules(max_steps: int) -> None:
    cell = make(max_steps, momentum=0.001)  # a plain average for a thousand batches
    oracle = Oracle(cell)
    weights = [cell.weight_x, cell.weight_h, cell.bias, *cell.norm_c.parameters()]
    for seed in range(3):
        x = draw(B, T, seed=seed).requires_grad_()
        results = [unroll(cell, x)[0], oracle(x)]
        torch.testing.assert_close(*results, **EXACT)
        found, wanted = (torch.autograd.grad((r**2).sum(), [x, *weights]) for r in results)
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)
    cell.eval()
    oracle.eval()
    x = draw(B, T + 2, seed=9)
    torch.testing.assert_close(unroll(cell, x)[0][:, :T], oracle(x)[:, :T], **EXACT)
    for name in ("x", "h", "c"):
        own = getattr(cell, f"norm_{name}")
        for k, norm in enumerate(oracle.norms[name]):
            torch.testing.assert_close(own.mean[k], norm.running_mean, **EXACT)
            torch.testing.assert_close(own.variance[k], norm.running_var, **EXACT)


def test_running_averages_become_exponential() -> None:
    cell, norm = make(1, momentum=0.5), nn.BatchNorm1d(4 * H, momentum=0.5).double()
    for seed in range(5):
        x = draw(B, 1, seed=seed)
        unroll(cell, x)
        if seed == 0:  # the cell's first batch counts whole
            norm.running_mean = cell.norm_x.mean[0].clone()
            norm.running_var = cell.norm_x.variance[0].clone()
        else:
            norm(x[:, 0] @ cell.weight_x.T)
    torch.testing.assert_close(cell.norm_x.mean[0], norm.running_mean, **EXACT)
    torch.testing.assert_close(cell.norm_x.variance[0], norm.running_var, **EXACT)
    assert cell.batches.tolist() == [5]


@pytest.mark.parametrize("reverse", [False, True])
def test_only_rows_that_still_run_count(reverse: bool) -> None:
    """Each step's statistics are those of its rows, as if the others had never been there."""
    lengths, x = [4, 2, 0, 3, 2], draw(5, T)
    cell, plain = make(), make()
    outputs, (h, c, taken) = unroll(cell, x, torch.tensor(lengths), reverse=reverse)
    assert taken.tolist() == lengths
    states: list[State] = [plain.initial_state(1) for _ in lengths]
    for t in range(T):
        rows = [row for row, length in enumerate(lengths) if t < length]
        places = [lengths[row] - 1 - t if reverse else t for row in rows]
        before = tuple(map(torch.cat, zip(*(states[row] for row in rows), strict=True)))
        output, after = plain(x[rows, places], before)
        for k, (row, place) in enumerate(zip(rows, places, strict=True)):
            torch.testing.assert_close(outputs[row, place], output[k], **EXACT)
            states[row] = tuple(leaf[k : k + 1] for leaf in after)
    for row, state in enumerate(states):
        torch.testing.assert_close((h[row], c[row]), (state[0][0], state[1][0]), **EXACT)
    for one, other in zip(cell.buffers(), plain.buffers(), strict=True):
        assert torch.equal(one, other)
    assert cell.batches.tolist() == [1, 1, 1, 0]  # one row alone is no batch


def test_a_row_that_is_alone_is_normalized_as_in_evaluation() -> None:
    cell = make()
    for seed in range(3):
        unroll(cell, draw(B, T, seed=seed))
    other = deepcopy(cell).eval()
    x = draw(1, T, seed=5)
    assert torch.equal(unroll(cell, x)[0], unroll(other, x)[0])
    for one, before in zip(cell.buffers(), other.buffers(), strict=True):
        assert torch.equal(one, before)
    untrained = make()
    assert unroll(untrained, x)[0].isfinite().all()


def test_evaluation_treats_rows_apart_and_goes_on_past_what_training_saw() -> None:
    cell = make(10)
    for seed in range(3):
        unroll(cell, draw(B, T, seed=seed))
    cell.eval()
    x = draw(B, T + 3)
    together, _ = unroll(cell, x)
    for row in range(B):
        torch.testing.assert_close(unroll(cell, x[row : row + 1])[0][0], together[row], **EXACT)
    # Steps 4 to 6, which no batch has reached, use the statistics of step 3.
    shorter = make(T).eval()
    shorter.load_state_dict(
        {k: v[:T] if v.shape[:1] == (10,) else v for k, v in cell.state_dict().items()}
    )
    torch.testing.assert_close(unroll(shorter, x)[0], together, **EXACT)


def test_rows_may_stand_at_different_steps() -> None:
    """As when chunks are read on: each then uses the statistics of its own step."""
    cell = make()
    for seed in range(3):
        unroll(cell, draw(B, T, seed=seed))
    cell.eval()
    x = draw(2, T)
    _, first = unroll(cell, x[:1, :3])
    mixed = tuple(map(torch.cat, zip(first, cell.initial_state(1), strict=True)))
    outputs, _ = unroll(cell, torch.stack([x[0, 3:], x[1, :1]]), state=mixed)
    whole, _ = unroll(cell, x)
    torch.testing.assert_close(outputs[0, 0], whole[0, 3], **EXACT)
    torch.testing.assert_close(outputs[1, 0], whole[1, 0], **EXACT)
    cell.train()
    state = (torch.zeros(2, H).double(), torch.zeros(2, H).double(), torch.tensor([0, 2]))
    cell(x[:, 0], state)
    assert cell.batches.tolist() == [4, 3, 4, 3]
    for step in (0, 2):
        batches = [draw(B, T, seed=seed)[:, step] for seed in range(3)] + [x[:, 0]]
        mean = torch.stack([(batch @ cell.weight_x.T).mean(0) for batch in batches]).mean(0)
        torch.testing.assert_close(cell.norm_x.mean[step], mean.detach(), **EXACT)


def test_gains_begin_at_a_tenth_and_survive_initialization() -> None:
    cell = BatchNormLSTMCell(D, H)
    initialize(cell, forget_bias=1.5)
    for norm in (cell.norm_x, cell.norm_h, cell.norm_c):
        assert (norm.gain == 0.1).all()
    assert cell.norm_c.shift is not None
    assert cell.norm_x.shift is None
    assert cell.norm_h.shift is None
    assert cell.bias.view(4, H).tolist() == [[0.0] * H, [1.5] * H, [0.0] * H, [0.0] * H]
    for block in cell.weight_h.chunk(4):
        torch.testing.assert_close(block @ block.T, torch.eye(H))


def test_an_encoder_saves_what_it_has_seen() -> None:
    def build() -> RecurrentEncoder:
        return RecurrentEncoder(D, cell="batch_norm_lstm", cell_options={"max_steps": 3})

    encoder, other = build(), build()
    x = torch.randn(B, 5, D)
    lengths = torch.tensor([5, 3, 3, 1])
    for _ in range(3):
        encoder(x, lengths)
    other.load_state_dict(encoder.state_dict())
    first, second = (each.eval()(x, lengths).states for each in (encoder, other))
    assert torch.equal(first, second)
    assert other.layers[0].forward_cell.batches.tolist() == [3, 3, 3]


def test_wrong_options_are_named() -> None:
    with pytest.raises(InputError, match=r"^max_steps must be at least 1, not 0$"):
        BatchNormLSTMCell(D, H, max_steps=0)
    with pytest.raises(InputError, match=r"^momentum must be in \(0, 1\], not 0.0$"):
        BatchNormLSTMCell(D, H, momentum=0.0)
    assert repr(BatchNormLSTMCell(3, 5)).startswith(
        "BatchNormLSTMCell(\n  3, 5, max_steps=100, momentum=0.1\n"
    )
