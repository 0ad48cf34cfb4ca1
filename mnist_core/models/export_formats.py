"""The formats that a model can be exported to."""

from __future__ import annotations

from enum import Enum


class ExportFormat(Enum):
    """A format that a model can be exported to."""

    LITERT = "litert"
    ONNX = "onnx"
    SAVED_MODEL = "saved-model"
    KERAS = "keras"

    @property
    def suffix(self) -> str:
        """Suffix of its files; empty for a SavedModel, which is a folder."""
        return {"litert": ".tflite", "onnx": ".onnx", "saved-model": "", "keras": ".keras"}[self.value]

    @property
    def libraries(self) -> tuple[str, ...]:
        """Modules besides TensorFlow that are needed to write a file and to read it back."""
        return {"litert": ("ai_edge_litert",), "onnx": ("tf2onnx", "onnx", "onnxruntime")}.get(self.value, ())
