"""The ONNX graphs of tasks."""

from __future__ import annotations

from seqnlp.integrations.onnx.recording import to_onnx

__all__ = ["to_onnx"]
