"""A model in the formats of phones and other runtimes, written by Keras's own exporters, checked before it has a name.

All of them take raw pixels 0–255: the scaling to [0, 1] is the model's first layer and goes along.
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
from mnist_core.models.saved_model import load_model, predict
from mnist_core.runtime import tensorflow_import


@dataclass(frozen=True)
class Agreement:
    """How an exported file compares with its Keras model.

    Args:
        images: how many both were asked about.
        share: of them on which the likeliest digit is the same, in [0, 1].
        largest_difference: between any two probabilities.
    """

    images: int
    share: float
    largest_difference: float


LEAST_SHARE, MOST_DIFFERENCE = 0.999, 1e-4
"""Of formats that compute in float32."""
MIN_AGREEMENT_INT8 = 0.98
"""Rounding to 8 bits moves probabilities; what counts is whether answers change."""


def export_model(
    model: keras.Model, target: Path, wanted: ExportFormat, check_on: Images, calibration: Images | None = None
) -> Agreement:
    """Write a model in another format; it gets its name once it has been read back and answers as the model does.

    Args:
        model: from pixels ``(n, 28, 28)`` to probabilities ``(n, 10)``.
        target: the file, or the folder of a SavedModel; one that is there is replaced.
        wanted: the format.
        check_on: images that both are asked about, shape ``(n, 28, 28)``, uint8.
        calibration: for LiteRT alone: images from which the ranges of 8-bit numbers are taken; None keeps float32.

    Raises:
        MissingLibraryError: the format needs a library that is not installed.
        ModelError: what was written answers otherwise.
        ParameterError: calibration for another format than LiteRT.
    """
    if calibration is not None and wanted is not ExportFormat.LITERT:
        raise ParameterError(f"int8: expected the format litert, received {wanted.value}")
    _need(wanted)
    partial = target.with_name(f"partial-{target.name}")
    try:
        with _silently():
            expected = predict(model, check_on)  # Keras exports to ONNX what has been called before
            _write(model, partial, wanted, calibration)
            found = _compare(expected, _answers(partial, wanted, check_on))
        _check(found, target, quantised=calibration is not None)
        _remove(target)
        partial.rename(target)
    finally:
        _remove(partial)
    return found


def _need(wanted: ExportFormat) -> None:
    if missing := [name for name in wanted.libraries if find_spec(name) is None]:
        raise MissingLibraryError(
            f"{wanted.value}: needs {', '.join(missing)}, not installed here: pip install "
            f"'mnist-search[export-{wanted.value}]'"
        )


def _write(model: keras.Model, path: Path, wanted: ExportFormat, calibration: Images | None) -> None:
    if wanted is ExportFormat.KERAS:
        model.save(path)
    elif wanted is ExportFormat.SAVED_MODEL:
        model.export(str(path), format="tf_saved_model", verbose=False)
    elif wanted is ExportFormat.ONNX:
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


def _answers(path: Path, wanted: ExportFormat, images: Images) -> Floats:
    """Probabilities by the format's own runtime, shape ``(n, 10)``."""
    if wanted is ExportFormat.KERAS:
        return predict(load_model(path), images)
    pixels = images.astype(np.float32)
    if wanted is ExportFormat.SAVED_MODEL:
        loaded = tf.saved_model.load(str(path))  # its function does not hold its variables
        return np.asarray(loaded.serve(pixels).numpy(), np.float32)
    if wanted is ExportFormat.ONNX:
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return np.asarray(session.run(None, {session.get_inputs()[0].name: pixels})[0], np.float32)
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(taken["index"], pixels.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(taken["index"], pixels)
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(given["index"]), np.float32)


def _compare(expected: Floats, received: Floats) -> Agreement:
    return Agreement(
        images=len(expected),
        share=float((expected.argmax(axis=1) == received.argmax(axis=1)).mean()),
        largest_difference=float(np.abs(expected - received).max()),
    )


def _check(found: Agreement, target: Path, quantised: bool) -> None:
    share = MIN_AGREEMENT_INT8 if quantised else LEAST_SHARE
    difference = 1.0 if quantised else MOST_DIFFERENCE
    # Written so that NaN does not pass.
    if not (found.share >= share and found.largest_difference <= difference):
        raise ModelError(
            f"{target.name}: expected the model's answer for {share:.1%} of {found.images} images and probabilities "
            f"within {difference:g}, received {found.share:.2%} and {found.largest_difference:g}; it was not kept"
        )


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _silently() -> Iterator[None]:
    """Converters write much of their own affairs to the log, to warnings and to the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), tensorflow_import():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
