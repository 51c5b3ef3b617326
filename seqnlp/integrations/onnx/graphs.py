"""What is exported to ONNX, and how: modules and classifiers as graphs."""

from __future__ import annotations

from seqnlp.integrations.onnx.classifier import can_stream, classifier_graphs, first_states
from seqnlp.integrations.onnx.recording import to_onnx

__all__ = ["can_stream", "classifier_graphs", "first_states", "to_onnx"]
