"""What every network owes that reads padded rows: encoders, decoders, attentions, poolings."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from seqnlp.nn import dropout_sites
from seqnlp.testing.contract import Contract, Skip, Violation
from seqnlp.testing.network import HasNetwork
from seqnlp.testing.requiring import require
from seqnlp.testing.seeding import SEEDS, UNSEEDED
from seqnlp.testing.tensors import Inputs, held_tensors, require_close, require_finite

IN_PLACE = "change no tensor that was handed in: write x = x + y, not x += y or x.add_(y)"
BY_ROWS = (
    "compute each row from itself alone: no sum, mean or norm over axis 0, and no view that mixes "
    "the batch with another axis"
)
_GARBAGE = 1e3
# Of gradcheck's fast mode, which multiplies it by the sums of random directions.
_ATOL, _RTOL = 1e-6, 1e-3


def add_network_checks(contract: Contract[Any]) -> None:
    """Add to a contract all that holds for any network."""
    for name, check in (
        ("types of numbers are kept", _keeps_types),
        ("padding is invisible", _padding_is_invisible),
        ("a batch equals its rows one by one", _rows_are_alone),
        ("the order of a batch is irrelevant", _order_is_irrelevant),
        ("inputs are left alone", _leaves_inputs),
        ("nothing is kept between calls", _keeps_nothing),
        ("gradients are right", _gradients_are_right),
        ("every weight learns", _weights_learn),
        ("a seed repeats it", _seed_repeats),
        ("training differs by dropout only", _modes_agree),
        ("saved and loaded it is the same", _saves),
    ):
        contract.check(name)(check)


def _keeps_types(subject: HasNetwork) -> str | None:
    network = subject.network
    for dtype in (torch.float32, torch.float64):
        outputs = network.run(network.make().to(dtype), network.inputs(3).to(dtype))
        for name, found in outputs.items():
            require(
                found.dtype == dtype, f"{name} are {found.dtype} for inputs and weights of {dtype}",
                "make new tensors like an input, x.new_zeros(...), and cast nothing",
            )  # fmt: skip
            require_finite(found, name, "divide by no sum that may be zero")
    return None


def _padding_is_invisible(subject: HasNetwork) -> str | None:
    network = subject.network
    for rows in network.batches:
        module, clean = network.make(), network.inputs(rows).garbled(0.0)
        for dirty, how in (
            (clean.garbled(_GARBAGE), f"with {_GARBAGE:g} on padding"),
            (clean.garbled(_GARBAGE, wider=3), "with three more steps of padding"),
        ):
            same = f"B = {rows}: " if len(network.batches) > 1 else ""
            values = [network.real(network.run(module, each), each) for each in (clean, dirty)]
            for name in values[0]:
                what = f"{same}{name} with zeros on padding and {how}"
                require_close(values[1][name], values[0][name], what, network.padding)
            gradients = [network.gradients(module, each) for each in (clean, dirty)]
            for name in gradients[0]:
                what = f"{same}gradients by {name} with zeros on padding and {how}"
                key = name.removeprefix("input ")
                if key == name or key not in clean.lengths:
                    require_close(gradients[1][name], gradients[0][name], what, network.padding)
                    continue
                real = [
                    each[name][by.mask(key)]
                    for each, by in zip(gradients, (clean, dirty), strict=True)
                ]
                require_close(real[1], real[0], what, network.padding)
                absent = gradients[1][name][~dirty.mask(key)]
                require_close(
                    absent,
                    torch.zeros_like(absent),
                    f"{same}gradients that reach padding of {key}, and zero,",
                    network.padding,
                )
    return None


def _rows_are_alone(subject: HasNetwork) -> str | None:
    network = subject.network
    for rows in network.batches:
        module, inputs = network.make(), network.inputs(rows)
        whole = network.run(module, inputs)
        for row in range(rows):
            alone = inputs.alone(row)
            own = network.real(network.run(module, alone), alone)
            one = inputs.select(torch.tensor([row]))
            among = network.real({name: found[row : row + 1] for name, found in whole.items()}, one)
            for name in own:
                what = f"{name} of row {row} in a batch of {rows} and alone"
                require_close(among[name], own[name], what, f"{BY_ROWS}; {network.padding}")
    return None


def _order_is_irrelevant(subject: HasNetwork) -> str | None:
    network = subject.network
    module, inputs = network.make(), network.inputs(5)
    order = torch.tensor([3, 0, 4, 1, 2])
    turned = network.run(module, inputs.select(order))
    for name, found in network.run(module, inputs).items():
        what = f"{name} of rows in another order and in this one"
        require_close(turned[name], found[order], what, BY_ROWS)
    return None


def _leaves_inputs(subject: HasNetwork) -> str | None:
    network = subject.network
    inputs = network.inputs(3)
    before, module = inputs.learning().tensors, network.make()
    weights = deepcopy(module.state_dict())
    network.run(module, inputs)
    for name, each in inputs.tensors.items():
        require_close(each, before[name], f"the input {name} after a call and before", IN_PLACE)
    for name, value in module.state_dict().items():
        if isinstance(value, Tensor) and name in weights:
            require_close(
                value.double(), weights[name].double(),
                f"{name} after a call in evaluation and before",
                "change weights and buffers in training only",
            )  # fmt: skip
    return None


def _keeps_nothing(subject: HasNetwork) -> str | None:
    network = subject.network
    module, first, other = network.make(), network.inputs(4), network.inputs(3)
    held = held_tensors(module)
    before = network.run(module, first)
    network.run(module, other)
    remedy = "keep no tensor on self in forward: return it, or hand it on as an argument"
    for name, found in network.run(module, first).items():
        require_close(found, before[name], f"{name} of a batch, asked again and at first", remedy)
    for name in held_tensors(module) - held:
        raise Violation(
            f"after a call the module holds a tensor of the batch in self.{name}", remedy
        )
    network.gradients(module, first)
    network.gradients(module, other)
    return None


def _gradients_are_right(subject: HasNetwork) -> str | None:
    network = subject.network
    module, inputs = network.make(), network.inputs(2).learning()
    names = list(inputs.tensors)
    weights = dict(module.named_parameters())

    def compute(*tensors: Tensor) -> tuple[Tensor, ...]:
        given = Inputs(tensors=dict(zip(names, tensors, strict=False)), lengths=inputs.lengths)
        # Weights are moved in place, in the module itself. One tensor: of several, gradcheck leaves
        # out those that have lost their gradient.
        found = network.real(network.run(module, given), given)
        return (torch.cat([each.flatten() for each in found.values()]),)

    tensors = (*inputs.tensors.values(), *weights.values())
    try:
        torch.autograd.gradcheck(compute, tensors, fast_mode=True, atol=_ATOL, rtol=_RTOL)
    except RuntimeError as error:
        if "Jacobian mismatch" not in str(error):
            raise
        culprits = _wrong_gradients(compute, tensors, [*names, *weights])
        raise Violation(
            f"gradients by {', '.join(culprits) or 'inputs'} are not those of the values that come "
            "out (float64, finite differences)",
            "detach nothing on the way, and where a backward is written by hand, derive it again",
        ) from error
    return None


def _wrong_gradients(
    compute: Callable[..., tuple[Tensor, ...]], tensors: tuple[Tensor, ...], names: list[str]
) -> list[str]:
    found = []
    for index, name in enumerate(names):

        def by_one(one: Tensor, index: int = index) -> tuple[Tensor, ...]:
            return compute(*(one if i == index else each for i, each in enumerate(tensors)))

        try:
            torch.autograd.gradcheck(
                by_one, (tensors[index],), fast_mode=True, atol=_ATOL, rtol=_RTOL
            )
        except RuntimeError:
            found.append(name)
    return found


def _weights_learn(subject: HasNetwork) -> str | None:
    network = subject.network
    module = network.make()
    wanted = [name for name, each in module.named_parameters() if each.requires_grad]
    if not wanted:
        raise Skip("it has no weights")
    found = network.gradients(module, network.inputs(4))
    still = [name for name in wanted if not found[name].any()]
    require(
        not still, f"no gradient reaches the weights {', '.join(still)}",
        "use them in forward, or do not make them; a weight that is meant to rest is a buffer",
    )  # fmt: skip
    return f"{sum(each.numel() for each in module.parameters()):,} numbers are trained"


def _seed_repeats(subject: HasNetwork) -> str | None:
    network = subject.network
    made = []
    for _ in range(2):
        torch.manual_seed(1)
        made.append(network.make())
    for name, value in made[0].state_dict().items():
        require_close(
            value.double(), made[1].state_dict()[name].double(),
            f"{name} of two that were made with one seed",
            "draw first weights by torch alone, and leave its seed alone",
        )  # fmt: skip
    after = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        network.make()
        after.append(torch.random.get_rng_state())
    require(not torch.equal(*after), SEEDS, UNSEEDED)
    inputs = network.inputs(3)
    values = [network.run(module, inputs) for module in made]
    for name in values[0]:
        require_close(
            values[1][name], values[0][name], f"{name} of two that were made with one seed",
            "make evaluation free of chance",
        )  # fmt: skip
    return None


def _modes_agree(subject: HasNetwork) -> str | None:
    network = subject.network
    module, inputs = network.make(), network.inputs(4)
    sites = dropout_sites(module)
    fixed = [each for each in module.modules() if isinstance(each, nn.modules.dropout._DropoutNd)]
    for each in fixed:
        each.p = 0.0
    expected = network.run(module, inputs)
    trained = network.run(module.train(), inputs)
    for name, found in trained.items():
        require_close(
            found, expected[name], f"{name} in training, all dropout at 0, and in evaluation",
            "let nothing but dropout depend on the mode, by sites: seqnlp.nn.DropoutSite(name)",
        )  # fmt: skip
    for own in sites.values():
        for site in own:
            if site.kinds:
                site.rate = 0.5
    for each in fixed:
        each.p = 0.5
    for name, found in network.run(module, inputs).items():
        require_finite(found, f"{name} with dropout", "divide by no sum that dropout may empty")
    for name, found in network.run(module.eval(), inputs).items():
        require_close(
            found, expected[name], f"{name} in evaluation, with dropout set and not",
            "drop nothing in evaluation: F.dropout needs training=self.training",
        )  # fmt: skip
    return f"dropout sites: {', '.join(sites)}" if sites else "it has no dropout sites"


def _saves(subject: HasNetwork) -> str | None:
    network = subject.network
    module, inputs = network.make(), network.inputs(3)
    with torch.no_grad():
        for each in module.parameters():
            each.add_(0.1 * torch.rand_like(each))
    state = module.state_dict()
    odd = [name for name, value in state.items() if not isinstance(value, Tensor)]
    require(
        not odd, f"its state_dict holds {', '.join(odd)}, which are no tensors",
        "keep in it weights and buffers only, which is what safetensors can hold",
    )  # fmt: skip
    fresh = network.make()
    remedy = (
        "register what it learns as nn.Parameter or register_buffer, and submodules as attributes "
        "or in nn.ModuleList, not in a plain list"
    )
    missing = fresh.load_state_dict({k: v.clone() for k, v in state.items()}, strict=False)
    require(not missing.missing_keys, f"weights are missing: {missing.missing_keys}", remedy)
    expected = network.run(module, inputs)
    for copy, how in ((fresh, "weights saved and loaded"), (deepcopy(module), "a deep copy")):
        for name, found in network.run(copy, inputs).items():
            require_close(found, expected[name], f"{name} of {how} and the original", remedy)
    return None
