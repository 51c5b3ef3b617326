"""A layer of a recurrent encoder: cells over time, then residual and normalization."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from seqnlp.errors import InputError
from seqnlp.nn import engines
from seqnlp.nn.cells.base import Cell, GatedCell, State
from seqnlp.nn.decoder import Decoder
from seqnlp.nn.engines.padding import Padding
from seqnlp.nn.modes import in_mode
from seqnlp.nn.noise import Noise
from seqnlp.nn.recurrent_dropout import RecurrentDropout
from seqnlp.nn.truncation import run_truncated


class RecurrentLayer(nn.Module):
    """One or two cells over one input, side by side.

    Args:
        forward_cell: reads each row from its start.
        backward_cell: reads each row from its end; None for one direction.
        residual: whether the input is added to the output, which has its size.
        layer_norm: whether the sum is normalized.
        engine: see `unroll`.
        zoneout_output: see `RecurrentDropout`.
        zoneout_memory: see `RecurrentDropout`.

    Raises:
        SettingsError: a zoneout rate does not suit the cell.
    """

    def __init__(
        self,
        forward_cell: Cell,
        backward_cell: Cell | None,
        *,
        residual: bool,
        layer_norm: bool,
        engine: str,
        zoneout_output: float = 0.0,
        zoneout_memory: float = 0.0,
    ) -> None:
        super().__init__()
        self.forward_cell = forward_cell
        self.backward_cell = backward_cell
        self.dropout = RecurrentDropout(
            forward_cell, zoneout_output=zoneout_output, zoneout_memory=zoneout_memory
        )
        self.residual = residual
        self.output_size = forward_cell.hidden_size * (1 if backward_cell is None else 2)
        self.norm = nn.LayerNorm(self.output_size) if layer_norm else None
        self.engine = engine
        self.truncation = 0

    def forward(self, x: Tensor, padding: Padding | None, state: State | None = None) -> Tensor:
        """From float [B, T, I] to [B, T, output_size], both zero on padding; B and T at least 1.

        A state is the forward cell's before the first step; None for its initial one, as must be
        where there are two directions.
        """
        if self.backward_cell is None:
            state = self.forward_cell.initial_state(x.shape[0]) if state is None else state
            outputs, _ = self._run(x, padding, state, want_state=False)
        else:
            assert state is None
            cells = self.forward_cell, self.backward_cell
            ahead, back = (self.dropout.draw(cell, *x.shape[:2]) for cell in cells)
            if self._truncates(x.shape[1]):
                halves = [
                    self._run_truncated(cell, x, padding, cell.initial_state(len(x)), noise)
                    for cell, noise in zip(cells, (ahead, back), strict=True)
                ]
                outputs = torch.cat([half for half, _ in halves], dim=2)
                return self.finish(outputs, x, padding)
            engine = engines.select(self.engine, cells[0], x, ahead, padding, both_directions=True)
            outputs = engine.run_both(*cells, x, padding, (ahead, back))
        return self.finish(outputs, x, padding)

    def advance(self, x: Tensor, padding: Padding | None, state: State) -> tuple[Tensor, State]:
        """`forward` from a state of the forward cell, in that direction only; and the new state."""
        if x.shape[1] == 1 and padding is None:
            output, state = self.step(x[:, 0], state)
            return output.unsqueeze(1), state
        outputs, final = self._run(x, padding, state, want_state=True)
        assert final is not None
        return self.finish(outputs, x, padding), final

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """`advance` by one step of every row, from float [B, I] to [B, output_size]."""
        cell = self.forward_cell
        noise = self.dropout.draw(cell, x.shape[0], 1)
        engine = engines.select(self.engine, cell, x.unsqueeze(1), noise)
        if noise is None:
            output, state = engine.step(cell, x, state)
        else:
            assert isinstance(cell, GatedCell)
            weight_h = cell.weight_h if noise.weight is None else cell.weight_h * noise.weight
            output, state = cell.noisy_step(x, state, noise.steps(1)[0], weight_h)
        return self.finish(output, x), state

    def explain(self, lengths: Sequence[int], *, training: bool) -> tuple[str, str | None]:
        """The engine of `forward` for rows of these lengths, and why it is a slow one, if it is.

        Nothing is run, and no generator of random numbers moves.

        Raises:
            InputError: as `engines.select`.
        """
        cell = self.forward_cell
        like = next(cell.parameters(), torch.zeros(()))
        x = like.new_zeros(len(lengths), max(lengths), cell.input_size)
        padding = Padding.of(torch.tensor(lengths, device=x.device), x)
        devices = [] if x.device.type == "cpu" else [x.device]
        with (
            in_mode(self, training=training),
            torch.random.fork_rng(devices),
            torch.set_grad_enabled(training),
        ):
            noise = self.dropout.draw(cell, *x.shape[:2])
            both = self.backward_cell is not None
            engine, why = engines.explain(
                self.engine, cell, x, noise, padding, both_directions=both
            )
        return engine.name, why

    def _run(
        self, x: Tensor, padding: Padding | None, state: State, *, want_state: bool
    ) -> tuple[Tensor, State | None]:
        cell = self.forward_cell
        noise = self.dropout.draw(cell, *x.shape[:2])
        if self._truncates(x.shape[1]):
            return self._run_truncated(cell, x, padding, state, noise)
        engine = engines.select(self.engine, cell, x, noise, padding)
        return engine.run(
            cell, x, padding, state, reverse=False, want_state=want_state, noise=noise
        )

    def _truncates(self, time: int) -> bool:
        """Whether there is a gradient to cut."""
        return 0 < self.truncation < time and self.training and torch.is_grad_enabled()

    def _run_truncated(
        self, cell: Cell, x: Tensor, padding: Padding | None, state: State, noise: Noise | None
    ) -> tuple[Tensor, State]:
        return run_truncated(
            cell, x, padding, state, steps=self.truncation, engine=self.engine,
            reverse=cell is self.backward_cell, noise=noise,
        )  # fmt: skip

    def finish(self, outputs: Tensor, x: Tensor, padding: Padding | None = None) -> Tensor:
        """What follows the cell: the sum with the layer's input, and normalization."""
        if self.residual:
            outputs = outputs + x
        if self.norm is not None:
            outputs = self.norm(outputs)
            if padding is not None:
                outputs = padding.zero(outputs)
        return outputs


def explain_engines(
    module: nn.Module, lengths: Sequence[int], *, training: bool
) -> dict[str, str | None]:
    """The engines of all recurrent layers in a module; raises as `RecurrentLayer.explain`."""
    return dict(layer.explain(lengths, training=training) for layer in _layers(module))


def ragged_lengths(batch_size: int, time: int) -> list[int]:
    """The lengths of a batch of rows of half of `time` to all of it."""
    return [time - row * (time // 2) // max(1, batch_size - 1) for row in range(batch_size)]


def set_engine(module: nn.Module, name: str) -> None:
    """Let another engine run every recurrent layer in a module.

    Raises:
        UnknownNameError: no engine has that name.
        InputError: there is no such layer.
    """
    engines.check(name)
    layers = list(_layers(module))
    if not layers:
        raise InputError(f"engine {name!r}: the model has no recurrent layer that it could run")
    for layer in layers:
        layer.engine = name


def set_truncation(module: nn.Module, steps: int) -> None:
    """Cut backpropagation through time in every recurrent layer of a module, while it trains.

    Args:
        module: its outputs stay the same.
        steps: of a row, after which the state is detached; 0 cuts nowhere.

    Raises:
        InputError: there is nothing to cut, or a decoder feeds each output to its next step.
    """
    layers = list(_layers(module))
    if steps and not layers:
        raise InputError("the model has no recurrent layer whose gradient could be cut")
    if steps and any(isinstance(each, Decoder) and each.sequential for each in module.modules()):
        raise InputError(
            "a decoder that feeds each output to its next step takes all steps in one call, which "
            "cannot be cut; use head.input_feeding=false"
        )
    for layer in layers:
        layer.truncation = steps


def _layers(module: nn.Module) -> Iterator[RecurrentLayer]:
    return (each for each in module.modules() if isinstance(each, RecurrentLayer))
