"""What a task answers, and that a saved model answers the same."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from seqnlp.bundle import Model, load
from seqnlp.data import Corpus, CorpusRequest
from seqnlp.errors import InputError
from seqnlp.registry import REGISTRIES
from seqnlp.tasks import Task
from seqnlp.testing.contract import Part, Skip, Violation
from seqnlp.testing.requiring import borrowed, require
from seqnlp.testing.tasks.subject import Subject
from seqnlp.training import train
from seqnlp.types import Prediction

ALIKE = "answer each example from itself alone, and hide padding by lengths"


def require_json(value: object, where: str) -> None:
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        raise Violation(
            f"{where} is no JSON: {error}", "give plain numbers: float(x), x.tolist()"
        ) from error


def require_same(
    found: Sequence[Prediction], expected: Sequence[Prediction], what: str, remedy: str
) -> None:
    """Raise a violation where answers differ by more than rounding."""
    require(
        len(found) == len(expected), f"{what}: {len(found)} answers and {len(expected)}", remedy
    )
    for number, (one, other) in enumerate(zip(found, expected, strict=True)):
        shares, others = one.probabilities or {}, other.probabilities or {}
        near = shares.keys() == others.keys() and all(
            math.isclose(shares[key], others[key], abs_tol=1e-3) for key in shares
        )
        require(
            near and (bool(shares) or _alike(one.output, other.output)),
            f"{what}: answer {number} is {one.output[:60]!r} and {other.output[:60]!r}",
            remedy,
        )


def _alike(one: str, other: str) -> bool:
    if one == other:
        return True
    try:
        pairs = [(float(a), float(b)) for a, b in zip(one.split(), other.split(), strict=True)]
    except ValueError:
        return False
    return all(math.isclose(a, b, rel_tol=1e-2, abs_tol=1e-3) for a, b in pairs)


def check_answers(subject: Subject) -> str | None:
    task, split = subject.task, subject.split(subject.held_out)
    task.train()
    next(iter(task.children())).eval()
    before = [part.training for part in task.modules()]
    weights = {name: value.clone() for name, value in task.state_dict().items()}
    answers = task.answer(task.read(split), batch_size=4)
    modes = [part.training for part in task.modules()]
    task.eval()
    require(
        modes == before, "after `answer` the task is in another mode than before",
        "answer within `with self.evaluating(), torch.inference_mode():`",
    )  # fmt: skip
    changed = [name for name, value in task.state_dict().items() if value.ne(weights[name]).any()]
    require(
        not changed, f"`answer` changes {', '.join(changed)}",
        "answer within `with self.evaluating():`",
    )  # fmt: skip
    references = task.references(split)
    require(
        len(answers) == len(references),
        f"{len(references)} references got {len(answers)} answers",
        "give one for each document behind the rows, however many rows it has",
    )
    for each in answers:
        require(
            isinstance(each, Prediction) and isinstance(each.output, str),
            f"an answer is {type(each).__name__}", "return Prediction(output=a text, ...)",
        )  # fmt: skip
        if each.probabilities is not None:
            total = sum(each.probabilities.values())
            require(
                abs(total - 1) < 1e-3, f"probabilities of an answer sum up to {total:.4f}",
                "apply softmax to the logits",
            )  # fmt: skip
        if each.details is not None:
            require_json(each.details, "details")
    require_same(
        task.answer(task.read(split), batch_size=1), answers,
        "one at a time and in batches of 4", ALIKE,
    )  # fmt: skip
    if len(answers) == len(split):
        turned = split.select(list(range(len(split)))[::-1])
        require_same(
            task.answer(task.read(turned), batch_size=4)[::-1], answers,
            "in another order and in this one",
            "sort by length if you like, but give answers in the order of the rows",
        )  # fmt: skip
    return f"{len(answers)} answers"


def check_texts(subject: Subject) -> str | None:
    task, texts = subject.task, subject.texts
    together = task.answer_texts(texts, batch_size=3)
    for number, text in enumerate(texts):
        require_same(
            task.answer_texts([text], batch_size=1), together[number : number + 1],
            "alone and among others", ALIKE,
        )  # fmt: skip
    predicted = list(task.predict(iter([*texts, *texts]), batch_size=2, window=3))
    require_same(
        predicted, [*together, *together], "by predict and by answer_texts", ALIKE,
    )  # fmt: skip
    require(not list(task.predict([])), "no inputs have answers", "return [] of none")
    for odd in ("", "  \n", "?!", "unheard-of wördß 漢字 " * 30):
        try:
            found = task.answer_texts([odd], batch_size=1)
        except InputError:
            require(
                not task.pipeline_names, f"the text {odd[:10]!r} is refused",
                "answer every text: a blank one is a row of one unknown token",
            )  # fmt: skip
            continue
        require(len(found) == 1, f"the text {odd[:10]!r} has {len(found)} answers", "give one")
    return f"such as {together[0].output[:40]!r}" if together else None


def check_combined(subject: Subject) -> str | None:
    first, second = subject.create(), subject.create(seed=1)
    rows = subject.split("train")
    for each in (first, second):
        each.read(rows, training=True)
    split = subject.split(subject.held_out)

    def answers(task: Task) -> list[Prediction]:
        return task.answer(task.read(split), batch_size=4)

    expected = answers(first)
    twice = subject.task_class.combine([first, first])
    remedy = "average what the members say, keep all in an nn.ModuleList, and change none of them"
    require_same(answers(twice), expected, "of a task twice and once", remedy)
    both = subject.task_class.combine([first, second])
    require(len(answers(both)) == len(expected), "answers are missing", "answer all")
    _same_when_restored(subject, both)
    return f"{sum(each.numel() for each in both.parameters()):,} weights of two"


def check_restored(subject: Subject) -> str | None:
    """Settings, pipelines, state and weights make the same task again."""
    task = subject.create()
    task.read(subject.split("train"), training=True)
    _same_when_restored(subject, task)
    return f"state: {', '.join(task.state())}"


def _same_when_restored(subject: Subject, task: Task) -> None:
    state = task.state()
    require_json(state, "state()")
    torch.manual_seed(3)
    made = subject.task_class.restore(
        subject.settings, task.pipelines, json.loads(json.dumps(state))
    )
    remedy = "put in state() what settings, pipelines and weights do not say: labels, members"
    missing = made.load_state_dict(task.state_dict(), strict=False)
    require(
        not missing.missing_keys and not missing.unexpected_keys,
        f"restored from its state it has other weights: {[*missing.missing_keys][:3]}"
        f"{[*missing.unexpected_keys][:3]}", remedy,
    )  # fmt: skip
    split = subject.split(subject.held_out)
    require_same(
        made.eval().answer(made.read(split), batch_size=4),
        task.eval().answer(task.read(split), batch_size=4), "restored and before", remedy,
    )  # fmt: skip


def check_run(subject: Subject) -> str | None:
    corpus = subject.corpus

    def open_rows(argument: str | None, *, request: CorpusRequest) -> Corpus:
        """The rows of the check."""
        return corpus

    for kind, name in subject.task_class.named_parts(subject.settings):
        require(
            name in REGISTRIES[kind].names(), f"named_parts has {name!r} of {kind}, which is none",
            "name registered parts, as (plural of the kind, name)",
        )  # fmt: skip
    part = Part(kind="corpora", name="rows", factory=open_rows)
    with borrowed(part) as name, TemporaryDirectory() as folder:
        chosen = subject.settings.corpus.model_copy(update={"name": name})
        threads = torch.get_num_threads()
        try:
            model: Model = train(
                subject.settings.model_copy(update={"corpus": chosen}), Path(folder) / "model"
            )
        finally:
            torch.set_num_threads(threads)
        loaded = load(Path(folder) / "model")
        remedy = "put in state() what settings, pipelines and weights do not say"
        require_same(
            loaded.task.answer_texts(subject.texts, batch_size=2),
            model.task.answer_texts(subject.texts, batch_size=2), "loaded and before", remedy,
        )  # fmt: skip
        size = (Path(folder) / "model" / "weights.safetensors").stat().st_size
    return f"{size:,} bytes of weights"


def check_streams(subject: Subject) -> str | None:
    try:
        stream = subject.task.stream()
    except InputError as error:
        raise Skip(str(error).partition(";")[0]) from error
    remedy = "let a Stream answer after each piece as the task answers the pieces so far, joined"
    for text in subject.texts[:2]:
        pieces = text.split()
        for number, piece in enumerate(pieces, start=1):
            answer = stream.push(piece)
            whole = subject.task.answer_texts([" ".join(pieces[:number])], batch_size=1)
            require_same([answer], whole, f"after {number} pieces and of them at once", remedy)
        stream.reset()
    return "streams"
