"""The contract of tasks."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from seqnlp.testing.contract import Contract
from seqnlp.testing.seeding import seeded
from seqnlp.testing.tasks import answers, figures, learning
from seqnlp.testing.tasks.subject import Subject, options_of

__all__ = ["Subject", "check_task"]

check_task: Contract[Subject] = Contract("tasks", Subject.of, around=seeded, options=options_of)
"""The contract of a task.

Options: `corpus`, a name or one that is open, by default that of the task's `defaults`; `rows` of
train that are read, 48 by default; `settings`, sections as in a recipe, or keys such as
`model.cell`; by all other names those of the task, as the table `head` would give them.
"""


def _named(check: Callable[[Subject], str | None]) -> Callable[[Subject], str | None]:
    """The check of a task that settings find by name, even if it is registered nowhere."""

    @wraps(check)
    def named(subject: Subject) -> str | None:
        with subject.named():
            return check(subject)

    return named


for name, check, required in (
    ("says what it reads and gives", learning.check_itself, True),
    ("options are typed", learning.check_options, True),
    ("is made from settings and a corpus", learning.check_made, True),
    ("rows are batches of numbers", learning.check_rows, True),
    ("the loss is a sum over its rows", learning.check_loss, False),
    ("gradients reach every weight", learning.check_gradients, False),
    ("learns", learning.check_learning, False),
    ("every example has an answer", answers.check_answers, False),
    ("what a user types is answered", answers.check_texts, False),
    ("figures are those that it names", figures.check_figures, False),
    ("baselines and comparisons are reports", figures.check_baselines, False),
    ("restored from its state it answers the same", answers.check_restored, False),
    ("several are combined", answers.check_combined, False),
    ("a run saves a model that answers the same", answers.check_run, False),
    ("streams, or says that it cannot", answers.check_streams, False),
):
    check_task.check(name, required=required)(_named(check))
