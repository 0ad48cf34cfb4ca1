"""Predictions of a LiteRT file, without TensorFlow."""

from __future__ import annotations

import dataclasses
import re
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from mnist_core.arrays import Floats, Images
from mnist_core.data.images import CLASSES
from mnist_core.errors import ModelError
from mnist_core.models.explanation import PredictionExplanation
from mnist_core.models.export_formats import ExportFormat
from mnist_core.models.probabilities import probability_fault, probe_images
from mnist_core.runtime import tensorflow_import

SHAPE = (28, 28)
BATCH = 16
"""Images in one call. Measured: larger batches are no faster, and need memory for all activations of a CNN at once."""
MAX_IDLE = 2
"""Interpreters that are kept: for the thread that handles requests, and for one that predicts a batch beside it."""


class LiteRtModel:
    """A LiteRT file that predicts on one thread of the caller, from any thread.

    Args:
        content: of the file; its model has one input, pixels as numbers of any type, and one output.

    Raises:
        ModelError: it cannot be loaded.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        # Its library prints a line at the first one of a process. Not for later ones: while one thread of the service
        # has stderr redirected, another would keep that for good.
        with tensorflow_import():
            first = _Interpreter(content)
        # An interpreter computes for one thread at a time, so each call takes one of these, or makes another.
        self._idle: deque[_Interpreter] = deque([first], maxlen=MAX_IDLE)
        self.input_shape, self.output_shape = self._idle[0].shapes

    def __call__(self, images: Images) -> Floats:
        """Outputs of the model, shape ``(n, …)``, float32, for images of shape ``(n, height, width)``, uint8."""
        try:
            interpreter = self._idle.pop()
        except IndexError:
            interpreter = _Interpreter(self._content)
        outputs = [interpreter(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
        self._idle.append(interpreter)
        return np.concatenate(outputs)


class _Interpreter:
    def __init__(self, content: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            self._interpreter = Interpreter(model_content=content, num_threads=1)
            self._interpreter.allocate_tensors()
            (self._input,), (self._output,) = self._details()
        except (ValueError, RuntimeError) as error:
            raise ModelError(
                f"LiteRT file: expected a model with one input and one output: {_first_sentence(error)}"
            ) from error
        self._images = int(self._input["shape"][0])

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shapes of input and output for one image, without the first axis."""
        return tuple(self._input["shape"][1:].tolist()), tuple(self._output["shape"][1:].tolist())

    def __call__(self, images: Images) -> Floats:
        if len(images) != self._images:
            self._interpreter.resize_tensor_input(self._input["index"], images.shape)
            self._interpreter.allocate_tensors()
            self._images = len(images)
        self._interpreter.set_tensor(self._input["index"], images.astype(self._input["dtype"]))
        self._interpreter.invoke()
        return np.asarray(self._interpreter.get_tensor(self._output["index"]), np.float32)

    def _details(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        return self._interpreter.get_input_details(), self._interpreter.get_output_details()


class LiteRtPredictor:
    """A LiteRT file that predicts, and the Keras model that it was made of, which explains.

    Args:
        content: of the file; from pixels ``(n, 28, 28)`` to probabilities ``(n, 10)``.
        explain: explains a prediction of the Keras model. LiteRT computes no gradients.
        close: ends what explanations have started.

    Raises:
        ModelError: it cannot be loaded, has other shapes, or its outputs are no probabilities.
    """

    runtime = ExportFormat.LITERT
    explains_quickly = False

    def __init__(
        self,
        content: bytes,
        explain: Callable[[Images], PredictionExplanation],
        close: Callable[[], object] = lambda: None,
    ) -> None:
        self._model = LiteRtModel(content)
        shapes = self._model.input_shape, self._model.output_shape
        if shapes != (SHAPE, (CLASSES,)):
            received = " to ".join(map(str, shapes))
            raise ModelError(f"LiteRT file: expected shapes {SHAPE} to {(CLASSES,)}, received {received}")
        try:
            probabilities = self._model(probe_images(SHAPE))
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"LiteRT file: expected to predict two images: {_first_sentence(error)}") from error
        if fault := probability_fault(probabilities):
            raise ModelError(f"LiteRT file: {fault}")
        self._explain, self._close = explain, close

    def probabilities(self, images: Images) -> Floats:
        """Class probabilities, shape ``(n, 10)``, of images of shape ``(n, 28, 28)``, uint8."""
        return self._model(images)

    def explain(self, image: Images) -> PredictionExplanation:
        """Explain the probabilities of an image of shape ``(28, 28)``, uint8.

        Raises:
            ModelError: the Keras model cannot be loaded.
        """
        # The same probabilities as without an explanation: the two runtimes round differently.
        return dataclasses.replace(self._explain(image), probabilities=self.probabilities(image[None])[0])

    def close(self) -> None:
        """End what explanations have started; there are no more of them."""
        self._close()


def _first_sentence(error: Exception) -> str:
    return re.split(r"\n|\. ", str(error).strip())[0]
