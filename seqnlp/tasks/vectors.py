"""What word vectors are before training: those of a file, or learned from the training texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from seqnlp.config import PPMI, TextSettings, build
from seqnlp.data.corpus import Corpus
from seqnlp.data.tokens import tokenize_split
from seqnlp.errors import SettingsError
from seqnlp.nn.embedding import TokenEmbedding
from seqnlp.text.cooccurrence import ppmi_vectors
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.vectors import read_vectors
from seqnlp.text.vocabulary import Vocabulary


def start_vectors(
    embeddings: Iterable[TokenEmbedding],
    settings: TextSettings,
    corpus: Corpus,
    pipelines: Mapping[str, TokenPipeline],
) -> None:
    """Fill embeddings as `text.vectors` says; as they are where it is unset.

    Vectors of a file go in as they stand. Those from co-occurrence get the length that the vectors
    drawn in their place have on average, so that a matrix which is also an output layer keeps its
    scale. A token without a vector keeps the drawn one.

    Args:
        embeddings: of one vocabulary and of one size.
        settings: `vectors` and `vectors_options`.
        corpus: of which train is read.
        pipelines: by field, of that vocabulary; co-occurrences are counted in all of the fields.

    Raises:
        InputError: the file is missing, malformed, or of another vector size.
        SettingsError: options that are unknown, out of range, or of no use.
    """
    filled = list(embeddings)
    chosen, options = settings.vectors, settings.vectors_options
    if options and chosen != PPMI:
        raise SettingsError(f'text.vectors_options: of text.vectors = "{PPMI}" alone')
    if chosen is None or not filled:
        return
    vocabulary = next(iter(pipelines.values())).vocabulary
    assert vocabulary is not None
    size = filled[0].size
    if chosen == PPMI:
        matrix = build(
            ppmi_vectors,
            options,
            where="text.vectors_options",
            documents=_documents(corpus, pipelines, vocabulary),
            vocabulary_size=len(vocabulary),
            size=size,
        )
        rows = np.flatnonzero(matrix.any(axis=1)).tolist()
        for embedding in filled:
            vectors = matrix[rows] * (embedding.scale * size**0.5)
            embedding.load_vectors(torch.from_numpy(vectors), rows)
    else:
        words, matrix = read_vectors(Path(chosen), set(vocabulary.tokens), size=size)
        for embedding in filled:
            embedding.load_vectors(torch.from_numpy(matrix), vocabulary.ids(words))


def start_both_sides(
    sources: Iterable[TokenEmbedding],
    targets: Iterable[TokenEmbedding],
    settings: TextSettings,
    corpus: Corpus,
    pipelines: Mapping[str, TokenPipeline],
    *,
    joint: bool,
) -> None:
    """`start_vectors` for a task that reads one field and writes another.

    Vectors of a file are of sources alone. Co-occurrences are counted on the side that the vectors
    are for; of a joint vocabulary on both, since either side says what a token means.

    Args:
        sources, targets: embeddings of the two sides.
        settings, corpus, pipelines: see `start_vectors`; the source's pipeline first.
        joint: whether the pipelines share a vocabulary.
    """
    sides = [{name: pipeline} for name, pipeline in pipelines.items()]
    if settings.vectors != PPMI:
        start_vectors(sources, settings, corpus, sides[0])
    elif joint:
        start_vectors([*sources, *targets], settings, corpus, pipelines)
    else:
        for embeddings, side in zip((sources, targets), sides, strict=True):
            start_vectors(embeddings, settings, corpus, side)


def _documents(
    corpus: Corpus, pipelines: Mapping[str, TokenPipeline], vocabulary: Vocabulary
) -> Iterator[NDArray[np.int64]]:
    """The ids of each text of train, -1 for tokens outside the vocabulary."""
    for field, pipeline in pipelines.items():
        text = tokenize_split(corpus.split("train"), field, pipeline)
        ids = np.array(vocabulary.ids(text.types), dtype=np.int64)
        ids[ids < len(vocabulary.specials)] = -1
        for number in range(len(text)):
            yield ids[text[number]]
