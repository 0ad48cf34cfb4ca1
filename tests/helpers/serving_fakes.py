"""A source of champions without a registry."""

from __future__ import annotations

from pathlib import Path

from mnist_core.errors import ModelError, StoreError
from serving.model_manager import ModelArtifact, ModelInfo


class FolderModelSource:
    """A ModelSource whose versions are the files of a folder, and whose champion is set by the test.

    Args:
        folder: is created.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.champion: str | None = None
        self.reachable = True

    def put(self, identity: str, content: bytes, litert: bytes | None = None) -> None:
        (self._folder / identity).write_bytes(content)
        if litert is not None:
            (self._folder / f"{identity}.tflite").write_bytes(litert)

    def current(self) -> str | None:
        if not self.reachable:
            raise StoreError("source: out of reach")
        return self.champion

    def fetch(self, identity: str, folder: Path) -> ModelArtifact:
        if not (self._folder / identity).exists():
            raise ModelError(f"version {identity}: expected a file, found none")
        path = folder / "model.keras"
        path.write_bytes((self._folder / identity).read_bytes())
        info = ModelInfo(
            name="digits",
            version=identity,
            run="quick/trial-003",
            sweep="quick",
            created="2026-11-22T10:00:00",
            sha256="0" * 64,
            test_accuracy=0.9123,
            val_accuracy=0.92,
            run_url="http://127.0.0.1:5000/#/experiments/1/runs/0",
        )
        made = self._folder / f"{identity}.tflite"
        return ModelArtifact(path, info, made if made.exists() else None)
