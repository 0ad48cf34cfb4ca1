from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_core.data.images import LabelledImages, Split
from mnist_core.errors import NonFiniteError, ParameterError
from mnist_core.hyperparameters import EarlyStopping, Hyperparameters, TrainingConfig
from mnist_core.metrics import MONITORED, EpochMetrics, Metric, StopReason, TrainingResult
from mnist_core.models.factory import build_model
from mnist_core.models.saved_model import predict
from mnist_core.runtime import reset
from mnist_core.training.trainer import BestEpoch, train

STEPS_PER_EPOCH = 8
BATCH = 100  # of the 800 training images


def config(epochs: int, batch_size: int = BATCH, **stopping: object) -> TrainingConfig:
    return TrainingConfig(epochs, batch_size, EarlyStopping(**{"patience": 100, **stopping}))  # type: ignore[arg-type]


def linear_model(optimizer: keras.optimizers.Optimizer) -> keras.Model:
    """Softmax regression, whose loss falls with every epoch at a moderate rate."""
    reset(0)
    model = build_model(Hyperparameters(hidden_layers=0))
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def steady() -> keras.Model:
    """A model that improves its validation loss in each of its first epochs."""
    return linear_model(keras.optimizers.SGD(0.1))


def spoilt_after(epochs: int, rate: float) -> keras.Model:
    """The same until the end of ``epochs``, when its learning rate jumps to ``rate``."""
    # A step counts from 0 and a boundary belongs to the rate before it.
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([epochs * STEPS_PER_EPOCH - 1], [0.1, rate])
    return linear_model(keras.optimizers.SGD(schedule))


def assert_holds_its_best_epoch(model: keras.Model, result: TrainingResult, data: Split) -> None:
    """Check that Keras's evaluation of the model equals the metrics of the best epoch."""
    loss, accuracy = model.evaluate(data.validation.images, data.validation.labels, batch_size=50, verbose=0)
    # Keras evaluates in batches of another size, so float32 sums are rounded in another order.
    assert loss == pytest.approx(result.best.val_loss, rel=1e-5)
    # Correct images are counted: the share is equal except for its last bits.
    assert accuracy == pytest.approx(result.best.val_accuracy, abs=1e-6)


# The compiled epoch


def plain_epoch(model: keras.Model, data: LabelledImages, batch_size: int, order: np.ndarray) -> tuple[float, float]:
    """A plain eager epoch, batch by batch, with explicit loss and penalty."""
    losses, hits = [], 0
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        x, y = data.images[chosen], data.labels[chosen].astype(int)
        with tf.GradientTape() as tape:
            scores = model(x, training=True)
            likelihood = tf.gather(scores, y, batch_dims=1)
            loss = -tf.reduce_mean(tf.math.log(likelihood)) + sum(model.losses)
        model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        losses += [float(loss)] * len(chosen)
        hits += int((scores.numpy().argmax(axis=1) == y).sum())
    return float(np.mean(losses)), hits / len(order)


@pytest.mark.parametrize(
    ("batch_size", "l2"),
    [(64, 0.01), (1000, 0.0)],
    ids=["a partial last batch and a penalty", "fewer images than a batch"],
)
def test_training_computes_what_a_plain_eager_loop_computes(small_split: Split, batch_size: int, l2: float) -> None:
    data = Split(small_split.train.take(np.arange(300)), small_split.validation)
    parameters = Hyperparameters(hidden_size=8, l2=l2)
    reset(1)
    model = build_model(parameters)
    reset(1)
    twin = build_model(parameters)
    seen: list[list[np.ndarray]] = []

    def remember_weights(epoch: int, metrics: EpochMetrics) -> bool:
        seen.append(model.get_weights())
        return True

    result = train(model, data, config(2, batch_size), seed=7, report=remember_weights)

    rng = np.random.default_rng(7)
    for weights, metrics in zip(seen, result.history, strict=True):
        loss, accuracy = plain_epoch(twin, data.train, batch_size, rng.permutation(300))
        # float32, summed in another order: some 1e-7 a step, over ten steps of Adam.
        assert metrics.loss == pytest.approx(loss, rel=1e-4)
        # The prediction of an image whose two best scores differ by rounding only may change.
        assert metrics.accuracy == pytest.approx(accuracy, abs=1.5 / 300)
        for compiled, plain in zip(weights, twin.get_weights(), strict=True):
            np.testing.assert_allclose(compiled, plain, atol=1e-4)


def test_validation_covers_every_image_with_dropout_off_and_the_penalty_on(
    sample: LabelledImages, small_split: Split
) -> None:
    # 4,000 images and one more are three evaluation batches of 2,000, the last of a single image.
    data = Split(small_split.train, sample.take(np.arange(4001) % 4000))
    reset(0)
    model = build_model(Hyperparameters(hidden_size=16, dropout=0.5, l2=0.01))
    result = train(model, data, config(1), seed=0)
    assert sum(float(penalty) for penalty in model.losses) > 0.01
    assert_holds_its_best_epoch(model, result, data)


@pytest.mark.parametrize(
    "values",
    [{}, {"l2": 0.01, "label_smoothing": 0.2}, {"l2": 0.05, "dropout": 0.3}],
    ids=["neither", "penalty and smoothing", "penalty and dropout"],
)
def test_the_cross_entropy_of_the_validation_images_is_that_of_the_probabilities_alone(
    small_split: Split, values: dict[str, float]
) -> None:
    reset(0)
    model = build_model(Hyperparameters(hidden_size=16, **values))  # type: ignore[arg-type]
    result = train(model, small_split, config(2), seed=0)
    probabilities = model.predict(small_split.validation.images, verbose=0).astype(np.float64)
    truth = probabilities[np.arange(200), small_split.validation.labels]
    # float32 sums of 200 logarithms.
    assert result.best.val_crossentropy == pytest.approx(-np.log(truth).mean(), rel=1e-5)
    if values:
        assert result.best.val_loss > 1.05 * result.best.val_crossentropy
    else:
        assert result.best.val_crossentropy == pytest.approx(result.best.val_loss, rel=1e-5)


def test_the_cross_entropy_of_a_certain_mistake_is_bounded_as_in_keras(small_split: Split) -> None:
    model = linear_model(keras.optimizers.SGD(0.0))
    sure = np.zeros(10, np.float32)
    sure[0] = 1000.0
    model.get_layer("probabilities").set_weights([np.zeros((784, 10), np.float32), sure])
    result = train(model, small_split, config(1), seed=0)
    mistakes = np.mean(small_split.validation.labels != 0)
    assert result.best.val_crossentropy == pytest.approx(mistakes * -np.log(keras.config.epsilon()), rel=1e-4)


# The best epoch


@dataclass(frozen=True)
class Trained:
    model: keras.Model
    result: TrainingResult


@pytest.fixture(scope="module")
def spoilt(small_split: Split) -> Trained:
    """A training that improves for three epochs and then diverges; patience 2."""
    model = spoilt_after(3, rate=300.0)
    return Trained(model, train(model, small_split, config(50, monitor="val_loss", patience=2), seed=0))


def test_training_ends_when_patience_is_exhausted(spoilt: Trained) -> None:
    losses = [metrics.val_loss for metrics in spoilt.result.history]
    assert losses[0] > losses[1] > losses[2]
    assert min(losses[3:]) > losses[2]
    assert len(losses) == 3 + 2
    assert spoilt.result.reason is StopReason.PATIENCE


def test_the_weights_of_the_best_epoch_are_restored_and_its_metrics_reported(
    spoilt: Trained, small_split: Split
) -> None:
    assert spoilt.result.best_epoch == 3
    assert spoilt.result.best is spoilt.result.history[2]
    assert_holds_its_best_epoch(spoilt.model, spoilt.result, small_split)


def test_the_best_weights_are_restored_at_the_last_epoch_too(small_split: Split) -> None:
    model = spoilt_after(1, rate=300.0)
    result = train(model, small_split, config(3, monitor="val_loss"), seed=0)
    assert (result.best_epoch, len(result.history), result.reason) == (1, 3, StopReason.BUDGET)
    assert_holds_its_best_epoch(model, result, small_split)


def test_a_slow_improvement_ends_the_training_but_keeps_its_best_weights(small_split: Split) -> None:
    model = steady()
    result = train(model, small_split, config(50, monitor="val_loss", patience=3, min_delta=100.0), seed=0)
    losses = [metrics.val_loss for metrics in result.history]
    assert losses == sorted(losses, reverse=True)
    # The first epoch always counts as an improvement, with any min_delta; no later one does.
    assert (len(losses), result.best_epoch, result.reason) == (4, 4, StopReason.PATIENCE)
    assert_holds_its_best_epoch(model, result, small_split)


# The report


def test_the_report_is_called_after_every_epoch_and_can_prune(small_split: Split) -> None:
    told: list[tuple[int, EpochMetrics]] = []

    def report(epoch: int, metrics: EpochMetrics) -> bool:
        told.append((epoch, metrics))
        return epoch < 3

    model = spoilt_after(1, rate=300.0)
    result = train(model, small_split, config(50, monitor="val_loss"), seed=0, report=report)
    assert told == list(enumerate(result.history, start=1))
    assert (len(result.history), result.best_epoch, result.reason) == (3, 1, StopReason.PRUNED)
    assert_holds_its_best_epoch(model, result, small_split)


@pytest.mark.parametrize(
    ("epochs", "patience", "reason"),
    [(2, 1, StopReason.BUDGET), (50, 1, StopReason.PATIENCE)],
)
def test_pruning_in_the_last_epoch_does_not_count(
    small_split: Split, epochs: int, patience: int, reason: StopReason
) -> None:
    model = spoilt_after(1, rate=300.0)
    settings = config(epochs, monitor="val_loss", patience=patience)
    result = train(model, small_split, settings, seed=0, report=lambda epoch, metrics: epoch < 2)
    assert (len(result.history), result.reason) == (2, reason)


def test_an_error_in_the_report_is_raised(small_split: Split) -> None:
    def report(epoch: int, metrics: EpochMetrics) -> bool:
        raise ConnectionError("the driver is gone")

    with pytest.raises(ConnectionError, match="the driver is gone"):
        train(steady(), small_split, config(2), seed=0, report=report)


# Values that are not finite


def test_a_loss_that_is_not_finite_is_an_error_that_names_the_epoch(small_split: Split) -> None:
    told: list[int] = []
    # The step that follows is about 1e38 times a gradient; the next one is beyond float32.
    model = spoilt_after(1, rate=1e38)
    with pytest.raises(NonFiniteError) as caught:
        train(model, small_split, config(5), seed=0, report=lambda epoch, metrics: told.append(epoch) or True)
    message = str(caught.value)
    assert message.startswith("epoch 2: training loss ")
    assert "not finite. A smaller learning_rate" in message
    assert "\n" not in message
    assert told == [1]


def test_an_infinite_weight_is_an_error_even_if_the_losses_are_finite(small_split: Split) -> None:
    pixels = keras.Input((28, 28))
    hidden = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(pixels))
    # No score depends on it: its output is clipped at 1 and multiplied by 0.
    spectator = keras.layers.Dense(1, trainable=False, kernel_initializer="zeros", name="spectator")(hidden)
    scores = keras.layers.Dense(10, activation="softmax")(hidden)
    quiet = keras.layers.Lambda(lambda pair: pair[0] + 0 * keras.ops.clip(pair[1], -1, 1))([scores, spectator])
    model = keras.Model(pixels, quiet)
    model.compile("sgd", loss="sparse_categorical_crossentropy")
    model.get_layer("spectator").bias.assign([np.inf])
    with pytest.raises(NonFiniteError, match=r"training loss \d.*, validation loss \d.*; a loss or a weight is not"):
        train(model, small_split, config(1), seed=0)


# Repeatability


def trained_with(order_seed: int, data: Split) -> tuple[TrainingResult, list[np.ndarray]]:
    reset(1)
    model = build_model(Hyperparameters(hidden_layers=1, hidden_size=16, dropout=0.3))
    return train(model, data, config(2, batch_size=64), seed=order_seed), model.get_weights()


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(small_split: Split) -> None:
    result, weights = trained_with(2, small_split)
    again, same_weights = trained_with(2, small_split)
    assert again == result
    for one, other in zip(weights, same_weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert trained_with(3, small_split)[0] != result


# Any model


def two_branches() -> keras.Model:
    pixels = keras.Input((28, 28))
    scaled = keras.layers.Rescaling(1 / 255)(pixels)
    rows = keras.layers.Dense(16, activation="relu")(keras.layers.GlobalAveragePooling1D()(scaled))
    whole = keras.layers.Dense(16, activation="tanh")(keras.layers.Flatten()(scaled))
    both = keras.layers.BatchNormalization()(keras.layers.Concatenate()([rows, whole]))
    return keras.Model(pixels, keras.layers.Dense(10, activation="softmax")(both))


class Residual(keras.Model):
    """A subclassed model."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = keras.layers.Rescaling(1 / 255)
        self.flatten = keras.layers.Flatten()
        self.first = keras.layers.Dense(16, activation="relu")
        self.second = keras.layers.Dense(16, activation="relu")
        self.noise = keras.layers.Dropout(0.1)
        self.scores = keras.layers.Dense(10, activation="softmax")

    def call(self, pixels: tf.Tensor, training: bool = False) -> tf.Tensor:
        hidden = self.first(self.flatten(self.scale(pixels)))
        return self.scores(hidden + self.noise(self.second(hidden), training=training))


def subclassed() -> keras.Model:
    model = Residual()
    model(np.zeros((1, 28, 28), np.uint8))
    return model


@pytest.mark.parametrize("build", [two_branches, subclassed])
def test_a_model_of_any_kind_is_trained(small_split: Split, build: Callable[[], keras.Model]) -> None:
    reset(0)
    model = build()
    model.compile(keras.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    result = train(model, small_split, config(4), seed=0)
    # Random predictions give 0.1; both reach about 0.8.
    assert result.best.val_accuracy > 0.5
    assert_holds_its_best_epoch(model, result, small_split)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16", "float16", "float64"])
def test_weights_of_any_precision_are_averaged(small_split: Split, policy: str) -> None:
    weights = []
    for ema in (0.0, 0.9):
        reset(0)
        keras.config.set_dtype_policy(policy)
        try:
            model = build_model(Hyperparameters(hidden_size=16))
        finally:
            keras.config.set_dtype_policy("float32")
        model.compile(keras.optimizers.SGD(0.1), loss="sparse_categorical_crossentropy")
        train(model, small_split, TrainingConfig(epochs=1, batch_size=BATCH, ema=ema), seed=0)
        weights.append(np.asarray(model.weights[0].value, np.float32))
        assert len(predict(model, small_split.validation.images)) == len(small_split.validation)
    assert not np.array_equal(*weights)


def test_weights_of_bfloat16_that_are_not_finite_end_the_training(small_split: Split) -> None:
    keras.config.set_dtype_policy("bfloat16")
    try:
        model = build_model(Hyperparameters(hidden_size=16))
    finally:
        keras.config.set_dtype_policy("float32")
    unused = model.add_weight(shape=(), initializer=keras.initializers.Constant(np.inf), trainable=False)
    assert unused.dtype == "bfloat16"
    with pytest.raises(NonFiniteError, match="a weight is not finite"):
        train(model, small_split, config(1), seed=0)


# The best epoch by values


def best_epochs(stopping: EarlyStopping, values: Sequence[float]) -> tuple[list[bool], list[bool], int]:
    """For each value: is it the best so far, and is patience exhausted after it; then the best epoch."""
    name = stopping.monitor
    # The other metrics change in the other direction, so that monitoring a wrong one is noticed.
    others = {metric.value: -1.0 for metric in Metric}
    best, is_best, is_out = BestEpoch(stopping), [], []
    for epoch, value in enumerate(values, start=1):
        is_best.append(
            best.update(epoch, EpochMetrics(**{key: other * value for key, other in others.items()} | {name: value}))
        )
        is_out.append(best.out_of_patience(epoch))
    return is_best, is_out, best.epoch


@pytest.mark.parametrize(
    ("monitor", "patience", "min_delta", "values", "best", "out"),
    [
        ("val_accuracy", 2, 0.0, [0.5, 0.6, 0.7], 3, None),
        ("val_accuracy", 2, 0.0, [0.5, 0.6, 0.6, 0.6], 2, 4),
        ("val_accuracy", 1, 0.0, [0.5, 0.5], 1, 2),
        ("val_accuracy", 3, 0.0, [0.5, 0.4, 0.3, 0.6, 0.5, 0.5, 0.5], 4, 7),
        ("accuracy", 2, 0.0, [0.9, 0.8, 0.7], 1, 3),
        ("val_loss", 2, 0.0, [0.9, 0.8, 0.7], 3, None),
        ("val_loss", 2, 0.0, [0.7, 0.8, 0.9], 1, 3),
        ("loss", 2, 0.0, [0.7, 0.8, 0.6, 0.6, 0.6], 3, 5),
        # Steps of 1/16 do not exceed min_delta: the last is the best, but patience is exhausted.
        ("val_accuracy", 2, 0.125, [0.5, 0.5625, 0.625], 3, 3),
        ("val_loss", 2, 0.125, [0.5, 0.4375, 0.375], 3, 3),
        # A step of exactly min_delta does not exceed it.
        ("val_accuracy", 1, 0.25, [0.25, 0.5], 2, 2),
        # Small steps add up since the last improvement.
        ("val_accuracy", 3, 0.125, [0.5, 0.5625, 0.625, 0.6875], 4, None),
        # The best is better by less than min_delta, after the last improvement.
        ("val_accuracy", 2, 0.125, [0.5, 0.5625, 0.25], 2, 3),
        ("val_accuracy", 1, 1e6, [0.5], 1, None),
    ],
)
def test_the_best_epoch_and_the_epoch_in_which_patience_is_exhausted(
    monitor: str, patience: int, min_delta: float, values: list[float], best: int, out: int | None
) -> None:
    _, is_out, epoch = best_epochs(EarlyStopping(monitor, patience, min_delta), values)
    assert epoch == best
    assert is_out == [out is not None and number >= out for number in range(1, len(values) + 1)]


@given(
    values=st.lists(st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=12),
    monitor=st.sampled_from([metric.value for metric in MONITORED]),
    patience=st.integers(1, 4),
    min_delta=st.sampled_from([0.0, 0.125, 0.25]),
)
@settings(max_examples=100, deadline=None)
def test_the_best_epoch_agrees_with_a_search_through_all(
    values: list[float], monitor: str, patience: int, min_delta: float
) -> None:
    is_best, is_out, epoch = best_epochs(EarlyStopping(monitor, patience, min_delta), values)
    gains = values if monitor.endswith("accuracy") else [-value for value in values]
    assert epoch == 1 + gains.index(max(gains))
    assert is_best == [all(gain > earlier for earlier in gains[:n]) for n, gain in enumerate(gains)]
    pluralize = [0]
    while later := [n for n in range(pluralize[-1], len(gains)) if gains[n] > gains[pluralize[-1]] + min_delta]:
        pluralize.append(later[0])
    assert is_out == [n - max(c for c in pluralize if c <= n) >= patience for n in range(len(gains))]


def test_a_value_that_is_not_a_number_is_never_the_best() -> None:
    is_best, is_out, epoch = best_epochs(EarlyStopping(patience=2), [0.5, float("nan"), float("nan")])
    assert (is_best, is_out, epoch) == ([True, False, False], [False, False, True], 1)


def test_a_subclassed_model_that_is_not_built_is_built_and_trained(small_split: Split) -> None:
    reset(0)
    model = Residual()
    model.compile(keras.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy")
    assert train(model, small_split, config(4), seed=0).best.val_accuracy > 0.5


def test_a_model_that_is_not_compiled_is_refused(small_split: Split) -> None:
    with pytest.raises(ParameterError, match="expected a compiled Keras model"):
        train(Residual(), small_split, config(1), seed=0)
