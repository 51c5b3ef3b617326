"""Search for sequences: greedy, beam, sampling, and what may be asked of their outputs.

A search knows of a model what a `Stepper` tells it. Axis letters: B sources, K hypotheses of each,
N = B * K rows, V vocabulary, T steps, S source time; G groups of a beam, W hypotheses of a group,
C phrases of L tokens.
"""

from seqnlp.tasks.decoding.alignment import align, pharaoh, replace_unknown
from seqnlp.tasks.decoding.certainty import Certain
from seqnlp.tasks.decoding.lengths import UsualLength
from seqnlp.tasks.decoding.options import Decoding
from seqnlp.tasks.decoding.search import drained, search, searching
from seqnlp.tasks.decoding.stepper import EnsembleStepper, Stepper, StepScores
from seqnlp.tasks.decoding.trace import Found
from seqnlp.tasks.decoding.words import WordMarks

__all__ = [
    "Certain",
    "Decoding",
    "EnsembleStepper",
    "Found",
    "StepScores",
    "Stepper",
    "UsualLength",
    "WordMarks",
    "align",
    "drained",
    "pharaoh",
    "replace_unknown",
    "search",
    "searching",
]
