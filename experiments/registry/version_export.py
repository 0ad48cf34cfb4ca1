"""Export of a registered version to another format, with a check that is recorded with the version."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.formatting import Displayed, TextTable
from experiments.registry import versions
from experiments.tracking.artifacts import fetch_version, sha256_of
from experiments.tracking.records import VersionRecord
from experiments.tracking.store import Store
from mnist_core.data.sources import DataSource
from mnist_core.errors import NotFoundError
from mnist_core.models.export_formats import ExportFormat
from mnist_core.runtime import tensorflow_import

if TYPE_CHECKING:
    from mnist_core.models.exporters import Agreement

FOLDER = "exports"
CHECK_IMAGES, CALIBRATION_IMAGES = 1000, 500


@dataclass(frozen=True, repr=False)
class ExportedModel(Displayed):
    """The exported file or folder.

    Args:
        version: that was exported.
        path: of the file, or of the folder of a SavedModel.
        agreement: with the Keras model.
        size: in bytes, all files together.
    """

    version: VersionRecord
    path: Path
    agreement: Agreement
    size: int

    def _title(self) -> str:
        return f"{self.version.title} as {self.path}"

    def _tables(self) -> Sequence[TextTable]:
        share, images = f"{self.agreement.share:.2%}", f"{self.agreement.images:,}"
        rows = [("size", f"{self.size:,} bytes"), ("same prediction", f"{share} of {images} test images")]
        return (TextTable(("", ""), rows),)


def find_version(store: Store, name: str, text: str) -> VersionRecord:
    """The version with that number or alias.

    Raises:
        NotFoundError: there is none.
    """
    found = versions.read_versions(store, name)
    for version in found:
        if text == str(version.version) or text in version.aliases:
            return version
    known = ", ".join(str(version.version) for version in found)
    hint = f"it has: {known}" if known else "promote a run first (mnist-search promote SWEEP)"
    raise NotFoundError(f"{name}: no version {text!r} in {store.shown}; {hint}")


def export_version(
    store: Store, version: VersionRecord, wanted: ExportFormat, int8: bool, folder: Path, source: DataSource
) -> ExportedModel:
    """Export a version into the folder, log a copy to its run, and record the check with the version.

    The check compares the predictions of both models on test images. Their labels are not read, and nothing is selected
    by it. The ranges of 8-bit numbers are taken from training images.

    Raises:
        MissingLibraryError: the format needs a library that is not installed.
        ModelError: the version's file is missing or altered, or the exported model predicts differently.
    """
    with tensorflow_import():
        from mnist_core.models.exporters import export_model
        from mnist_core.models.saved_model import load_model

    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{version.name}-{version.version}{'-int8' * int8}{wanted.suffix}"
    with tempfile.TemporaryDirectory(prefix="mnist-search-") as scratch:
        model = load_model(fetch_version(store, version, Path(scratch)))
    agreement = export_model(
        model,
        target,
        wanted,
        check_on=source.load_test().images[:CHECK_IMAGES],
        calibration=source.load_training().images[:CALIBRATION_IMAGES] if int8 else None,
    )
    exported = ExportedModel(version, target, agreement, _size(target))
    _record(store, version, exported, f"{wanted.value}{'-int8' * int8}")
    return exported


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())


def _record(store: Store, version: VersionRecord, exported: ExportedModel, kind: str) -> None:
    agreement, path = exported.agreement, exported.path
    digest = f", SHA-256 {sha256_of(path)}" if path.is_file() else ""
    text = (
        f"{exported.size:,} bytes, same prediction for {agreement.share:.2%} of {agreement.images} images, largest "
        f"difference {agreement.largest_difference:.2g}{digest}"
    )
    with store.errors(f"recording the export of {version.title}"):
        if path.is_file():
            store.client.log_artifact(version.run_id, str(path), FOLDER)
        else:
            store.client.log_artifacts(version.run_id, str(path), f"{FOLDER}/{path.name}")
        store.client.set_model_version_tag(version.name, str(version.version), f"export.{kind}", text)
