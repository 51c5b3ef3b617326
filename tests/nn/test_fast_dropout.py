"""Dropout from a seed: its statistics, its gradients, and the numbers that it is made of."""

from __future__ import annotations

import pytest
import torch

from seqnlp.nn import DropoutSite
from seqnlp.nn.engines import build
from seqnlp.nn.engines import dropout as engine
from seqnlp.nn.engines.dropout import dropout

compiled = pytest.mark.skipif(build.toolchain() is None, reason="no kernel can be compiled")
ROTATIONS = ((10, 26), (11, 21), (13, 27), (23, 5), (6, 20), (17, 11), (25, 10), (18, 20))


@pytest.fixture(params=["compiled", "torch"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way to draw."""
    if request.param == "torch":
        monkeypatch.setattr(build, "load", lambda source: None)
    elif build.toolchain() is None:
        pytest.skip("no kernel can be compiled")
    return str(request.param)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1000,), (3, 5, 7), (2, 64, 333), (0, 4)])
@pytest.mark.parametrize("rate", [0.0, 0.3, 0.77, 1e-9, 1 - 1e-9])
def test_is_dropout(path: str, shape: tuple[int, ...], rate: float, dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    x = torch.randn(shape, dtype=dtype, requires_grad=True)
    dropped = dropout(x, rate)
    kept = dropped != 0
    # What rounding makes of the rate.
    steps = 2**32 if path == "compiled" else 2**16
    share = min(round(rate * steps), steps - 1) / steps
    scale = 1 / (1 - rate) if path == "compiled" else 1 / (1 - share)
    torch.testing.assert_close(dropped[kept], x[kept] * scale)
    spread = 4 * (share * (1 - share) / max(1, x.numel())) ** 0.5
    if x.numel():
        assert float(kept.double().mean()) == pytest.approx(1 - share, abs=spread + 1e-9)
    upstream = torch.randn(shape, dtype=dtype)
    (gradient,) = torch.autograd.grad(dropped, x, upstream)
    expected = torch.where(kept, upstream * scale, torch.zeros((), dtype=dtype))
    torch.testing.assert_close(gradient, expected)
    torch.manual_seed(1)
    assert torch.equal(dropout(torch.randn(shape, dtype=dtype), rate), dropped)


def test_draws_each_element_by_itself(path: str) -> None:
    torch.manual_seed(0)
    kept = (dropout(torch.ones(4000, 64), 0.5) != 0).float() - 0.5
    likeness = kept.T @ kept / (4000 * 0.25)
    assert float((likeness - torch.eye(64)).abs().max()) < 0.1


def test_no_call_is_like_another(path: str) -> None:
    torch.manual_seed(0)
    one, other = ((dropout(torch.ones(100, 100), 0.5) != 0).float() for _ in range(2))
    assert float((one == other).float().mean()) == pytest.approx(0.5, abs=0.03)


def threefry(seed: int, count: int) -> list[int]:
    """Threefry-4x32-20 of Salmon et al. 2011, in the order of a block: 16 counters' first numbers,
    then their second ones.
    """
    whole = 2**32 - 1
    key = [seed & whole, seed >> 32, 0, 0]
    key.append(0x1BD11BDA ^ key[0] ^ key[1])
    blocks = []
    for counter in range(-(-count // 64) * 16):
        x = [(number + k) & whole for number, k in zip((counter, 0, 0, 0), key, strict=False)]
        for step in range(20):
            for place, to in ((0, 1 + step % 2 * 2), (2, 3 - step % 2 * 2)):
                by = ROTATIONS[step % 8][place // 2]
                x[place] = (x[place] + x[to]) & whole
                x[to] = ((x[to] << by | x[to] >> (32 - by)) & whole) ^ x[place]
            if step % 4 == 3:
                x = [(v + key[(step // 4 + 1 + i) % 5]) & whole for i, v in enumerate(x)]
                x[3] = (x[3] + step // 4 + 1) & whole
        blocks.append(x)
    return [
        blocks[block + i][k]
        for block in range(0, len(blocks), 16)
        for k in range(4)
        for i in range(16)
    ][:count]


def test_the_numbers_are_those_that_were_published() -> None:
    # The known answer for a key and a counter of zeros.
    assert threefry(0, 64)[::16] == [0x9C6CA96A, 0xE17EAE66, 0xFC10ECD4, 0x5256A7D8]


@compiled
@pytest.mark.parametrize("seed", [0, 1, 0x123456789ABCDEF0])
def test_the_kernel_draws_them(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_draw_seed", lambda: seed)
    drawn = torch.tensor(threefry(seed, 200), dtype=torch.float64) / 2**32
    for rate in (0.1, 0.25, 0.5, 0.9):
        assert torch.equal(dropout(torch.ones(200), rate) == 0, drawn < rate)


@compiled
def test_threads_change_not_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(7, 999)
    torch.manual_seed(3)
    expected = dropout(x, 0.4)
    monkeypatch.setattr(engine, "_ELEMENTS_A_THREAD", 1)
    for threads in (2, 5):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        torch.manual_seed(3)
        assert torch.equal(dropout(x, 0.4), expected)


def test_any_layout(path: str) -> None:
    x = torch.randn(5, 6, 7, dtype=torch.float64)
    for leaf in (x.transpose(0, 1), x.permute(2, 0, 1), x[:, ::2], x[:1].expand(4, 6, 7)):
        leaf = leaf.detach().requires_grad_()
        dropped = dropout(leaf, 0.3)
        torch.testing.assert_close(
            dropped[dropped != 0], (leaf / 0.7)[dropped != 0], rtol=1e-4, atol=0
        )
        (gradient,) = torch.autograd.grad(dropped.sum(), leaf)
        assert torch.equal(gradient != 0, dropped != 0)


def test_second_derivatives(path: str) -> None:
    def drop(x: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)
        return dropout(x * x, 0.3)

    x = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(drop, x)
    assert torch.autograd.gradgradcheck(drop, x)


def test_is_a_kind_of_a_site() -> None:
    site = DropoutSite("here", kind="fast")
    site.rate = 0.3
    torch.manual_seed(0)
    found = site(torch.ones(50, 50))
    torch.manual_seed(0)
    assert torch.equal(found, dropout(torch.ones(50, 50), 0.3))
