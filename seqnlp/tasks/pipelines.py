"""The pipelines of a task, fitted on the training split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import chain

from seqnlp.config import TextSettings
from seqnlp.data.corpus import Corpus
from seqnlp.data.tokens import tokenize_corpus
from seqnlp.errors import SettingsError
from seqnlp.text.ngrams import NgramHasher
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.tokenizers import parse_tokenizer
from seqnlp.text.vocabulary import PAD, UNK, Vocabulary


def fit_pipeline(
    chosen: TextSettings,
    corpus: Corpus,
    field: str,
    *,
    specials: tuple[str, ...] = (PAD, UNK),
    complete: bool = False,
    where: str = "text",
) -> TokenPipeline:
    """The pipeline that the settings describe, its tokenizer and vocabulary fitted on train.

    Args:
        chosen: the settings; `where` is their key.
        corpus: of which train is read, of that field.
        specials, complete: see `TokenPipeline.fit_counts`.

    Raises:
        SettingsError: no token is frequent enough for the vocabulary.
    """
    pipeline = _unfitted(chosen).with_trained_tokenizer(corpus.split("train").column(field))
    counts = _count(corpus, field, pipeline)
    return _with_vocabulary(pipeline, counts, chosen, specials, complete, where)


def fit_joint_pipelines(
    chosen: Mapping[str, TextSettings],
    corpus: Corpus,
    *,
    specials: tuple[str, ...],
    first: str | None = None,
    where: str = "text",
) -> tuple[dict[str, TokenPipeline], int]:
    """Pipelines by field that share a tokenizer and a vocabulary, fitted on all fields of train.

    Each normalizes its texts in its own way; all else is as the first field's settings say.

    Args:
        chosen: settings by field.
        corpus: of which train is read.
        specials: see `TokenPipeline.fit_counts`.
        first: a field whose tokens, if frequent enough in it, come first in the vocabulary.
        where: the settings' key.

    Returns:
        The pipelines; how many ids come first, special ones included: all of them without `first`.

    Raises:
        SettingsError: see `fit_pipeline`.
    """
    made = {field: _unfitted(each) for field, each in chosen.items()}
    settings, tokenizer = next(iter(chosen.values())), next(iter(made.values())).tokenizer
    train = corpus.split("train")
    if tokenizer.needs_training:
        tokenizer = tokenizer.train(
            chain.from_iterable(
                map(each.normalize, train.column(field)) for field, each in made.items()
            )
        )
    made = {field: replace(each, tokenizer=tokenizer) for field, each in made.items()}
    counted = {field: _count(corpus, field, each) for field, each in made.items()}
    counts: Counter[str] = Counter()
    for each in counted.values():
        counts.update(each)
    pipeline = next(iter(made.values()))
    vocabulary = _with_vocabulary(pipeline, counts, settings, specials, True, where).vocabulary
    assert vocabulary is not None
    size = len(vocabulary)
    if first is not None:
        own, least = counted[first], settings.min_count
        ranked = sorted(
            (token for token in vocabulary.tokens if own.get(token, 0) >= least),
            key=lambda token: -own[token],
        )
        size = len(specials) + len(ranked)
        vocabulary = Vocabulary(tuple(dict.fromkeys((*ranked, *vocabulary.tokens))), specials)
    return {field: replace(each, vocabulary=vocabulary) for field, each in made.items()}, size


def _unfitted(chosen: TextSettings) -> TokenPipeline:
    low, high = chosen.ngram_sizes
    return TokenPipeline(
        normalizers=chosen.normalizers,
        tokenizer=parse_tokenizer(chosen.tokenizer, chosen.tokenizer_options),
        hasher=(
            NgramHasher(buckets=chosen.ngram_buckets, min_size=low, max_size=high)
            if chosen.ngram_buckets
            else None
        ),
    )


def _count(corpus: Corpus, field: str, pipeline: TokenPipeline) -> dict[str, int]:
    text = tokenize_corpus(corpus, field, pipeline)["train"]
    return {token: int(n) for token, n in zip(text.types, text.counts, strict=True) if n}


def _with_vocabulary(
    pipeline: TokenPipeline,
    counts: Mapping[str, int],
    chosen: TextSettings,
    specials: tuple[str, ...],
    complete: bool,
    where: str,
) -> TokenPipeline:
    fitted = pipeline.fit_counts(
        counts,
        min_count=chosen.min_count,
        max_size=chosen.max_size,
        specials=specials,
        complete=complete,
    )
    if fitted.vocabulary is None or not fitted.vocabulary.tokens:
        raise SettingsError(
            f"{where}: no token of train is left for the vocabulary: the tokenizer "
            f"{chosen.tokenizer!r} found {len(counts):,}, each less often than min_count = "
            f"{chosen.min_count}"
        )
    return fitted
