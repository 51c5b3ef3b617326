"""Why a training fails: gradients through time, gates, weights, and what to do about them."""

from seqnlp.diagnosis.diagnosing import diagnose, examine
from seqnlp.diagnosis.report import Diagnosis, LayerReport, Verdict

__all__ = ["Diagnosis", "LayerReport", "Verdict", "diagnose", "examine"]
