"""The contract of corpora."""

from __future__ import annotations

from seqnlp.testing.contract import Contract
from seqnlp.testing.corpora import contents, opening
from seqnlp.testing.corpora.subject import Subject
from seqnlp.testing.seeding import seeded

__all__ = ["Subject", "check_corpus"]

check_corpus: Contract[Subject] = Contract(
    "corpora",
    lambda part: Subject(part=part),
    around=seeded,
    options=lambda _: ("argument", "task", "columns"),
)
"""The contract of a corpus.

Options: `argument`, what stands behind the colon of its name; `task`, whose fields it is to have,
by default the first that it has; or `fields` themselves; `columns`, field to column.
"""

for name, check, required in (
    ("is a function that opens a corpus", opening.check_signature, True),
    ("opens, and downloads nothing", opening.check_opening, True),
    ("rows have the fields that were asked for", contents.check_fields, True),
    ("rows are the same however they are read", contents.check_rows, False),
    ("opened again it is the same", contents.check_repeated, False),
    ("a fingerprint tells contents apart", contents.check_fingerprints, False),
    ("validation is there, or cut off train", contents.check_validation, False),
    ("what it cannot give is refused", opening.check_refuses, False),
    ("says what a reader must know", opening.check_told, False),
    ("a task learns from it", opening.check_learning, False),
):
    check_corpus.check(name, required=required)(check)
