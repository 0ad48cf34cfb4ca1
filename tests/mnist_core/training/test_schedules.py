"""The learning rate of every step, and the average of the weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import keras
import numpy as np
import pytest

from mnist_core.data.images import Split
from mnist_core.errors import ParameterError
from mnist_core.hyperparameters import Augmentation, EarlyStopping, Hyperparameters, TrainingConfig
from mnist_core.metrics import EpochMetrics
from mnist_core.models.factory import build_model
from mnist_core.runtime import reset
from mnist_core.training.schedules import LearningRates, Plateau
from mnist_core.training.trainer import train
from mnist_core.training.weight_average import WeightAverage

STEPS = 10
PATIENT = EarlyStopping(patience=100)


def rates_of(config: TrainingConfig, epochs: int) -> list[float]:
    """All rates of the first epochs; the initial rate is 0.5."""
    rates = LearningRates(config, keras.optimizers.SGD(0.5), STEPS)
    return [float(rate) for epoch in range(1, epochs + 1) for rate in rates.of_epoch(epoch)]


def test_a_constant_rate_is_left_to_the_optimizer() -> None:
    scheduled = keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.5, 10, 0.9))
    rates = LearningRates(TrainingConfig(), scheduled, STEPS)
    assert not rates.vary
    assert len(rates.of_epoch(1)) == 0
    rates.restore()
    assert float(scheduled.learning_rate) == 0.5


def several_rates() -> keras.optimizers.Optimizer:
    rates = keras.optimizers.OptimizerMap(keras.optimizers.SGD(0.1), {".*bias": keras.optimizers.SGD(0.5)})
    return keras.optimizers.MultiOptimizer(rates)


@pytest.mark.parametrize("make", [several_rates, lambda: keras.optimizers.SGD(lambda: 0.5)])
def test_an_optimizer_without_one_rate_is_left_alone_and_has_no_schedule(
    make: Callable[[], keras.optimizers.Optimizer],
) -> None:
    assert len(LearningRates(TrainingConfig(), make(), steps=10).of_epoch(1)) == 0
    with pytest.raises(ParameterError, match="its own schedule or several rates; expected schedule = 'constant'"):
        LearningRates(TrainingConfig(schedule="cosine"), make(), steps=10)


@pytest.mark.parametrize("settings", [{"schedule": "cosine"}, {"schedule": "plateau"}, {"warmup": 1}])
def test_a_schedule_in_both_config_and_optimizer_is_refused(settings: dict[str, object]) -> None:
    scheduled = keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.5, 10, 0.9))
    with pytest.raises(ParameterError, match="schedule: the optimizer has its own schedule"):
        LearningRates(TrainingConfig(**settings), scheduled, STEPS)  # type: ignore[arg-type]


def test_a_cosine_falls_from_the_optimizers_rate_to_0_over_all_epochs() -> None:
    rates = rates_of(TrainingConfig(epochs=4, schedule="cosine"), 4)
    assert rates[0] == 0.5
    assert rates[20] == pytest.approx(0.25)
    assert 0 < rates[-1] < 0.001
    assert rates == sorted(rates, reverse=True)


def test_a_warm_up_rises_step_by_step_before_any_schedule() -> None:
    constant = rates_of(TrainingConfig(epochs=4, warmup=1.5), 2)
    assert constant == pytest.approx([0.5 * min(1, step / 15) for step in range(1, 21)], rel=1e-6)
    cosine = rates_of(TrainingConfig(epochs=4, schedule="cosine", warmup=1.5), 4)
    assert cosine[:15] == pytest.approx(constant[:15])
    assert cosine[15] == 0.5
    assert cosine[15:] == sorted(cosine[15:], reverse=True)


def test_a_warm_up_longer_than_the_training_only_rises() -> None:
    rates = rates_of(TrainingConfig(epochs=1, schedule="cosine", warmup=3), 1)
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(0.5 / 3)


def metrics_of(value: float) -> EpochMetrics:
    return EpochMetrics(0.0, 0.0, 0.0, value)


@pytest.mark.parametrize(
    ("patience", "values", "factors"),
    [
        (4, [0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.7, 0.7, 0.7], [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]),
        (1, [0.5, 0.5, 0.6, 0.6], [1, 0.5, 0.5, 0.25]),
        (9, [0.5, 0.4, 0.4, 0.4, 0.6], [1, 1, 1, 1, 1]),
    ],
)
def test_a_plateau_halves_the_rate_after_half_the_patience(
    patience: int, values: list[float], factors: list[float]
) -> None:
    plateau, found = Plateau(EarlyStopping(patience=patience)), []
    for epoch, value in enumerate(values, start=1):
        plateau.update(epoch, metrics_of(value))
        found.append(plateau.factor)
    assert found == factors


def small_model(seed: int = 0, **values: object) -> keras.Model:
    reset(seed)
    return build_model(Hyperparameters(hidden_size=8, learning_rate=0.01, **values))  # type: ignore[arg-type]


@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
def test_training_uses_the_rate_of_each_step_and_restores_that_of_the_optimizer(
    small_split: Split, schedule: str
) -> None:
    model = small_model()
    config = TrainingConfig(epochs=3, batch_size=100, schedule=schedule, warmup=0.5, early_stopping=PATIENT)
    expected = LearningRates(config, keras.optimizers.Adam(0.01), steps=8)
    last: list[float] = []

    def report(epoch: int, metrics: EpochMetrics) -> bool:
        last.append(float(model.optimizer.learning_rate))
        return True

    train(model, small_split, config, seed=0, report=report)
    assert last == pytest.approx([float(expected.of_epoch(epoch)[-1]) for epoch in (1, 2, 3)])
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)


def test_a_rate_of_0_changes_no_weight(small_split: Split) -> None:
    model = small_model()
    before = model.get_weights()
    # So long a warm-up that its eight steps are too small for float32.
    train(model, small_split, TrainingConfig(epochs=1, batch_size=100, warmup=1000), seed=0)
    moved = max(np.abs(after - first).max() for after, first in zip(model.get_weights(), before, strict=True))
    assert 0 < moved < 1e-4


# The average of the weights


def normalising_model() -> keras.Model:
    """A kernel, and four numbers of batch normalisation, two of which are not trained."""
    return keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(1, use_bias=False), keras.layers.BatchNormalization()]
    )


def set_all(model: keras.Model, value: float) -> None:
    model.set_weights([np.full_like(weights, value) for weights in model.get_weights()])


def all_values(model: keras.Model) -> list[float]:
    return [float(number) for weights in model.get_weights() for number in weights.ravel()]


def test_the_average_starts_as_a_mean_and_ends_at_its_momentum() -> None:
    model = normalising_model()
    set_all(model, 0)
    average, expected = WeightAverage(model, momentum=0.75), 0.0
    for step in range(1, 41):
        set_all(model, step)
        average.update()
        momentum = min(0.75, (1 + step) / (10 + step))
        expected = momentum * expected + (1 - momentum) * step
    with average.in_place():
        # Of the kernel, of scale and offset, and of the moments alike; float32.
        assert all_values(model) == pytest.approx([expected] * 7, rel=1e-5)
    assert all_values(model) == [40] * 7


def test_the_weights_are_restored_after_an_error() -> None:
    model = normalising_model()
    average = WeightAverage(model, momentum=0.75)
    set_all(model, 7)
    with pytest.raises(RuntimeError), average.in_place():
        raise RuntimeError
    assert all_values(model) == [7] * 7


def test_averaging_changes_the_evaluated_and_saved_weights_but_not_the_training(small_split: Split) -> None:
    config = TrainingConfig(epochs=4, batch_size=100, early_stopping=PATIENT)
    plain = train(small_model(), small_split, config, seed=0)
    model = small_model()
    averaged = train(model, small_split, replace(config, ema=0.9), seed=0)
    assert [one.loss for one in averaged.history] == [one.loss for one in plain.history]
    assert [one.val_loss for one in averaged.history] != [one.val_loss for one in plain.history]
    loss, accuracy = model.evaluate(small_split.validation.images, small_split.validation.labels, verbose=0)
    # Keras evaluates in batches of another size, so float32 sums are rounded in another order.
    assert loss == pytest.approx(averaged.best.val_loss, rel=1e-5)
    assert accuracy == pytest.approx(averaged.best.val_accuracy, abs=1e-6)


def test_training_with_every_option_is_repeatable_to_the_last_bit(small_split: Split) -> None:
    config = TrainingConfig(
        epochs=2,
        batch_size=100,
        schedule="cosine",
        warmup=0.5,
        ema=0.9,
        augmentation=Augmentation(shift=1, rotation=10, zoom=0.1, shear=5),
    )
    runs = []
    for _ in range(2):
        model = small_model(architecture="cnn", filters=4, batch_normalization=True, dropout=0.2, weight_decay=0.01)
        runs.append((train(model, small_split, config, seed=3), model.get_weights()))
    assert runs[0][0] == runs[1][0]
    for one, other in zip(runs[0][1], runs[1][1], strict=True):
        np.testing.assert_array_equal(one, other)
