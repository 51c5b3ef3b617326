"""Trained models as ONNX graphs, which run wherever onnxruntime does, without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqnlp.lazily import lazily

if TYPE_CHECKING:
    from seqnlp.integrations.onnx.export import export_onnx
    from seqnlp.integrations.onnx.recording import to_onnx

_HOME = {
    "export_onnx": "seqnlp.integrations.onnx.export",
    "to_onnx": "seqnlp.integrations.onnx.recording",
}

__all__ = ["export_onnx", "to_onnx"]

__getattr__, __dir__ = lazily(__name__, _HOME)
