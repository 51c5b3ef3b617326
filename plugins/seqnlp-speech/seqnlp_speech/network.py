"""Frames to log-probabilities of symbols: stacked, encoded, projected."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqnlp.config import ModelSettings
from seqnlp.nn import DropoutSite, EncoderState
from seqnlp.tasks import build_encoder
from seqnlp_speech.augmentation import mask_stripes
from seqnlp_speech.features import stack_frames
from seqnlp_speech.options import SpeechOptions


class Recognizer(nn.Module):
    """Any registered encoder between frames and symbols.

    Args:
        model: names the encoder. options: of the task. symbols: V, the blank included.
    """

    def __init__(self, model: ModelSettings, options: SpeechOptions, *, symbols: int) -> None:
        super().__init__()
        features = options.features
        self.options = options
        size = features.bands * (1 + features.deltas) * features.stack
        self.encoder = build_encoder(model, size)
        self.dropout = DropoutSite("output")
        self.output = nn.Linear(self.encoder.output_size, symbols)

    def forward(self, x: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities float [B, T', V] of frames [B, T, D], int64 [B] of them real.

        The second is int64 [B], steps of each row. In training, stripes are masked out.
        """
        features = self.options.features
        if self.training:
            x = mask_stripes(x, frames, self.options.augment)
        steps = -(-frames // features.stride)
        encoded = self.encoder(stack_frames(x, stack=features.stack, stride=features.stride), steps)
        return self._symbols(encoded.states), steps

    def advance(self, x: Tensor, state: EncoderState) -> tuple[Tensor, EncoderState]:
        """Read on by float [B, T', stack * D]: log-probabilities [B, T', V] and the new state."""
        encoded, state = self.encoder.advance(x, None, state)
        return self._symbols(encoded.states), state

    def _symbols(self, states: Tensor) -> Tensor:
        return functional.log_softmax(self.output(self.dropout(states)), dim=-1)


def ctc_loss(logs: Tensor, steps: Tensor, targets: Tensor, lengths: Tensor) -> Tensor:
    """-log of the probability of texts by any of their alignments, summed over rows; nats.

    A text that no alignment has, since there are fewer steps than it needs, counts nothing:
    `SpeechTask.read` leaves such rows out, and says how many.

    Args:
        logs: float [B, T, V]. steps, lengths: int64 [B], of each row. targets: int64 [B, S].
    Source: Graves et al. 2006, "Connectionist temporal classification: labelling unsegmented
    sequence data with recurrent neural networks".
    """
    flat = torch.cat([row[:size] for row, size in zip(targets, lengths.tolist(), strict=True)])
    return functional.ctc_loss(
        logs.transpose(0, 1), flat, steps, lengths, reduction="sum", zero_infinity=True
    )


def loss_of(logs: Tensor, symbols: Sequence[int]) -> Tensor:
    """`ctc_loss` of one text by each of several models: log-probabilities float [M, T, V]."""
    models, steps, _ = logs.shape
    targets = torch.tensor(symbols).expand(models, -1)
    sizes = torch.tensor([[steps, len(symbols)]]).expand(models, -1)
    return ctc_loss(logs, sizes[:, 0], targets, sizes[:, 1])
