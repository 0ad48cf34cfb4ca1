"""The model factory: pixels, normalisation, the hidden part of the architecture, probabilities; compiled."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import keras

from mnist_core.data.images import CLASSES
from mnist_core.errors import ParameterError
from mnist_core.hyperparameters import Hyperparameters, check_blocks
from mnist_core.models.custom import INPUT_SHAPE, CustomModel, load_function
from mnist_core.models.layers import convolution_blocks, hidden_layers
from mnist_core.models.losses import SmoothedCrossentropy
from mnist_core.models.supported import check_supported

# AdamW shrinks kernels; an offset or a scale near zero would be no simpler.
NOT_DECAYED = ["bias", "gamma", "beta"]


def build_model(hyperparameters: Hyperparameters | CustomModel, input_shape: tuple[int, int] = (28, 28)) -> keras.Model:
    """A compiled classifier of digits, by the factory or by a function of the user's.

    Normalisation is its first layer, so what is served is what was trained: the model takes raw pixels.

    Args:
        hyperparameters: checked values of one trial.
        input_shape: height and width of an image, in pixels.

    Returns:
        A ``keras.Model`` from pixels 0–255, shape ``(n, height, width)``, any numeric dtype, to class
        probabilities, shape ``(n, 10)``, float32; compiled with Adam and sparse categorical cross-entropy.

    Raises:
        ParameterError: a parameter was set that the architecture does not have, the images are too small, or the
            user's function returns something else.
    """
    if isinstance(hyperparameters, CustomModel):
        return _build_own(hyperparameters, input_shape)
    if hyperparameters.inactive:
        raise ParameterError(
            f"{hyperparameters.inactive[0]}: architecture {hyperparameters.architecture!r} has no such parameter; "
            "expected its default, or another architecture"
        )
    model = keras.Sequential(
        [
            keras.Input(input_shape, name="pixels"),
            keras.layers.Rescaling(1 / 255, name="normalisation"),
            *_convolutions(hyperparameters, input_shape),
            keras.layers.Flatten(name="flatten"),
            *hidden_layers(hyperparameters),
            keras.layers.Dense(CLASSES, activation="softmax", name="probabilities"),
        ],
        name=hyperparameters.architecture,
    )
    model.compile(optimizer=_optimizer(hyperparameters), loss=_loss(hyperparameters), metrics=["accuracy"])
    return model


def _build_own(own: CustomModel, input_shape: tuple[int, int]) -> keras.Model:
    function = load_function(own.function)
    shape = {INPUT_SHAPE: input_shape} if INPUT_SHAPE in inspect.signature(function).parameters else {}
    model = function(**own.arguments, **shape)
    if not isinstance(model, keras.Model) or not model.compiled:
        kind = "one that is not compiled" if isinstance(model, keras.Model) else type(model).__name__
        raise ParameterError(f"function {own.function}: expected a compiled Keras model, returned {kind}")
    if not _is_of_keras(type(model).__module__):
        raise ParameterError(
            f"function {own.function}: expected a Sequential or functional model, which Keras can load by itself, "
            f"returned a {type(model).__name__} of {type(model).__module__}; build it as keras.Model(inputs, outputs)"
        )
    expected = (None, *input_shape), (None, CLASSES)
    shapes = getattr(model, "input_shape", None), getattr(model, "output_shape", None)
    if shapes != expected:
        raise ParameterError(
            f"function {own.function}: expected a Sequential or functional model from {expected[0]} to {expected[1]}, "
            f"returned one from {shapes[0]} to {shapes[1]}"
        )
    if foreign := next(_foreign_parts(model.get_config()), None):
        raise ParameterError(
            f"function {own.function}: expected layers that Keras can load by itself, since models are served without "
            f"the code that built them; returned a model with {foreign}"
        )
    try:
        check_supported(model, input_shape)
    except ParameterError as error:
        raise ParameterError(f"function {own.function}: {error}") from error
    return model


def _foreign_parts(config: object) -> Iterator[str]:
    """What in a model's configuration only the user's own code could make again, or would run as code."""
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


def _convolutions(values: Hyperparameters, input_shape: tuple[int, int]) -> list[keras.layers.Layer]:
    if values.architecture == "mlp":
        return []
    check_blocks(values.blocks, input_shape)
    return [keras.layers.Reshape((*input_shape, 1), name="channel"), *convolution_blocks(values)]


def _optimizer(values: Hyperparameters) -> keras.optimizers.Optimizer:
    if not values.weight_decay:
        return keras.optimizers.Adam(values.learning_rate)
    optimizer = keras.optimizers.AdamW(values.learning_rate, weight_decay=values.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=NOT_DECAYED)
    return optimizer


def _loss(values: Hyperparameters) -> keras.losses.Loss:
    if values.label_smoothing:
        return SmoothedCrossentropy(values.label_smoothing)
    return keras.losses.SparseCategoricalCrossentropy()
