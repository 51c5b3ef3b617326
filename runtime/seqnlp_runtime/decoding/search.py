"""The search: from what a model says of the next token to the outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from seqnlp_runtime.decoding.arrays import Ints, padded
from seqnlp_runtime.decoding.beam import BeamSearch
from seqnlp_runtime.decoding.draws import Draws, streams
from seqnlp_runtime.decoding.lengths import USUAL_SPREAD, LengthPrior, UsualLength, limits
from seqnlp_runtime.decoding.options import Decoding
from seqnlp_runtime.decoding.phrases import Phrases, without_parts
from seqnlp_runtime.decoding.ranking import Ranking
from seqnlp_runtime.decoding.rules import Rules
from seqnlp_runtime.decoding.stepper import Stepper
from seqnlp_runtime.decoding.trace import Found, Trace
from seqnlp_runtime.decoding.walk import walk
from seqnlp_runtime.decoding.words import WordLimit, WordMarks
from seqnlp_runtime.errors import RunnerError


def search(
    stepper: Stepper,
    options: Decoding,
    *,
    bos: int,
    eos: int,
    source_lengths: Ints,
    ratio: float | None = None,
    forbidden: Sequence[int] = (),
    prefixes: Sequence[Sequence[int]] | None = None,
    constraints: Sequence[Sequence[Sequence[int]]] | None = None,
    numbers: Sequence[int] | None = None,
    words: WordMarks | None = None,
    usual_length: UsualLength | None = None,
    want_weights: bool = False,
) -> list[list[Found]]:
    """The best outputs of each source, or drawn ones, best first.

    What is found for a source does not depend on the others of the batch. All outputs end within
    their greatest length, by force if need be.

    Args:
        stepper: of B sources, at least one, used up by the search.
        options: how; its texts (prefix, constraints) are read from the arguments below.
        bos: the token that begins an output.
        eos: the token that ends it.
        source_lengths: int64 [B].
        ratio: in the place of `options.max_ratio`.
        forbidden: tokens that are not produced, but by force.
        prefixes: tokens that each source's outputs begin with, even beyond the greatest length.
        constraints: phrases that each source's outputs contain.
        numbers: the sources' own numbers, which sampling depends on; from 0 if not given.
        words: which tokens begin a word; read by `max_words` alone.
        usual_length: of outputs; read by `length_prior` alone.
        want_weights: whether to collect attention, where the model has one.

    Raises:
        RunnerError: the model gives NaN, or has not what an option needs.
    """
    sources = stepper.sources
    prefixes = [[]] * sources if prefixes is None else prefixes
    phrases = [without_parts(own) for own in constraints or [[]] * sources]
    word_limit = None
    if options.max_words is not None:
        assert words is not None
        word_limit = WordLimit.of(words, options.max_words, prefixes, phrases)
    rules = Rules(
        eos=eos,
        forbidden=np.array([id for id in forbidden if id != eos], dtype=np.int64),
        min_length=options.min_length,
        no_repeat_ngram=options.no_repeat_ngram,
        limits=limits(
            source_lengths,
            ratio=options.max_ratio if ratio is None else ratio,
            extra=options.max_extra,
            least=options.min_length,
            most=options.max_length,
            forced=[
                len(prefix) + sum(map(len, own))
                for prefix, own in zip(prefixes, phrases, strict=True)
            ],
        ),
        prefixes=padded([list(prefix) for prefix in prefixes]),
        words=word_limit,
    )
    ranking = Ranking(
        alpha=options.length_penalty,
        beta=options.coverage_penalty,
        lengths=source_lengths,
        prior=_prior(options, usual_length),
    )
    trace = Trace(lengths=source_lengths, want_weights=want_weights)
    if options.beam > 1 or any(phrases):
        ends = BeamSearch(
            bos=bos,
            width=options.beam // options.diverse_groups,
            groups=options.diverse_groups,
            diversity=options.diversity,
            n_best=options.n_best,
            rules=rules,
            ranking=ranking,
            trace=trace,
            phrases=Phrases.of(phrases, rules) if any(phrases) else None,
        ).run(stepper)
    else:
        draw = None
        if options.sample:
            own = np.array(range(sources) if numbers is None else numbers, dtype=np.int64)
            draw = Draws(
                temperature=options.temperature,
                top_k=options.top_k,
                top_p=options.top_p,
                streams=streams(options.seed, own, options.n_best),
            ).draw
        ends = walk(
            stepper, draw, options.n_best, bos=bos, rules=rules, ranking=ranking, trace=trace
        )
    answered = ends.sources[np.isfinite(ends.log_probabilities)]
    if len(np.unique(answered)) < sources:
        raise RunnerError("the model gives NaN in the place of probabilities")
    alike = options.diverse_groups > 1  # groups may find the same
    ends = ends.best(options.beam if alike else options.n_best)
    found: list[list[Found]] = [[] for _ in range(sources)]
    for source, one in zip(ends.sources.tolist(), trace.follow(ends, eos), strict=True):
        if len(found[source]) < options.n_best and not (
            alike and one.ids in {other.ids for other in found[source]}
        ):
            found[source].append(one)
    return found


def _prior(options: Decoding, usual: UsualLength | None) -> LengthPrior | None:
    if not options.length_prior:
        return None
    if options.length_ratio is not None:
        spread = USUAL_SPREAD if usual is None else usual.spread
        usual = UsualLength(intercept=math.log(options.length_ratio), slope=1.0, spread=spread)
    if usual is None:
        raise RunnerError(
            "decoding.length_prior: needs to know how long outputs usually are, which nothing was "
            "measured of; give length_ratio"
        )
    return LengthPrior(weight=options.length_prior, usual=usual)
