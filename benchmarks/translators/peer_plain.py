"""The same model in plain PyTorch, as a good programmer writes it first, as a contender.

A bidirectional GRU over packed rows, additive attention with input feeding in a Python loop over
the target, the output layer over real tokens only, a fused Adam. Bahdanau et al. 2015,
arXiv:1409.0473; Luong et al. 2015, arXiv:1508.04025, section 3.3. The sizes are those of the
JoeyNMT contender.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from translators.protocol import Answer, serve

UNK, PAD, BOS, EOS = range(4)
SIZE, RATE, BATCH = 256, 0.3, 64


class PlainTranslator(nn.Module):
    """Encoder, decoder and output layer.

    Args:
        source_words, target_words: sizes of the vocabularies.
    """

    def __init__(self, source_words: int, target_words: int) -> None:
        super().__init__()
        self.source = nn.Embedding(source_words, SIZE)
        self.target = nn.Embedding(target_words, SIZE)
        self.encoder = nn.GRU(SIZE, SIZE, bidirectional=True, batch_first=True)
        self.bridge = nn.Linear(2 * SIZE, SIZE)
        self.embedded_gates = nn.Linear(SIZE, 3 * SIZE)
        self.fed_gates = nn.Linear(SIZE, 3 * SIZE, bias=False)
        self.hidden_gates = nn.Linear(SIZE, 3 * SIZE)
        self.keys = nn.Linear(2 * SIZE, SIZE, bias=False)
        self.query = nn.Linear(SIZE, SIZE, bias=False)
        self.energy = nn.Linear(SIZE, 1, bias=False)
        self.combine = nn.Linear(3 * SIZE, SIZE)
        self.output = nn.Linear(SIZE, target_words, bias=False)
        for weight in self.parameters():
            if weight.dim() > 1:
                nn.init.xavier_uniform_(weight)
            else:
                nn.init.zeros_(weight)

    def forward(self, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor:
        """The outputs before the last layer, float [B, T, SIZE], for ids [B, S] and [B, T]."""
        embedded = F.dropout(self.source(source), RATE, self.training)
        packed = nn.utils.rnn.pack_padded_sequence(embedded, lengths, batch_first=True)
        states, last = self.encoder(packed)
        memory, _ = nn.utils.rnn.pad_packed_sequence(states, batch_first=True)
        memory = F.dropout(memory, RATE, self.training)
        hidden = torch.tanh(self.bridge(torch.cat([last[0], last[1]], 1)))
        keys, hide = self.keys(memory), source == PAD
        gates = self.embedded_gates(F.dropout(self.target(target), RATE, self.training))
        fed, outputs = torch.zeros_like(hidden), []
        for step in gates.unbind(1):
            fed_gates = self.fed_gates(F.dropout(fed, RATE, self.training))
            hidden = self._update(step + fed_gates, hidden)
            energies = self.energy(torch.tanh(keys + self.query(hidden).unsqueeze(1))).squeeze(2)
            weights = torch.softmax(energies.masked_fill(hide, -1e9), 1)
            context = torch.bmm(weights.unsqueeze(1), memory).squeeze(1)
            both = F.dropout(torch.cat([hidden, context], 1), RATE, self.training)
            fed = torch.tanh(self.combine(both))
            outputs.append(fed)
        return torch.stack(outputs, 1)

    def _update(self, x_gates: Tensor, hidden: Tensor) -> Tensor:
        x_reset, x_update, x_new = x_gates.chunk(3, 1)
        h_reset, h_update, h_new = self.hidden_gates(hidden).chunk(3, 1)
        reset, update = torch.sigmoid(x_reset + h_reset), torch.sigmoid(x_update + h_update)
        new = torch.tanh(x_new + reset * h_new)
        return new + update * (hidden - new)


class Plain:
    """Trains the model on `multi30k_tok`, batches of one length or nearly so.

    Args:
        corpus: its folder.
        threads: of torch.
    """

    def __init__(self, corpus: Path, threads: int) -> None:
        torch.set_num_threads(threads)
        torch.manual_seed(1)
        sides = [
            (corpus / f"train.{code}").read_text("utf-8").splitlines() for code in ("de", "en")
        ]
        ids, sizes = zip(*(number_words(lines) for lines in sides), strict=True)
        self.pairs = list(zip(*ids, strict=True))
        self.model = PlainTranslator(*sizes)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3, fused=True)
        self.batches = self._batches()

    def _batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        draw, pool = random.Random(1), 100 * BATCH
        while True:
            draw.shuffle(self.pairs)
            batches = []
            for begin in range(0, len(self.pairs), pool):
                rows = sorted(
                    self.pairs[begin : begin + pool], key=lambda pair: (len(pair[0]), len(pair[1]))
                )
                batches += [rows[first : first + BATCH] for first in range(0, len(rows), BATCH)]
            draw.shuffle(batches)
            for batch in batches:
                rows = sorted(batch, key=lambda pair: -len(pair[0]))
                lengths = torch.tensor([len(source) for source, _ in rows])
                yield pad([source for source, _ in rows]), lengths, pad([row for _, row in rows])

    def train(self, steps: int) -> Answer:
        """Train; the answer says how many target tokens."""
        tokens = 0
        self.model.train()
        for _ in range(steps):
            source, lengths, target = next(self.batches)
            begin = target.new_full((len(target), 1), BOS)
            outputs = self.model(source, lengths, torch.cat([begin, target[:, :-1]], 1))
            real = target != PAD
            loss = F.cross_entropy(self.model.output(outputs[real]), target[real])
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            tokens += int(real.sum())
        return {"tokens": tokens, "parameters": sum(w.numel() for w in self.model.parameters())}


def number_words(lines: list[str]) -> tuple[list[list[int]], int]:
    """Ids of the words of every line, EOS last, by words seen at least twice; how many ids."""
    counts = Counter(word for line in lines for word in line.split())
    known = [word for word, count in counts.most_common() if count > 1]
    numbers = {word: number for number, word in enumerate(known, start=EOS + 1)}
    ids = [[*(numbers.get(word, UNK) for word in line.split()), EOS] for line in lines]
    return ids, EOS + 1 + len(known)


def pad(rows: list[list[int]]) -> Tensor:
    """int64 [B, T]."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[PAD] * (longest - len(row))] for row in rows])


if __name__ == "__main__":
    serve({"train": Plain(Path(sys.argv[1]), int(sys.argv[2])).train})
