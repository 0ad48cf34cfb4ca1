from __future__ import annotations

import contextlib
from pathlib import Path

import keras
import pytest

from mnist_core.hyperparameters import Hyperparameters
from mnist_core.models.factory import build_model
from mnist_core.models.portable import portable


def test_a_model_that_was_trained_by_our_loss_is_loaded_compiled_with_keras_own(tmp_path: Path) -> None:
    model = build_model(Hyperparameters(hidden_size=8, label_smoothing=0.2, weight_decay=0.01))
    with portable(model):
        model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert type(loaded.loss) is keras.losses.SparseCategoricalCrossentropy
    assert float(loaded.optimizer.weight_decay) == pytest.approx(0.01)


def test_another_loss_is_left_as_it_is() -> None:
    model = build_model(Hyperparameters(hidden_size=8))
    before = model.loss
    with portable(model):
        assert model.loss is before


def test_a_model_that_is_not_compiled_is_left_as_it_is() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with portable(model):
        assert not model.compiled


def test_what_is_registered_with_keras_is_out_of_sight_and_comes_back_whatever_happens() -> None:
    registered = keras.saving.get_custom_objects()
    registered["theirs>Layer"] = keras.layers.Layer
    try:
        with contextlib.suppress(ZeroDivisionError), portable(build_model(Hyperparameters(hidden_size=2))):
            assert keras.saving.get_custom_objects() == {}
            raise ZeroDivisionError
        assert registered["theirs>Layer"] is keras.layers.Layer
    finally:
        del registered["theirs>Layer"]
