"""The formats that a model can be exported to."""

from __future__ import annotations

from enum import Enum


class ExportFormat(Enum):
    """What a model can be exported to."""

    LITERT = "litert"
    ONNX = "onnx"
    SAVED_MODEL = "saved-model"
    KERAS = "keras"

    @property
    def suffix(self) -> str:
        """Ending of its files; a SavedModel is a folder."""
        return {"litert": ".tflite", "onnx": ".onnx", "saved-model": "", "keras": ".keras"}[self.value]

    @property
    def libraries(self) -> tuple[str, ...]:
        """Modules that writing it and reading it back need beyond TensorFlow."""
        return {"litert": ("ai_edge_litert",), "onnx": ("tf2onnx", "onnx", "onnxruntime")}.get(self.value, ())
