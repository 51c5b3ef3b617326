"""What a tokenizer owes."""

from __future__ import annotations

import inspect
import json
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from seqnlp.errors import InputError
from seqnlp.registry import REGISTRIES
from seqnlp.testing.contract import Contract, Part, Skip, Violation
from seqnlp.testing.libraries import imported_libraries, is_installed
from seqnlp.testing.requiring import borrowed, require
from seqnlp.testing.signature import check_described, check_options
from seqnlp.testing.texts import ODD, PROSE, TEXTS
from seqnlp.text import Tokenizer, TokenPipeline, tokenize_all

IMMUTABLE = (
    "let train return another: made = type(self)(...), learn into made, return made; self stays"
)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A tokenizer under test."""

    part: Part

    def make(self) -> Tokenizer:
        """One as a recipe would have it, untrained."""
        made: Tokenizer = self.part.make()
        return made

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """One that is ready, trained where it needs that."""
        made = self.make()
        return made.train(PROSE) if made.needs_training else made

    @cached_property
    def tokens(self) -> dict[str, list[str]]:
        """What it makes of all texts."""
        return {what: self.tokenizer.tokenize(text) for what, text in TEXTS.items()}


check_tokenizer: Contract[Any] = Contract("tokenizers", lambda part: Subject(part=part))
"""The contract of a tokenizer.

Options: those of the tokenizer, as `text.tokenizer_options` would give them; what a recipe writes
after a colon is the option `name`.
"""


@check_tokenizer.check("is a tokenizer", required=True)
def _is_a_tokenizer(subject: Subject) -> str | None:
    part = subject.part
    require(
        inspect.isclass(part.factory) and issubclass(part.factory, Tokenizer),
        f"{part.name} is no subclass of seqnlp.text.Tokenizer",
        "derive it: class MyTokenizer(Tokenizer)",
    )
    family = getattr(part.factory, "family", None)
    known = REGISTRIES["tokenizers"].names()
    named = part.name if part.name in known else None
    require(
        isinstance(family, str) and (named is None or family == named),
        f"its family is {family!r}" + (f", but it is registered as {named!r}" if named else ""),
        f'set family = "{named or "my-tokenizer"}" on the class, the name of its entry point: a '
        "saved model finds its tokenizer by it",
    )
    return check_described(part)


@check_tokenizer.check("options are typed", required=True)
def _options(subject: Subject) -> str | None:
    told = check_options(subject.part)
    try:
        subject.part.factory(no_such_option=1)
    except TypeError:
        return told
    raise Violation("an option that it does not have is accepted", "name each option")


@check_tokenizer.check("every text has tokens that are texts", required=True)
def _tokens(subject: Subject) -> str | None:
    for what, tokens in subject.tokens.items():
        require(
            isinstance(tokens, list) and all(isinstance(token, str) for token in tokens),
            f"of {what} it makes {type(tokens).__name__}"
            + (f" of {type(tokens[0]).__name__}" if isinstance(tokens, list) and tokens else ""),
            "return list[str]: [str(token) for token in ...]",
        )
        require(
            "" not in tokens, f"of {what} one token is empty",
            "leave empty ones out: [token for token in tokens if token]",
        )  # fmt: skip
    require(
        not subject.tokens["the empty text"],
        f"the empty text has tokens: {subject.tokens['the empty text']}",
        "return [] of it",
    )
    require(
        bool(subject.tokens[repr(PROSE[1])]), f"{PROSE[1]!r} has no tokens", "lose no words",
    )  # fmt: skip
    return None


@check_tokenizer.check("a text always has the same tokens")
def _repeats(subject: Subject) -> str | None:
    remedy = "let tokens depend on the text alone: nothing counted, drawn or kept between calls"
    for what, text in reversed(list(TEXTS.items())):
        require(
            subject.tokenizer.tokenize(text) == subject.tokens[what],
            f"{what} has other tokens after other texts", remedy,
        )  # fmt: skip
    return None


@check_tokenizer.check("training leaves it as it was")
def _training(subject: Subject) -> str | None:
    fresh = subject.make()
    before = deepcopy(fresh.state())
    trained = fresh.train(iter(PROSE))
    require(fresh.state() == before, "train changes the tokenizer that it is called on", IMMUTABLE)
    if not fresh.needs_training:
        require(
            trained == fresh, "train returns another one, but needs_training is False",
            "set needs_training = True on the class, or let train return self",
        )  # fmt: skip
        raise Skip("it needs no training")
    again = fresh.train(PROSE)
    require(
        again.state() == trained.state(),
        "the same texts give another tokenizer the second time, or from an iterator",
        "read the texts once, and sort what is counted: sets and equal counts have no order",
    )
    try:
        fresh.train([])
    except InputError:
        return None
    return "it trains on no texts at all, without an InputError"


@check_tokenizer.check("saved and loaded it is the same")
def _state(subject: Subject) -> str | None:
    state = subject.tokenizer.state()
    try:
        written = json.dumps(state)
    except (TypeError, ValueError) as error:
        raise Violation(
            f"state() is no JSON: {error}", "keep strings, numbers, lists and dicts of them in it"
        ) from error
    made = type(subject.tokenizer).from_state(json.loads(written))
    remedy = "put in state() all that tokens depend on, and read it back in from_state"
    for what, text in TEXTS.items():
        require(
            made.tokenize(text) == subject.tokens[what],
            f"made again from its state, it has other tokens of {what}: "
            f"{made.tokenize(text)[:8]} for {subject.tokens[what][:8]}",
            remedy,
        )
    require(
        made == subject.tokenizer and json.dumps(made.state()) == written,
        "made again from its state, it has another state", remedy,
    )  # fmt: skip
    return f"{len(written):,} characters of state"


@check_tokenizer.check("tokens can be put together")
def _together(subject: Subject) -> str | None:
    tokenizer, lost = subject.tokenizer, []
    for what, text in TEXTS.items():
        joined = tokenizer.detokenize(subject.tokens[what])
        require(
            isinstance(joined, str), f"detokenize gives {type(joined).__name__} of {what}",
            "return a str",
        )  # fmt: skip
        if joined != text and what != "half a surrogate pair":
            lost.append(what)
    require(
        not (tokenizer.lossless and lost),
        f"lossless is True, but put together again differ: {', '.join(lost)}",
        "keep white space in tokens, or leave lossless = False",
    )
    empty = tokenizer.detokenize([])
    require(empty == "", f"no tokens are put together to {empty!r}", "return '' of none")
    for token in subject.tokens[repr(PROSE[0])]:
        label = tokenizer.label(token)
        require(
            isinstance(label, str) and label != "", f"the label of {token!r} is {label!r}",
            "let label return a text that a person can read",
        )  # fmt: skip
    return "lossless" if tokenizer.lossless else None


@check_tokenizer.check("its inventory has its tokens")
def _inventory(subject: Subject) -> str | None:
    inventory = subject.tokenizer.inventory()
    if inventory is None:
        raise Skip("it makes tokens without end")
    remedy = "list in it every token that known characters can give, each once"
    require(len(set(inventory)) == len(inventory), "a token is in it twice", remedy)
    known = set("".join(inventory))
    for text in PROSE:
        tokens = {token for token in subject.tokenizer.tokenize(text) if set(token) <= known}
        missing = sorted(tokens - set(inventory))
        require(not missing, f"of {text!r} it lacks {missing[:5]}", remedy)
    return f"{len(inventory):,} tokens"


@check_tokenizer.check("its libraries are named")
def _libraries(subject: Subject) -> str | None:
    named = subject.tokenizer.libraries
    for name in named:
        require(
            is_installed(name), f"libraries names {name!r}, which is not installed",
            "name distributions, as pip does",
        )  # fmt: skip
    for module, distribution in imported_libraries(type(subject.tokenizer)).items():
        require(
            distribution in {name.lower() for name in named},
            f"it imports {module}, of which libraries says nothing",
            f'set libraries = ("{distribution}",) on the class: another version of it may give '
            "other tokens, which cached ones must not outlive",
        )
    return ", ".join(named) or "needs none"


@check_tokenizer.check("works in a pipeline")
def _in_a_pipeline(subject: Subject) -> str | None:
    from pathlib import Path
    from tempfile import TemporaryDirectory

    with borrowed(subject.part) as name, TemporaryDirectory() as folder:
        pipeline = TokenPipeline(tokenizer=subject.tokenizer).fit(PROSE)
        for text in PROSE:
            tokens = subject.tokenizer.tokenize(text)
            back = pipeline.decode(pipeline.encode(text))
            require(
                back == subject.tokenizer.detokenize(tokens),
                f"{text!r} comes back from its ids as {back!r}",
                "let detokenize depend on the tokens alone",
            )
        if name != subject.tokenizer.family:
            return "not saved, since it is not registered under its family"
        pipeline.save(Path(folder))
        loaded = TokenPipeline.load(Path(folder))
        require(
            loaded.fingerprint() == pipeline.fingerprint()
            and all(loaded.tokens(text) == pipeline.tokens(text) for text in ODD.values()),
            "a pipeline that is saved and loaded differs",
            "put in state() all that tokens depend on",
        )
    return None


@check_tokenizer.check("works in other processes")
def _in_processes(subject: Subject) -> str | None:
    owner = REGISTRIES["tokenizers"].names().get(subject.tokenizer.family)
    if owner in (None, "this process"):
        raise Skip("only a part of an installed package can be found by another process")
    texts = [*PROSE * 1001, *list(ODD.values())[:-1]]
    pipeline = TokenPipeline(tokenizer=subject.tokenizer)
    found = tokenize_all(pipeline, texts, workers=2)
    known = dict(zip(TEXTS.values(), subject.tokens.values(), strict=True))
    for text, tokens in zip(texts, found, strict=True):
        require(
            tokens == known[text], f"another process makes {tokens[:8]} of {text[:40]!r}",
            "make from_state all that tokenize reads, without globals of the process",
        )  # fmt: skip
    return None
