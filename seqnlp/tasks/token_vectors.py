"""The vectors of tokens as a network's embedding gives them, kept from one text to the next."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqnlp.nn.changes import Sample
from seqnlp.nn.embedding import TokenEmbedding
from seqnlp.tasks.rows import single_row
from seqnlp.text.pipeline import TokenPipeline

MOST = 20_000
"""Tokens whose vectors are kept."""
LONGEST = 128
"""Characters of such a token: texts are anybody's, and a token may be as long as one."""


class _Table:
    """Vectors of tokens of one state of an embedding, float32 [N, D], by token.

    state: where its weights lie, and torch's count of their changes; what it does not count shows
    in a sample of them.
    """

    def __init__(
        self, pipeline: TokenPipeline, embedding: TokenEmbedding, state: list[int]
    ) -> None:
        self.pipeline, self.state, self.places = pipeline, state, dict[str, int]()
        # It holds them, so that no other weights come to lie where these were.
        self.sample = Sample([each.detach() for each in embedding.parameters()])
        self.rows: NDArray[np.float32] = np.zeros((256, embedding.size), dtype=np.float32)
        self.lock = threading.Lock()

    def find(self, tokens: Sequence[str], embedding: TokenEmbedding) -> NDArray[np.float32]:
        """Float [T, D]; what is not there yet is made."""
        places = [self.places.get(token, -1) for token in tokens]
        if -1 in places:
            with self.lock:
                new = [token for token in dict.fromkeys(tokens) if token not in self.places]
                self._add(new, embedding)
            places = [self.places[token] for token in tokens]
        # After the places: rows are moved before anybody hears of new ones.
        return self.rows[places]

    def _add(self, tokens: Sequence[str], embedding: TokenEmbedding) -> None:
        if not tokens:
            return
        first, last = len(self.places), len(self.places) + len(tokens)
        if last > len(self.rows):
            more = np.zeros((2 * last, embedding.size), dtype=np.float32)
            more[:first] = self.rows[:first]
            self.rows = more
        made: Tensor = embedding(single_row(tokens, self.pipeline))
        self.rows[first:last] = made[0].numpy()
        self.places.update(zip(tokens, range(first, last), strict=True))


_TABLES: WeakKeyDictionary[TokenEmbedding, _Table] = WeakKeyDictionary()


def embed_text(tokens: Sequence[str], pipeline: TokenPipeline, embedding: TokenEmbedding) -> Tensor:
    """Float [1, T, D] of one text: what the embedding, in evaluation, makes of `single_row`.

    A text's words and their n-grams are looked up once for each word that was not seen before:
    a text of known words costs one selection from a table. At most `MOST` tokens are kept, for as
    long as the weights stay as they are.
    """
    parameters = [each for each in (embedding.words, embedding.ngrams) if each is not None]
    state: list[int] = []
    kept = not torch.is_grad_enabled() and not embedding.training and len(tokens) > 0
    try:
        for each in parameters:
            state += [each.data_ptr(), each._version]
            kept &= each.device.type == "cpu" and each.dtype == torch.float32
    except RuntimeError:
        # Tensors made in inference mode do not count their changes.
        kept = False
    if not kept or len(tokens) > MOST or max(map(len, tokens)) > LONGEST:
        vectors: Tensor = embedding(single_row(tokens, pipeline).to(embedding.words.device))
        return vectors
    table = _TABLES.get(embedding)
    if (
        table is None
        or table.state != state
        or not table.sample.stands()
        or table.pipeline is not pipeline
        or len(table.places) + len(tokens) > MOST
    ):
        table = _TABLES[embedding] = _Table(pipeline, embedding, state)
    return torch.from_numpy(table.find(tokens, embedding)).unsqueeze(0)
