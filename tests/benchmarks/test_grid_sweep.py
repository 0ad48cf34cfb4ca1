"""The grids of the benchmarks of sweeps, the epochs that they are compared by, and the network of the contenders."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from benchmarks import grid_sweep
from benchmarks.contenders import task
from benchmarks.grid_sweep import Epoch
from mnist_core.hyperparameters import Hyperparameters
from mnist_core.models.factory import build_model
from search.spec_file import parse_spec

EPOCHS = [Epoch("b", 12.0, 0.96), Epoch("a", 11.0, 0.95), Epoch("a", 14.0, 0.98), Epoch("b", 15.0, 0.97)]


@pytest.mark.parametrize("points", grid_sweep.POINTS)
@pytest.mark.parametrize("engine", ["optuna", "keras-tuner"])
def test_a_sweep_has_the_points_that_the_other_contenders_get(points: int, engine: str) -> None:
    spec = parse_spec(grid_sweep.sweep_text(engine, points, epochs=2))
    grid = grid_sweep.grid_of(points)
    assert {tuple(point[name] for name in grid) for point in spec.space.grid()} == set(product(*grid.values()))
    assert len(list(spec.space.grid())) == points


def test_the_trials_of_a_sweep_are_compared_by_their_best_epochs() -> None:
    assert grid_sweep.best_accuracies(EPOCHS, points=2, epochs_of_each=2) == [0.98, 0.97]


@pytest.mark.parametrize(("points", "epochs"), [(3, 2), (2, 3)])
def test_a_sweep_that_lacks_a_trial_or_an_epoch_is_not_compared(points: int, epochs: int) -> None:
    with pytest.raises(ValueError, match=rf"expected {points} trials of {epochs} epochs, received .*\[2, 2\]"):
        grid_sweep.best_accuracies(EPOCHS, points, epochs)


def test_an_accuracy_is_reached_with_the_first_epoch_that_has_it() -> None:
    assert grid_sweep.seconds_to(0.96, EPOCHS, started=10.0) == 2.0
    assert grid_sweep.seconds_to(0.97, EPOCHS, started=10.0) == 4.0
    assert grid_sweep.seconds_to(0.99, EPOCHS, started=10.0) is None


def test_the_contenders_train_the_network_of_this_project() -> None:
    theirs = task.build(hidden_size=64, learning_rate=3e-3, dropout=0.2)
    ours = build_model(Hyperparameters(hidden_size=64, learning_rate=3e-3, dropout=0.2))
    assert [type(layer) for layer in theirs.layers] == [type(layer) for layer in ours.layers]
    assert theirs.optimizer.get_config() | {"name": ""} == ours.optimizer.get_config() | {"name": ""}
    theirs.set_weights(ours.get_weights())
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (32, 28, 28), dtype=np.uint8), rng.integers(0, 10, 32, dtype=np.uint8)
    evaluated = [model.evaluate(images, labels, verbose=0, return_dict=True) for model in (theirs, ours)]
    assert evaluated[0] == pytest.approx(evaluated[1])
