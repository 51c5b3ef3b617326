"""Trained models as ONNX graphs, which run wherever onnxruntime does, without torch."""
