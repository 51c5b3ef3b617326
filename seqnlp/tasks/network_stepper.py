"""The search's view of an encoder-decoder."""

from __future__ import annotations

import torch
from torch import Tensor

from seqnlp.nn.pointer import Sources
from seqnlp.tasks.decoding import Stepper, StepScores
from seqnlp.tasks.sequence import EncoderDecoder
from seqnlp.types import Copies, Encoded


class NetworkStepper(Stepper):
    """The search's view of one network. See `Stepper`.

    With copying, V is that of the output layer and the most slots of a source; see `Copies`.

    Args:
        encoded: the sources, B rows.
        copies: what can be copied, for a network that does.

    Raises:
        InputError: the network copies, and is not told what.
    """

    def __init__(
        self, network: EncoderDecoder, encoded: Encoded, copies: Copies | None = None
    ) -> None:
        copies = network.check_copies(copies)
        self.network = network
        self._copied = None if copies is None else Sources.of(copies)
        self.vocabulary_size = network.output.classes
        if self._copied is not None:
            self.vocabulary_size += self._copied.slots
        self.sources = len(encoded.mask)
        self._rows = self.sources
        self._memory, self._state = network.begin(encoded)

    def step(self, ids: Tensor) -> StepScores:
        """See `Stepper`."""
        network, copied = self.network, self._copied
        x = network.embed(ids if copied is None else copied.read(ids, network.output.classes))
        outputs, weights, self._state = network.decoder.step(x, self._memory, self._state)
        logits = network.output(outputs)
        if copied is None:
            return StepScores(logits=logits, weights=weights)
        assert network.pointer is not None
        assert weights is not None
        found = copied.log_probabilities(network.pointer(outputs, x), logits, weights)
        return StepScores(logits=found, weights=weights, normalized=True)

    def select(self, rows: Tensor) -> None:
        """See `Stepper`."""
        self._state, self._rows = self._state.select(rows), len(rows)

    def keep(self, sources: Tensor) -> None:
        """See `Stepper`."""
        each = self._rows // self.sources
        hypotheses = torch.arange(each, device=sources.device)
        self.select((sources.unsqueeze(1) * each + hypotheses).flatten())
        self._memory, self.sources = self._memory.select(sources), len(sources)
        if self._copied is not None:
            self._copied = self._copied.select(sources)
