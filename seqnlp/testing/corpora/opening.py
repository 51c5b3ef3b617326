"""How a corpus opens, what it refuses and what it says of itself."""

from __future__ import annotations

import inspect
from dataclasses import replace

from seqnlp import registry
from seqnlp.data import Corpus, CorpusRequest, Split
from seqnlp.errors import InputError
from seqnlp.testing.contract import Part, Skip, Violation
from seqnlp.testing.corpora.subject import Subject
from seqnlp.testing.offline import offline
from seqnlp.testing.requiring import require
from seqnlp.testing.signature import check_described
from seqnlp.types import Field

ONE_LINE = "raise seqnlp.errors.InputError with one line: the place, what was found and expected"


def check_signature(subject: Subject) -> str | None:
    taken = list(inspect.signature(subject.part.factory).parameters.values())
    require(
        [each.name for each in taken] == ["argument", "request"]
        and taken[1].kind is taken[1].KEYWORD_ONLY,
        f"it takes ({', '.join(map(str, taken))})",
        "write def open_mine(argument: str | None, *, request: CorpusRequest) -> Corpus",
    )
    return check_described(subject.part)


def check_opening(subject: Subject) -> str | None:
    with offline() as asked:
        corpus: Corpus | None = None
        try:
            corpus = subject.corpus
        except OSError:
            if not asked:
                raise
    require(
        not asked, f"it reaches for the network: {', '.join(asked[:3])}",
        "read files that are there, and where they are not say how to get them, in an InputError",
    )  # fmt: skip
    require(
        isinstance(corpus, Corpus), f"it gives {type(corpus).__name__}",
        "return assemble(name, splits, request=request, ...)",
    )  # fmt: skip
    assert corpus is not None
    require(
        bool(corpus.splits) and bool(corpus.name), "it has no splits or no name",
        'return assemble(name, {"train": ..., "test": ...}, request=request)',
    )  # fmt: skip
    for name, split in corpus.splits.items():
        require(
            isinstance(split, Split) and len(split) > 0,
            f"the split {name} is empty, or no Split",
            "leave out what is empty; make splits by stored_split or Split.from_examples",
        )
    sizes = ", ".join(f"{name} {len(split):,}" for name, split in corpus.splits.items())
    return f"for the task {subject.found[0]}: {sizes}" if subject.found[0] else sizes


def check_refuses(subject: Subject) -> str | None:
    strange = replace(subject.request, fields=(Field(name="no_such_field"),), columns={})
    _must_refuse(
        subject, strange, subject.argument, "a task that reads no_such_field",
        "compare request.fields with what there is, and name both in an InputError",
    )  # fmt: skip
    _must_refuse(
        subject, subject.request, "no-such-argument", "the argument 'no-such-argument'",
        "raise an InputError where there is no use for `argument`, or no such file",
    )  # fmt: skip
    first = subject.request.fields[0].name
    named = replace(subject.request, columns={first: "no such column"})
    try:
        subject.open(named, subject.argument)
    except InputError:
        return None
    return "request.columns is not heeded"


def _must_refuse(
    subject: Subject, request: CorpusRequest, argument: str | None, what: str, remedy: str
) -> None:
    try:
        subject.open(request, argument)
    except InputError as error:
        require("\n" not in str(error), f"of {what} it tells several lines", ONE_LINE)
        return
    except Exception as error:
        raise Violation(
            f"for {what} it raises {type(error).__name__}: {error}", ONE_LINE
        ) from error
    raise Violation(f"{what} is accepted", remedy)


def check_told(subject: Subject) -> str | None:
    corpus = subject.corpus
    require(
        isinstance(corpus.notes, tuple) and all(isinstance(each, str) for each in corpus.notes)
        and not any("\n" in each for each in corpus.notes),
        "notes are no tuple of single lines", "give each fact a line: notes=[...]",
    )  # fmt: skip
    unknown = corpus.license in ("", "not stated")
    require(
        not unknown or subject.argument is not None, "its license is not stated",
        'name it: assemble(..., license="CC BY 4.0"); it stands in the card of every model',
    )  # fmt: skip
    require(
        bool(corpus.description) or subject.argument is not None, "it has no description",
        "say in a sentence what the rows are: assemble(..., description=...)",
    )  # fmt: skip
    return f"license: {corpus.license}"


def check_learning(subject: Subject) -> str | None:
    from seqnlp.testing.tasks.subject import Subject as TaskSubject

    name, _ = subject.found
    if name is None:
        raise Skip("fields were given, and no task")
    part = Part(
        kind="tasks", name=name, factory=registry.tasks.get(name),
        options={"corpus": subject.corpus, "rows": 24},
    )  # fmt: skip
    task = TaskSubject.of(part)
    loss = task.task.loss(task.rows.batch(task.rows.lengths.argsort(axis=0).ravel()[:4])).mean
    loss.backward()  # type: ignore[no-untyped-call]
    return f"{name}: {loss.item():.3f} a unit before training"
