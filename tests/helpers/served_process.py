"""A service for a process of its own, with a model that needs no TensorFlow.

``python -m tests.helpers.served_process FOLDER HEAD_SECONDS STALL_SECONDS SHUTDOWN_SECONDS``
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mnist_core.models.explanation import PredictionExplanation
from mnist_core.models.export_formats import ExportFormat
from serving import connections, server
from serving.app import Settings, create_app
from serving.model_manager import ModelManager
from tests.helpers.serving_fakes import FolderModelSource


class UniformPredictor:
    """A predictor that gives all digits the same probability."""

    runtime = ExportFormat.KERAS
    explains_quickly = True

    def probabilities(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return np.full((len(images), 10), 0.1, np.float32)

    def explain(self, image: npt.NDArray[np.uint8]) -> PredictionExplanation:
        raise NotImplementedError

    def close(self) -> None:
        pass


def main(folder: Path, head_seconds: float, stall_seconds: float, shutdown_seconds: int) -> None:
    connections.HEAD_SECONDS = head_seconds
    source = FolderModelSource(folder / "models")
    source.put("1", b"")
    source.champion = "1"
    manager = ModelManager(source, lambda file, litert: UniformPredictor())
    manager.check()
    listener = server.listen("127.0.0.1", 0)
    print(listener.getsockname()[1], flush=True)
    settings = Settings(collect=folder / "feedback", stall_seconds=stall_seconds)
    server.run(create_app(manager, settings), listener, shutdown_seconds)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
