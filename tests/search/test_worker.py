"""The work of a worker: one trial from its point to its result."""

from __future__ import annotations

import hashlib
import pickle
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from mnist_core.data.images import LabelledImages
from mnist_core.hyperparameters import EarlyStopping, TrainingConfig
from mnist_core.metrics import EpochMetrics, StopReason
from mnist_core.models.custom import CustomModel
from mnist_core.runtime import kept_keras_settings
from search.testing.values import DISK_FULL, context_of, small_trial
from search.trial import SavedModel, TrialResult, TrialState
from search.worker import ReadSource, WorkerRuntime, run_trial

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras"),
]


@pytest.fixture(scope="module")
def runtime(small_npz: Path, tmp_path_factory: pytest.TempPathFactory) -> WorkerRuntime:
    return WorkerRuntime(context_of(small_npz, tmp_path_factory.mktemp("staging")))


def never_stop(epoch: int, metrics: EpochMetrics) -> bool:
    return True


def test_a_complete_trial_has_its_curves_its_times_and_its_model(runtime: WorkerRuntime) -> None:
    reported: list[tuple[int, EpochMetrics]] = []

    def report(epoch: int, metrics: EpochMetrics) -> bool:
        reported.append((epoch, metrics))
        return True

    result = run_trial(small_trial(0, epochs=3), runtime, report)
    assert (result.state, result.stop_reason) == (TrialState.COMPLETE, StopReason.BUDGET)
    assert (result.error, result.traceback) == (None, None)
    assert list(enumerate(result.history, start=1)) == reported
    assert len(reported) == 3
    assert result.training_seconds > 0
    assert result.saving_seconds > 0
    assert result.best is not None
    assert result.best.val_accuracy == max(metrics.val_accuracy for metrics in result.history)


def test_the_saved_model_is_that_of_the_best_epoch(runtime: WorkerRuntime) -> None:
    # With so large a step the last epoch is rarely the best.
    trial = small_trial(1, epochs=6, learning_rate=0.1)
    result = run_trial(trial, runtime, never_stop)
    assert result.model is not None
    assert result.best is not None
    model = keras.saving.load_model(result.model.folder / result.model.file, safe_mode=True)
    validation = runtime.split.validation
    right = model.predict(np.asarray(validation.images), verbose=0).argmax(axis=1) == np.asarray(validation.labels)
    assert float(np.mean(right)) == pytest.approx(result.best.val_accuracy)


def test_the_model_file_is_described_as_it_lies_on_disk(runtime: WorkerRuntime) -> None:
    trial = replace(small_trial(2, epochs=1), attempt=3)
    saved = run_trial(trial, runtime, never_stop).model
    assert saved is not None
    assert saved.folder == runtime.context.staging / "2-3"
    content = (saved.folder / saved.file).read_bytes()
    assert (saved.size, saved.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert saved.weights == 784 * 8 + 8 + 8 * 10 + 10


def test_a_pruned_trial_has_a_model_too(runtime: WorkerRuntime) -> None:
    result = run_trial(small_trial(3, epochs=5), runtime, lambda epoch, metrics: epoch < 2)
    assert (result.state, result.stop_reason, len(result.history)) == (TrialState.PRUNED, StopReason.PRUNED, 2)
    assert result.model is not None
    assert (result.model.folder / result.model.file).is_file()


@pytest.mark.parametrize("error", [None, OSError("nobody listens")], ids=["complete", "failed"])
def test_waiting_for_a_decision_is_no_part_of_the_training_time(runtime: WorkerRuntime, error: OSError | None) -> None:
    waited = 0.0

    def report(epoch: int, metrics: EpochMetrics) -> bool:
        nonlocal waited
        asked = time.perf_counter()
        time.sleep(0.5)
        waited += time.perf_counter() - asked
        if error:
            raise error
        return True

    runtime.split  # noqa: B018
    started = time.perf_counter()
    result = run_trial(small_trial(14), runtime, report)
    took = time.perf_counter() - started
    assert waited >= 0.5
    assert 0 < result.training_seconds <= took - waited


def test_a_trial_that_ran_out_of_patience_is_complete(runtime: WorkerRuntime) -> None:
    # No improvement is as large as 1, the first epoch's aside, which is one over nothing.
    stopping = EarlyStopping(patience=2, min_delta=1.0)
    trial = replace(small_trial(4), training=TrainingConfig(epochs=9, batch_size=200, early_stopping=stopping))
    result = run_trial(trial, runtime, never_stop)
    assert (result.state, result.stop_reason, len(result.history)) == (TrialState.COMPLETE, StopReason.PATIENCE, 3)


def test_a_trial_whose_loss_is_not_finite_fails(runtime: WorkerRuntime) -> None:
    # Sixteen layers whose weights grow by ten a step multiply to more than a float32 holds.
    trial = small_trial(5, hidden_layers=16, hidden_size=64, learning_rate=10.0)
    result = run_trial(trial, runtime, never_stop)
    assert (result.state, result.stop_reason) == (TrialState.FAILED, StopReason.NON_FINITE)
    assert (result.best_epoch, result.model) == (None, None)
    assert result.error is not None
    assert "learning_rate" in result.error
    assert "\n" not in result.error
    assert not (runtime.context.staging / "5-1").exists()


def test_a_model_that_cannot_be_saved_fails_the_trial_and_leaves_no_files(runtime: WorkerRuntime) -> None:
    result = run_trial(small_trial(DISK_FULL), runtime, never_stop)
    assert (result.state, result.stop_reason, result.model) == (TrialState.FAILED, None, None)
    assert result.error == "OSError: [Errno 28] No space left on device"
    assert result.traceback is not None
    assert "save_keras" in result.traceback
    assert len(result.history) == 2
    assert not (runtime.context.staging / f"{DISK_FULL}-1").exists()


def test_an_exception_in_a_report_keeps_the_epochs_until_then(runtime: WorkerRuntime) -> None:
    def report(epoch: int, metrics: EpochMetrics) -> bool:
        if epoch == 2:
            raise ConnectionResetError("nobody listens")
        return True

    result = run_trial(small_trial(6, epochs=4), runtime, report)
    assert (result.state, len(result.history)) == (TrialState.FAILED, 2)
    assert result.error == "ConnectionResetError: nobody listens"
    assert result.stop_reason is None


class BrokenSource:
    location = "nowhere"

    def __init__(self, error: Exception) -> None:
        self.error = error

    def load_training(self) -> LabelledImages:
        raise self.error


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError(), "MemoryError"),
        (ValueError("expected one\nof two\nlines"), "ValueError: expected one"),
        (RuntimeError("Graph execution error:\n\nDetected at node 1\n  OOM on CPU"), "RuntimeError: OOM on CPU"),
        (
            RuntimeError("Exception encountered when calling Dense.call().\n\n\x1b[1mOOM on CPU\x1b[0m\n\nInput: 2"),
            "RuntimeError: OOM on CPU",
        ),
    ],
    ids=["no text", "several lines", "of a graph", "of a layer"],
)
def test_the_error_of_a_failed_trial_is_its_line_that_says_most(
    runtime: WorkerRuntime, error: Exception, line: str
) -> None:
    result = run_trial(small_trial(9), WorkerRuntime(replace(runtime.context, source=BrokenSource(error))), never_stop)
    assert result.error == line
    assert result.traceback is not None
    assert str(error) in result.traceback


def test_an_interrupt_while_saving_is_no_result_and_leaves_no_files(runtime: WorkerRuntime) -> None:
    def interrupted(model: Any, folder: Path) -> SavedModel:
        folder.mkdir()
        raise KeyboardInterrupt

    interrupted_runtime = WorkerRuntime(replace(runtime.context, save=interrupted))
    with pytest.raises(KeyboardInterrupt):
        run_trial(small_trial(7, epochs=1), interrupted_runtime, never_stop)
    assert not (runtime.context.staging / "7-1").exists()


def test_the_same_trial_has_the_same_curves_again(runtime: WorkerRuntime) -> None:
    trials = [small_trial(number, dropout=0.3) for number in (8, 9)]
    first, second = (run_trial(trial, runtime, never_stop).history for trial in trials)
    assert first == second


def test_another_seed_has_other_curves(runtime: WorkerRuntime) -> None:
    trial = small_trial(10)
    assert (
        run_trial(trial, runtime, never_stop).history
        != run_trial(replace(trial, number=11, seed=8), runtime, never_stop).history
    )


SETTINGS_MODULE = """
import keras

keras.config.set_dtype_policy("mixed_bfloat16")
NORMAL = keras.initializers.RandomNormal()  # which draws its seed here
PRECISIONS = []

def network(double):
    if double:
        keras.config.set_floatx("float64")
        keras.config.set_dtype_policy("float64")
    hidden = keras.layers.Dense(4, kernel_initializer=NORMAL)
    scores = keras.layers.Dense(10, activation="softmax", dtype="float32")
    model = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), hidden, scores])
    model.compile(keras.optimizers.SGD(1e-5), loss="sparse_categorical_crossentropy")
    PRECISIONS.append(hidden.compute_dtype)
    return model
"""


def test_a_custom_model_is_the_same_whatever_its_worker_trained_before(
    small_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "settings_module.py").write_text(SETTINGS_MODULE)
    monkeypatch.syspath_prepend(tmp_path)

    def results(*trials: tuple[int, int]) -> list[TrialResult]:
        """Results of new worker's trials, by double precision and seed."""
        sys.modules.pop("settings_module", None)
        worker = WorkerRuntime(context_of(small_npz, tmp_path / f"staging-{len(trials)}"))
        models = [CustomModel("settings_module:network", {"double": double}) for double, _ in trials]
        return [
            run_trial(replace(small_trial(at, epochs=1), hyperparameters=model, seed=seed), worker, never_stop)
            for at, (model, (_, seed)) in enumerate(zip(models, trials, strict=True))
        ]

    with kept_keras_settings():
        *_, last = results((0, 1), (1, 2), (0, 3))
        assert sys.modules["settings_module"].PRECISIONS == ["bfloat16", "float64", "bfloat16"]
    with kept_keras_settings():
        (alone,) = results((0, 3))
    assert alone.history == last.history
    assert alone.history


@pytest.mark.parametrize("custom", [True, False], ids=["custom model", "model of the factory"])
def test_random_numbers_of_tensorflow_begin_anew_for_a_model_that_may_draw_them(
    custom: bool, runtime: WorkerRuntime
) -> None:
    trial = small_trial(6, epochs=1)
    if custom:
        trial = replace(trial, hyperparameters=CustomModel("tests.helpers.custom_parts:softmax", {"units": 4}))
    drawn = []
    for _ in range(2):
        run_trial(trial, runtime, never_stop)
        drawn.append(float(tf.random.uniform([], seed=1)))
    assert (drawn[0] == drawn[1]) is custom


def test_trials_that_differ_in_values_share_their_compiled_functions(runtime: WorkerRuntime) -> None:
    run_trial(small_trial(8, epochs=1, learning_rate=0.01), runtime, never_stop)
    parts = runtime.split.train, runtime.split.validation
    known = [len(part.functions) for part in parts]
    run_trial(small_trial(9, epochs=1, learning_rate=0.02), runtime, never_stop)
    assert min(known) > 0
    assert [len(part.functions) for part in parts] == known


def test_data_that_cannot_be_read_fails_the_trial(runtime: WorkerRuntime, tmp_path: Path) -> None:
    gone = tmp_path / "gone.npz"
    context = replace(runtime.context, source=replace(runtime.context.source, path=gone))
    result = run_trial(small_trial(12), WorkerRuntime(context), never_stop)
    assert (result.state, result.history) == (TrialState.FAILED, ())
    assert result.error is not None
    assert result.error.startswith(f"DataError: {gone}")


def test_a_worker_reads_its_data_once(runtime: WorkerRuntime) -> None:
    split = runtime.split
    assert runtime.split is split
    assert (len(split.train), len(split.validation)) == (800, 200)


class CountingSource:
    """Images of one colour, and the number of times that they were read in this process."""

    location = "here"
    readings = 0

    def load_training(self) -> LabelledImages:
        CountingSource.readings += 1
        return LabelledImages(np.zeros((1, 28, 28), np.uint8), np.zeros(1, np.uint8))


def test_images_that_were_read_are_handed_over_once_and_not_sent_to_other_processes() -> None:
    source = CountingSource()
    read = ReadSource(source, source.load_training())
    copy = pickle.loads(pickle.dumps(read))
    assert read.load_training().digest == source.load_training().digest
    assert CountingSource.readings == 2
    for other in (read, copy):
        other.load_training()
    assert CountingSource.readings == 4
    assert (read.location, copy.location) == ("here", "here")
