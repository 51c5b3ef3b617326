"""Search for sequences, in numpy: greedy, beam, sampling, and what may be asked of their outputs.

What is found is what seqnlp finds with the same options. Axis letters: B sources, K hypotheses of
each, N = B * K rows, V tokens, T steps, S source time; G groups of a beam, W hypotheses of a group.
"""

from seqnlp_runtime.decoding.lengths import UsualLength
from seqnlp_runtime.decoding.options import Decoding
from seqnlp_runtime.decoding.search import search
from seqnlp_runtime.decoding.stepper import Stepper
from seqnlp_runtime.decoding.trace import Found
from seqnlp_runtime.decoding.words import WordMarks

__all__ = ["Decoding", "Found", "Stepper", "UsualLength", "WordMarks", "search"]
