"""The compiled epoch compared with Keras's ``fit``: the same weights for supported models, an error for others."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest

from mnist_core.data.images import LabelledImages, Split
from mnist_core.errors import ParameterError
from mnist_core.hyperparameters import EarlyStopping, TrainingConfig
from mnist_core.runtime import reset
from mnist_core.training.compiled_epoch import CompiledEpoch, ResidentImages, prepare
from mnist_core.training.trainer import train

COUNT, BATCH, EPOCHS = 90, 20, 2  # five steps an epoch, the last of ten images
Optimizer = Callable[[], keras.optimizers.Optimizer]


@pytest.fixture(scope="module")
def few(small_split: Split) -> LabelledImages:
    return small_split.train.take(np.arange(COUNT))


def layers(normalised: bool = False) -> list[keras.layers.Layer]:
    return [
        keras.Input((28, 28)),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Flatten(),
        keras.layers.Dense(8, activation="relu", kernel_regularizer=keras.regularizers.L2(0.01)),
        *([keras.layers.BatchNormalization()] if normalised else []),
        keras.layers.Dense(10, kernel_constraint=keras.constraints.MaxNorm(0.7)),
        keras.layers.Activation("softmax", dtype="float32"),
    ]


def model_of(
    optimizer: keras.optimizers.Optimizer | str, normalised: bool = False, policy: str = "float32", **settings: object
) -> keras.Model:
    """The same initial weights each time."""
    reset(3)
    keras.config.set_dtype_policy(policy)
    try:
        model = keras.Sequential(layers(normalised))
        model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"], **settings)
    finally:
        keras.config.set_dtype_policy("float32")
    return model


def trained_here(model: keras.Model, data: LabelledImages) -> tuple[list[float], list[np.ndarray]]:
    """Training loss of each epoch, and the weights after the last."""
    run = CompiledEpoch(model, ResidentImages.load(data), BATCH)
    rng = np.random.default_rng(5)
    return [run(rng)[0] for _ in range(EPOCHS)], model.get_weights()


def trained_by_fit(model: keras.Model, data: LabelledImages) -> tuple[list[float], list[np.ndarray]]:
    """The same by Keras's ``fit``, for the same images in the same order."""
    rng, losses = np.random.default_rng(5), []
    for epoch in range(EPOCHS):
        order = rng.permutation(len(data))
        done = model.fit(
            data.images[order],
            data.labels[order].astype(np.int32),
            BATCH,
            epochs=epoch + 1,
            initial_epoch=epoch,
            shuffle=False,
            verbose=0,
        )
        losses += done.history["loss"]
    return losses, model.get_weights()


def decayed() -> keras.optimizers.Optimizer:
    optimizer = keras.optimizers.SGD(0.1, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


OPTIMIZERS: dict[str, Optimizer] = {
    "plain": lambda: keras.optimizers.SGD(0.1),
    "momentum": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "clipnorm": lambda: keras.optimizers.SGD(0.1, clipnorm=0.05),
    "global clipnorm": lambda: keras.optimizers.SGD(0.1, global_clipnorm=0.05),
    "clipvalue": lambda: keras.optimizers.SGD(0.1, clipvalue=0.001),
    "weight decay": decayed,
    "gradient accumulation": lambda: keras.optimizers.SGD(0.1, gradient_accumulation_steps=3),
    "loss scaling": lambda: keras.optimizers.SGD(0.1, loss_scale_factor=1000.0),
    "loss scaling that grows": lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.1, clipnorm=0.1), initial_scale=2.0**126, dynamic_growth_steps=2
    ),
    "one for each part": lambda: by_part(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.01, momentum=0.9)),
    "a schedule": lambda: keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.2, EPOCHS * 5)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_feature_of_an_optimizer_gives_the_weights_of_fit_to_the_last_bit(name: str, few: LabelledImages) -> None:
    losses, weights = trained_here(model_of(OPTIMIZERS[name]()), few)
    expected, theirs = trained_by_fit(model_of(OPTIMIZERS[name]()), few)
    for one, other in zip(weights, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
    # A mean over batches, which Keras sums up in another order.
    assert losses == pytest.approx(expected, rel=1e-6)
    assert losses[1] < losses[0]


def test_fused_adam_gives_the_weights_of_fit_up_to_rounding_also_where_fit_goes_on(few: LabelledImages) -> None:
    ours, theirs = model_of(keras.optimizers.Adam(0.001)), model_of(keras.optimizers.Adam(0.001))
    trained_here(ours, few)
    trained_by_fit(theirs, few)
    trained_by_fit(ours, few)
    trained_by_fit(theirs, few)
    assert int(ours.optimizer.iterations) == int(theirs.optimizer.iterations) == 2 * EPOCHS * 5
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        # A thousandth of a step of Adam; the largest differences are those of the smallest gradients.
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_weighted_loss_and_performance_settings_give_the_weights_of_fit_to_the_last_bit(few: LabelledImages) -> None:
    settings = {"loss_weights": [0.25], "steps_per_execution": 3}
    _, weights = trained_here(model_of(keras.optimizers.SGD(0.1), **settings), few)
    _, theirs = trained_by_fit(model_of(keras.optimizers.SGD(0.1), **settings), few)
    for one, other in zip(weights, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_fused_normalisation_gives_the_weights_of_fit_up_to_rounding(few: LabelledImages) -> None:
    _, weights = trained_here(model_of(keras.optimizers.SGD(0.1), normalised=True), few)
    _, theirs = trained_by_fit(model_of(keras.optimizers.SGD(0.1), normalised=True), few)
    for one, other in zip(weights, theirs, strict=True):
        # float32, summed in another order, over ten steps.
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_model_of_half_precision_learns_like_with_fit(few: LabelledImages) -> None:
    model = model_of(keras.optimizers.SGD(0.1), policy="mixed_float16")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    losses, weights = trained_here(model, few)
    expected, theirs = trained_by_fit(model_of(keras.optimizers.SGD(0.1), policy="mixed_float16"), few)
    for one, other in zip(weights, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
    assert losses == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("precision", ["float64", "float16"])
def test_a_loss_of_another_precision_is_that_of_fit(precision: str, few: LabelledImages) -> None:
    keras.config.set_floatx(precision)
    try:
        losses, weights = trained_here(model_of(keras.optimizers.SGD(0.01), policy=precision), few)
        expected, theirs = trained_by_fit(model_of(keras.optimizers.SGD(0.01), policy=precision), few)
    finally:
        keras.config.set_floatx("float32")
    for one, other in zip(weights, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
    # Keras adds losses up in the precision of the model.
    assert losses == pytest.approx(expected, rel=1e-6 if precision == "float64" else 1e-2)


def test_masks_of_a_recurrent_layer_are_those_of_fit(few: LabelledImages) -> None:
    def recurrent() -> keras.Model:
        reset(3)
        scores = keras.layers.Dense(10, activation="softmax")
        model = keras.Sequential([keras.Input((28, 28)), keras.layers.SimpleRNN(4, dropout=0.5), scores])
        model.compile(keras.optimizers.SGD(0.1), loss="sparse_categorical_crossentropy")
        return model

    _, weights = trained_here(recurrent(), few)
    _, theirs = trained_by_fit(recurrent(), few)
    for one, other in zip(weights, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_scaled_loss_is_reported_unscaled_and_its_optimizer_follows_the_schedule(small_split: Split) -> None:
    config = TrainingConfig(epochs=2, batch_size=100, schedule="cosine", early_stopping=EarlyStopping(patience=9))
    plain = train(model_of(keras.optimizers.SGD(0.1)), small_split, config, seed=0)
    # A power of two, so that multiplying and dividing are exact.
    inner = keras.optimizers.SGD(0.1)
    scaled = train(
        model_of(keras.optimizers.LossScaleOptimizer(inner, initial_scale=1024.0)), small_split, config, seed=0
    )
    assert [one.loss for one in scaled.history] == pytest.approx([one.loss for one in plain.history], rel=1e-6)
    assert float(inner.learning_rate) == pytest.approx(0.1)


def test_an_optimizer_is_prepared_once(few: LabelledImages) -> None:
    model = model_of(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()))
    prepare(model, ResidentImages.load(few))
    variables = [variable.path for variable in model.optimizer.variables]
    prepare(model, ResidentImages.load(few))
    assert [variable.path for variable in model.optimizer.variables] == variables


def test_a_sequential_model_that_is_not_built_takes_batches_of_any_size(few: LabelledImages) -> None:
    model = keras.Sequential(layers()[1:])
    model.compile("sgd", loss="sparse_categorical_crossentropy")
    prepare(model, ResidentImages.load(few))
    assert model.input_shape == (None, 28, 28)


# Refused models


class OwnStep(keras.Sequential):
    def train_step(self, data: object) -> dict[str, float]:
        return {"loss": 0.0}


class OwnLoss(keras.Sequential):
    def compute_loss(self, *args: object, **options: object) -> float:
        return 0.0


def of_class(kind: type[keras.Model]) -> keras.Model:
    model = kind(layers())
    model.compile("sgd", loss="sparse_categorical_crossentropy")
    return model


def without_a_loss() -> keras.Model:
    model = keras.Sequential(layers())
    model.compile("sgd")
    return model


def functional(inputs: int, outputs: int) -> keras.Model:
    pixels = [keras.Input((28, 28)) for _ in range(inputs)]
    flat = keras.layers.Flatten()(pixels[0] if inputs == 1 else keras.layers.Add()(pixels))
    scores = [keras.layers.Dense(10, activation="softmax")(flat) for _ in range(outputs)]
    model = keras.Model(pixels if inputs > 1 else pixels[0], scores if outputs > 1 else scores[0])
    model.compile("sgd", loss=["sparse_categorical_crossentropy"] * outputs)
    return model


def ending_in(activation: str | None) -> keras.Model:
    model = keras.Sequential([*layers()[:3], keras.layers.Dense(10, activation=activation)])
    model.compile("sgd", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=activation is None))
    return model


def with_loss(loss: object) -> keras.Model:
    model = keras.Sequential([*layers()[:3], keras.layers.Dense(10, activation="softmax")])
    model.compile("sgd", loss=loss)
    return model


def averaging(**settings: object) -> keras.optimizers.Optimizer:
    return keras.optimizers.Adam(use_ema=True, **settings)


def by_part(kernels: keras.optimizers.Optimizer, offsets: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    return keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(kernels, {".*bias": offsets}))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: keras.Sequential(layers()), ["compiled Keras model", "call its compile()"]),
        (lambda: of_class(OwnStep), ["train_step: ", "one of OwnStep, which would not be called"]),
        (lambda: of_class(OwnLoss), ["compute_loss: ", "one of OwnLoss"]),
        (without_a_loss, ["loss: expected one, received none"]),
        (
            lambda: with_loss("categorical_crossentropy"),
            ["loss: expected", "sparse_categorical_crossentropy gives: "],
        ),
        (lambda: with_loss("kl_divergence"), ["loss: expected one number from labels of shape (n,)"]),
        (
            lambda: with_loss(keras.losses.SparseCategoricalCrossentropy(reduction=None)),
            ["loss: expected one number", "it gave an array of shape (2,)"],
        ),
        (lambda: model_of("sgd", run_eagerly=True), ["run_eagerly: expected False"]),
        (lambda: model_of(averaging()), ["use_ema: ", "set ema in [training]"]),
        (lambda: model_of(averaging(ema_overwrite_frequency=3)), ["use_ema: "]),
        (lambda: model_of(keras.optimizers.LossScaleOptimizer(averaging())), ["use_ema: "]),
        (lambda: model_of(by_part(keras.optimizers.SGD(), averaging())), ["use_ema: "]),
        (lambda: functional(2, 1), ["inputs: expected one", "received 2"]),
        (lambda: functional(1, 2), ["outputs: expected one", "list of 2"]),
        (lambda: ending_in(None), ["expected probabilities", "make a softmax the last layer"]),
        (lambda: ending_in("sigmoid"), ["expected probabilities", "make a softmax the last layer"]),
        (lambda: ending_in("log_softmax"), ["expected probabilities", "make a softmax the last layer"]),
    ],
)
def test_a_model_that_would_be_trained_otherwise_than_by_fit_is_refused(
    few: LabelledImages, build: Callable[[], keras.Model], words: list[str]
) -> None:
    model = build()
    with pytest.raises(ParameterError) as refusal:
        prepare(model, ResidentImages.load(few))
    message = str(refusal.value)
    assert "\n" not in message
    assert [word for word in [f"model {model.name}: ", *words] if word not in message] == []
