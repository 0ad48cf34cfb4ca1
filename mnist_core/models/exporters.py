"""Export of a model to the formats of phones and other runtimes, by Keras's exporters, with a check of the result.

All formats take raw pixels 0–255: the scaling to [0, 1] is the model's first layer and is exported too.
"""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from mnist_core.arrays import Floats, Images
from mnist_core.errors import MissingLibraryError, ModelError, ParameterError
from mnist_core.models.export_formats import ExportFormat
from mnist_core.models.litert import LiteRtModel
from mnist_core.models.saved_model import load_model, predict
from mnist_core.runtime import tensorflow_import


@dataclass(frozen=True)
class Agreement:
    """The agreement of an exported file with its Keras model.

    Args:
        images: number of images that both predicted.
        share: share of the images with the same predicted digit, in [0, 1].
        largest_difference: maximum difference between two probabilities.
    """

    images: int
    share: float
    largest_difference: float


MIN_AGREEMENT, MAX_DIFFERENCE = 0.999, 1e-4
"""For formats that compute in float32."""
MIN_AGREEMENT_INT8 = 0.98
"""Rounding to 8 bits changes probabilities, so only the predicted digits are compared."""


def export_model(
    model: keras.Model, target: Path, export_format: ExportFormat, check_on: Images, calibration: Images | None = None
) -> Agreement:
    """Export a model to another format. The target appears after it was read back and predicts like the model.

    Args:
        model: from pixels ``(n, 28, 28)`` to probabilities ``(n, 10)``.
        target: the file, or the folder of a SavedModel; an existing one is replaced.
        export_format: the format.
        check_on: images that both predict, shape ``(n, 28, 28)``, uint8.
        calibration: for LiteRT only: images that determine the ranges of 8-bit numbers; None keeps float32.

    Raises:
        MissingLibraryError: the format needs a library that is not installed.
        ModelError: the exported model predicts otherwise.
        ParameterError: calibration for another format than LiteRT.
    """
    if calibration is not None and export_format is not ExportFormat.LITERT:
        raise ParameterError(f"int8: expected the format litert, received {export_format.value}")
    _check_libraries(export_format)
    partial = target.with_name(f"partial-{target.name}")
    try:
        with _no_output():
            expected = predict(model, check_on)  # Keras exports only a called model to ONNX
            _write(model, partial, export_format, calibration)
            agreement = _compare(expected, _predict_exported(partial, export_format, check_on))
        _check(agreement, target, quantised=calibration is not None)
        _remove(target)
        partial.rename(target)
    finally:
        _remove(partial)
    return agreement


def _check_libraries(export_format: ExportFormat) -> None:
    if missing := [name for name in export_format.libraries if find_spec(name) is None]:
        raise MissingLibraryError(
            f"{export_format.value}: requires {', '.join(missing)}, which is not installed: pip install "
            f"'mnist-search[export-{export_format.value}]'"
        )


def _write(model: keras.Model, path: Path, export_format: ExportFormat, calibration: Images | None) -> None:
    if export_format is ExportFormat.KERAS:
        model.save(path)
    elif export_format is ExportFormat.SAVED_MODEL:
        model.export(str(path), format="tf_saved_model", verbose=False)
    elif export_format is ExportFormat.ONNX:
        model.export(str(path), format="onnx", verbose=False)
    elif calibration is None:
        model.export(str(path), format="litert", verbose=False)
    else:
        images = calibration.astype(np.float32)
        model.export(
            str(path),
            format="litert",
            verbose=False,
            optimizations=[tf.lite.Optimize.DEFAULT],
            representative_dataset=lambda: ([image[None]] for image in images),
        )


def _predict_exported(path: Path, export_format: ExportFormat, images: Images) -> Floats:
    """Probabilities, computed by the format's own runtime, shape ``(n, 10)``."""
    if export_format is ExportFormat.KERAS:
        return predict(load_model(path), images)
    pixels = images.astype(np.float32)
    if export_format is ExportFormat.SAVED_MODEL:
        loaded = tf.saved_model.load(str(path))  # keep a reference: its function does not keep the variables alive
        return np.asarray(loaded.serve(pixels).numpy(), np.float32)
    if export_format is ExportFormat.ONNX:
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return np.asarray(session.run(None, {session.get_inputs()[0].name: pixels})[0], np.float32)
    return LiteRtModel(path.read_bytes())(images)


def _compare(expected: Floats, received: Floats) -> Agreement:
    return Agreement(
        images=len(expected),
        share=float((expected.argmax(axis=1) == received.argmax(axis=1)).mean()),
        largest_difference=float(np.abs(expected - received).max()),
    )


def _check(agreement: Agreement, target: Path, quantised: bool) -> None:
    share = MIN_AGREEMENT_INT8 if quantised else MIN_AGREEMENT
    difference = 1.0 if quantised else MAX_DIFFERENCE
    # Negated so that NaN is refused.
    if not (agreement.share >= share and agreement.largest_difference <= difference):
        raise ModelError(
            f"{target.name}: expected the model's prediction for {share:.1%} of {agreement.images} images and "
            f"probabilities within {difference:g}, received {agreement.share:.2%} and "
            f"{agreement.largest_difference:g}; the file was deleted"
        )


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _no_output() -> Iterator[None]:
    """Suppress the log lines, warnings and terminal output of the converters."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), tensorflow_import():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
