"""The search: from what a model says of the next token to the outputs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import wraps
from typing import ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor

from seqnlp.errors import InputError, SeqnlpError
from seqnlp.tasks.decoding.beam import BeamSearch
from seqnlp.tasks.decoding.certainty import Certain, Certainty
from seqnlp.tasks.decoding.constraints import Phrases, without_parts
from seqnlp.tasks.decoding.draws import Draws, streams
from seqnlp.tasks.decoding.lengths import LengthPrior, UsualLength
from seqnlp.tasks.decoding.options import Decoding
from seqnlp.tasks.decoding.ranking import Ranking
from seqnlp.tasks.decoding.rules import Rules, limits, padded
from seqnlp.tasks.decoding.stepper import Stepper
from seqnlp.tasks.decoding.trace import Found, Trace
from seqnlp.tasks.decoding.walk import walk
from seqnlp.tasks.decoding.words import WordLimit, WordMarks

P = ParamSpec("P")
R = TypeVar("R")


def drained(steps: Callable[P, Generator[object, None, R]]) -> Callable[P, R]:
    """The function that goes all steps of another and gives what that returns."""

    @wraps(steps)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        going = steps(*args, **kwargs)
        while True:
            try:
                next(going)
            except StopIteration as stop:
                found: R = stop.value
                return found

    return run


@torch.no_grad()
def searching(
    stepper: Stepper,
    options: Decoding,
    *,
    bos: int,
    eos: int,
    source_lengths: Tensor,
    forbidden: Sequence[int] = (),
    prefixes: Sequence[Sequence[int]] | None = None,
    constraints: Sequence[Sequence[Sequence[int]]] | None = None,
    numbers: Sequence[int] | None = None,
    words: WordMarks | None = None,
    usual_length: UsualLength | None = None,
    want_weights: bool = False,
    watched: bool = False,
) -> Generator[list[Certain], None, list[list[Found]]]:
    """The best outputs of each source, or drawn ones, best first.

    What is found for a source does not depend on the others of the batch. Beam search gives
    `n_best` different outputs, or as many as have finished, at least one; sampling gives `n_best`
    draws, which may be equal. All end within their greatest length, by force if need be.

    Args:
        stepper: of B sources, used up by the search.
        options: how; its texts (prefix, constraints) are read from the arguments below.
        bos: the token that begins an output.
        eos: the token that ends it.
        source_lengths: int64 [B], on the device of the model.
        forbidden: tokens that are not produced, but by force.
        prefixes: tokens that each source's outputs begin with, even beyond the greatest length.
        constraints: phrases that each source's outputs contain.
        numbers: the sources' own numbers, which sampling depends on; from 0 if not given.
        words: which tokens begin a word; read by `max_words` alone.
        usual_length: of outputs; read by `length_prior` alone.
        want_weights: whether to collect attention, where the model has one.
        watched: whether to yield after each step what it has made certain of the best outputs.

    Raises:
        InputError: arguments that do not fit each other.
        SeqnlpError: the model gives NaN.
    """
    sources = stepper.sources
    prefixes = prefixes if prefixes is not None else [()] * sources
    constraints = constraints if constraints is not None else [()] * sources
    numbers = numbers if numbers is not None else range(sources)
    for name, given in (
        ("lengths", source_lengths),
        ("prefixes", prefixes),
        ("constraints", constraints),
        ("numbers", numbers),
    ):
        if len(given) != sources:
            raise InputError(f"{sources} sources, but {len(given)} {name}")
    if not sources:
        return []
    if any(constraints) and (options.sample or options.diverse_groups > 1):
        raise InputError("constraints need one beam: no sample, and no diverse_groups")
    _check(stepper.vocabulary_size, eos, forbidden, prefixes, constraints)
    constraints = [without_parts(phrases) for phrases in constraints]
    device = source_lengths.device
    rules = Rules(
        eos=eos,
        forbidden=torch.tensor([i for i in forbidden if i != eos], dtype=torch.long, device=device),
        min_length=options.min_length,
        no_repeat_ngram=options.no_repeat_ngram,
        limits=limits(
            source_lengths,
            ratio=options.max_ratio,
            extra=options.max_extra,
            least=options.min_length,
            most=options.max_length,
            forced=[
                len(prefix) + sum(map(len, phrases))
                for prefix, phrases in zip(prefixes, constraints, strict=True)
            ],
        ),
        prefixes=padded(prefixes, device),
        words=_word_limit(options, words, prefixes, constraints),
    )
    ranking = Ranking(
        alpha=options.length_penalty,
        beta=options.coverage_penalty,
        lengths=source_lengths,
        prior=_prior(options, usual_length),
    )
    certainty = Certainty(sources, every=options.mbr) if watched else None
    trace = Trace(lengths=source_lengths, want_weights=want_weights)
    if options.beam > 1 or any(constraints):
        ends = yield from BeamSearch(
            bos=bos,
            width=options.beam // options.diverse_groups,
            groups=options.diverse_groups,
            diversity=options.diversity,
            n_best=options.n_best,
            rules=rules,
            ranking=ranking,
            trace=trace,
            phrases=Phrases.of(constraints, rules) if any(constraints) else None,
            certainty=certainty,
        ).run(stepper)
    else:
        draw = None
        if options.sample:
            draw = Draws(
                temperature=options.temperature,
                top_k=options.top_k,
                top_p=options.top_p,
                streams=streams(options.seed, np.asarray(numbers, np.int64), options.n_best),
            ).draw
        ends = yield from walk(
            stepper,
            draw,
            options.n_best,
            bos=bos,
            rules=rules,
            ranking=ranking,
            trace=trace,
            certainty=certainty,
        )
    answered = torch.zeros(sources, dtype=torch.bool, device=device)
    answered[ends.sources[ends.log_probabilities.isfinite()]] = True
    if not answered.all():
        raise SeqnlpError("the model gives NaN in the place of probabilities")
    alike = options.diverse_groups > 1  # groups may find the same
    ends = ends.best(options.beam if alike else options.n_best)
    found: list[list[Found]] = [[] for _ in range(sources)]
    for source, one in zip(ends.sources.tolist(), trace.follow(ends, eos), strict=True):
        if len(found[source]) < options.n_best and not (
            alike and one.ids in {other.ids for other in found[source]}
        ):
            found[source].append(one)
    return found


search = drained(searching)
"""What `searching` returns in the end."""


def _word_limit(
    options: Decoding,
    marks: WordMarks | None,
    prefixes: Sequence[Sequence[int]],
    constraints: Sequence[Sequence[Sequence[int]]],
) -> WordLimit | None:
    if options.max_words is None:
        return None
    if marks is None:
        raise InputError("max_words needs to know which tokens begin a word")
    return WordLimit.of(marks, options.max_words, prefixes, constraints)


def _prior(options: Decoding, usual: UsualLength | None) -> LengthPrior | None:
    if not options.length_prior:
        return None
    if options.length_ratio is not None:
        usual = UsualLength.of_ratio(options.length_ratio, usual)
    if usual is None:
        raise InputError(
            "length_prior needs to know how long outputs usually are, which nothing was measured "
            "of; set length_ratio"
        )
    return LengthPrior(weight=options.length_prior, usual=usual)


def _check(
    size: int,
    eos: int,
    forbidden: Sequence[int],
    prefixes: Sequence[Sequence[int]],
    constraints: Sequence[Sequence[Sequence[int]]],
) -> None:
    """Refuse what cannot be produced.

    Raises:
        InputError: it names the source.
    """
    for source, (prefix, phrases) in enumerate(zip(prefixes, constraints, strict=True)):
        for token in prefix:
            if token == eos or not 0 <= token < size:
                raise InputError(f"prefix of source {source}: {token} is no token to begin with")
        for phrase in phrases:
            if not phrase:
                raise InputError(f"constraints of source {source}: a phrase has no tokens")
            for token in phrase:
                if token == eos or token in forbidden or not 0 <= token < size:
                    raise InputError(
                        f"constraints of source {source}: token {token} may not be produced"
                    )
