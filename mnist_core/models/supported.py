"""Checks that the compiled epoch trains a Keras model like ``fit``, and that Keras alone can load it."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np

from mnist_core.data.images import CLASSES
from mnist_core.errors import ParameterError
from mnist_core.models.probabilities import probability_fault, probe_images

# Methods of Keras that the compiled epoch replaces.
REPLACED = ("train_step", "test_step", "compute_loss", "make_train_function", "make_test_function")


def check_supported(model: keras.Model, shape: tuple[int, int]) -> None:
    """Refuse a model that the compiled epoch would train otherwise than Keras's ``fit``, or that cannot be evaluated.

    Supported are one input of pixels and one output of probabilities; any layers, penalties and constraints; any loss
    of integer labels, and its weight; any optimizer with its clipping, weight decay, loss scaling, gradient
    accumulation and learning rate schedule. Metrics other than loss and accuracy are not computed.
    ``steps_per_execution`` and ``jit_compile`` only affect speed and are ignored. A model that is not built is built
    here.

    Args:
        model: any Keras model.
        shape: height and width of an image, in pixels.

    Raises:
        ParameterError: the model is not supported; the message does not name the model.
    """
    if not model.compiled:
        raise ParameterError("expected a compiled Keras model, received one that is not: call its compile()")
    for name in REPLACED:
        if getattr(getattr(model, name), "__func__", None) is not getattr(keras.Model, name):
            raise ParameterError(
                f"{name}: expected that of Keras, received one of {type(model).__name__}, which would not be called; "
                "use layers, or the loss and the optimizer of compile(), instead"
            )
    for part in ("optimizer", "loss"):
        if getattr(model, part) is None:
            raise ParameterError(f"{part}: expected one, received none: pass it to compile()")
    if model.run_eagerly:
        raise ParameterError("run_eagerly: expected False, received True: whole epochs are compiled")
    # Each epoch would be evaluated with other weights than the averaged ones at the end of training.
    if any(optimizer.use_ema for optimizer in _optimizers(model.optimizer)):
        raise ParameterError(
            "use_ema: expected False, since the optimizer's average is not evaluated after each epoch, received True; "
            "set ema in [training], which is evaluated and saved"
        )
    _check_shape_and_scores(model, shape)


def _optimizers(optimizer: keras.optimizers.Optimizer) -> list[keras.optimizers.Optimizer]:
    """The optimizer without its loss scaling, or those of a ``MultiOptimizer``."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return [inner, *getattr(inner, "optimizers", ())]


def _check_shape_and_scores(model: keras.Model, shape: tuple[int, int]) -> None:
    inputs = getattr(model, "inputs", None)  # a subclassed model has none
    if inputs is not None and len(inputs) != 1:
        raise ParameterError(f"inputs: expected one, the pixels, received {len(inputs)}")
    if isinstance(model, keras.Sequential) and not model.built:
        model.build((None, *shape))  # by a call, its batches would be of the size of that call
    # A recurrent layer draws the masks of its dropout even where it does not use them.
    drawn = [(variable, variable.numpy()) for variable in model.non_trainable_variables if "int" in variable.dtype]
    scores = model(probe_images(shape), training=False)
    for variable, value in drawn:
        variable.assign(value)
    if not hasattr(scores, "shape") or len(scores.shape) != 2:
        received = f"shape {scores.shape}" if hasattr(scores, "shape") else f"{type(scores).__name__} of {len(scores)}"
        raise ParameterError(f"outputs: expected one, of shape (n, classes), received {received}")
    if fault := probability_fault(np.asarray(keras.ops.convert_to_numpy(scores), np.float32)):
        raise ParameterError(f"outputs: {fault}")
    _check_loss(model, scores)


def _check_loss(model: keras.Model, scores: keras.KerasTensor) -> None:
    labels = np.arange(len(scores), dtype=np.int32) % scores.shape[-1]
    try:
        loss = model.compute_loss(y=keras.ops.convert_to_tensor(labels), y_pred=scores, training=False)
        if len(loss.shape):
            raise ValueError(f"it gave an array of shape {tuple(loss.shape)}")
    except Exception as error:  # a loss may raise anything
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ParameterError(
            f"loss: expected one number from labels of shape (n,), as sparse_categorical_crossentropy gives: {reason}"
        ) from error


def check_custom_model(model: object, input_shape: tuple[int, int]) -> None:
    """Refuse a model of a user's function that could not be trained here, or not be loaded by Keras alone.

    Args:
        model: the value that the function returned.
        input_shape: height and width of an image, in pixels.

    Raises:
        ParameterError: the model is refused; the message does not name the function.
    """
    if not isinstance(model, keras.Model) or not model.compiled:
        kind = "one that is not compiled" if isinstance(model, keras.Model) else type(model).__name__
        raise ParameterError(f"expected a compiled Keras model, returned {kind}")
    if not _is_of_keras(type(model).__module__):
        raise ParameterError(
            f"expected a Sequential or functional model, which Keras can load by itself, returned a "
            f"{type(model).__name__} of {type(model).__module__}; build it as keras.Model(inputs, outputs)"
        )
    expected = (None, *input_shape), (None, CLASSES)
    shapes = getattr(model, "input_shape", None), getattr(model, "output_shape", None)
    if shapes != expected:
        raise ParameterError(
            f"expected a Sequential or functional model from {expected[0]} to {expected[1]}, returned one from "
            f"{shapes[0]} to {shapes[1]}"
        )
    if foreign := next(_foreign_parts(model.get_config()), None):
        raise ParameterError(
            "expected layers that Keras can load by itself, since models are served without the code that built "
            f"them; returned a model with {foreign}"
        )
    check_supported(model, input_shape)


def _foreign_parts(config: object) -> Iterator[str]:
    """The parts of a model's configuration that only the user's own code could make again, or that are code."""
    if isinstance(config, dict):
        if config.get("class_name") == "__lambda__":
            yield "a lambda"
        elif "class_name" in config and not _is_of_keras(config.get("module") or "keras"):
            yield f"{config['class_name']} of {config['module']}"
    if isinstance(config, dict | list | tuple):
        for part in config.values() if isinstance(config, dict) else config:
            yield from _foreign_parts(part)


def _is_of_keras(module: str) -> bool:
    return module == "keras" or module.startswith("keras.")
