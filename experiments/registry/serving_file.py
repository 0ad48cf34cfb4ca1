"""The LiteRT file that the service predicts with: made of a run's Keras model at its promotion, and checked."""

from __future__ import annotations

import tempfile
from pathlib import Path

from experiments.tracking.artifacts import fetch_file, sha256_of
from experiments.tracking.records import RunRecord, VersionRecord, VersionTag
from experiments.tracking.store import Store
from mnist_core.arrays import Images
from mnist_core.errors import ModelError, StoreError
from mnist_core.models.explanation import PredictionExplanation
from mnist_core.models.export_formats import ExportFormat
from mnist_core.runtime import tensorflow_import

FOLDER = "serving"
"""Of a model's artifacts. A file is named by its digest, so that none is ever replaced by another."""


def make_serving_file(store: Store, run: RunRecord, model: Path, check_on: Images) -> dict[str, str]:
    """Make the LiteRT file of a run's model, compare their predictions, and store it beside the model.

    A model that LiteRT cannot compute, or not equally, or whose file the service would refuse, is served by Keras: that
    is no error.

    Args:
        store: open for writing.
        run: whose model it is.
        model: the ``.keras`` file.
        check_on: images that both predict, shape ``(n, 28, 28)``, uint8.

    Returns:
        Tags for the version: digest and agreement, or an empty digest and the reason.

    Raises:
        StoreError: the store cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="mnist-search-") as scratch:
        made = Path(scratch, FOLDER, "model.tflite")
        made.parent.mkdir()
        try:
            agreement = _export(model, made, check_on)
        except Exception as error:  # the converter's, which has no class for what it cannot convert
            reason = " ".join(str(error).split()) or type(error).__name__
            return {VersionTag.LITERT_SHA256: "", VersionTag.LITERT: f"not made: {reason[:400]}"}
        sha256, size = sha256_of(made), made.stat().st_size
        made.rename(made.with_name(_name(sha256)))
        with store.errors(f"storing the LiteRT file of {run.title}"):
            store.client.log_model_artifacts(run.model_id or "", scratch)
    return {VersionTag.LITERT_SHA256: sha256, VersionTag.LITERT: f"{size:,} bytes, {agreement}"}


def has_serving_file(store: Store, version: VersionRecord) -> bool:
    """True where the version's LiteRT file lies in the store as it was made."""
    with tempfile.TemporaryDirectory(prefix="mnist-search-") as folder:
        try:
            return fetch_serving_file(store, version, Path(folder)) is not None
        except ModelError:
            return False


def no_serving_file_message(version: VersionRecord) -> str | None:
    """A line for the user about a version that was promoted without a LiteRT file; None where it has one."""
    if version.tags.get(VersionTag.LITERT_SHA256):
        return None
    reason = version.tags.get(VersionTag.LITERT, "not made")
    return f"{version.title} has no LiteRT file, so Keras would serve it; {reason}"


def fetch_serving_file(store: Store, version: VersionRecord, folder: Path) -> Path | None:
    """Copy a version's LiteRT file out of the store, and verify its SHA-256.

    Returns:
        Its path; None where none was made.

    Raises:
        ModelError: it is missing, or not the one that was made at the promotion.
    """
    model_id, recorded = version.tags.get(VersionTag.MODEL_ID), version.tags.get(VersionTag.LITERT_SHA256)
    if not (model_id and recorded):
        return None
    try:
        with store.errors(f"reading the model of {version.title}"):
            place = store.client.get_logged_model(model_id).artifact_location
        path = fetch_file(store, f"{place}/{FOLDER}/{_name(recorded)}", folder)
    except StoreError as error:
        raise ModelError(f"{version.title}: its LiteRT file is missing or unreadable: {error}") from error
    if (found := sha256_of(path)) != recorded:
        raise ModelError(f"{version.title}: its LiteRT file was altered: expected SHA-256 {recorded}, received {found}")
    return path


def _name(sha256: str) -> str:
    return f"{sha256}{ExportFormat.LITERT.suffix}"


def _export(model: Path, target: Path, check_on: Images) -> str:
    with tensorflow_import():
        from mnist_core.models.exporters import export_model
        from mnist_core.models.litert import LiteRtPredictor
        from mnist_core.models.saved_model import load_model

    agreement = export_model(load_model(model), target, ExportFormat.LITERT, check_on)
    LiteRtPredictor(target.read_bytes(), _explain_nothing)  # raises what the service would log
    return (
        f"same prediction for {agreement.share:.2%} of {agreement.images:,} images, largest difference "
        f"{agreement.largest_difference:.2g}"
    )


def _explain_nothing(image: Images) -> PredictionExplanation:
    raise NotImplementedError
