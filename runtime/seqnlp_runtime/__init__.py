"""Runs models that `seqnlp export --format onnx` has written, on onnxruntime and numpy alone.

>>> from seqnlp_runtime import load
>>> model = load("exported")  # doctest: +SKIP
>>> model("a stirring, funny film").output  # doctest: +SKIP
'positive'
"""

from seqnlp_runtime.errors import FolderError, MissingPackageError, RunnerError
from seqnlp_runtime.model import Answer, Model, Stream, load

__all__ = [
    "Answer",
    "FolderError",
    "MissingPackageError",
    "Model",
    "RunnerError",
    "Stream",
    "load",
]
