"""Results and outcomes: those that contradict themselves are refused, and read back as failed."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mnist_core.metrics import StopReason, TrainingResult
from search.objectives import MODEL_SIZE, VAL_ACCURACY, VAL_LOSS
from search.testing.values import metrics_of, outcome_of, result_of
from search.trial import Outcome, SavedModel, TrialResult, TrialState

EPOCHS = (metrics_of(0.25), metrics_of(0.5))
MODEL = SavedModel(Path("staging"), "model.keras", "0" * 64, size=9, weights=12)
COMPLETE, PRUNED, FAILED = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED


@pytest.mark.parametrize(
    ("state", "values", "words"),
    [
        (TrialState.RUNNING, {}, "state: expected that of a finished trial, received RUNNING"),
        (TrialState.KILLED, {}, "received KILLED"),
        (COMPLETE, {"history": EPOCHS}, "best_epoch: expected one for a complete trial"),
        (COMPLETE, {"history": EPOCHS, "best_epoch": 3}, "one of the 2 epochs of the history, received 3"),
        (COMPLETE, {"history": EPOCHS, "best_epoch": 0}, "received 0"),
        (COMPLETE, {"best_epoch": 1}, "one of the 0 epochs"),
        (PRUNED, {}, "history: expected one epoch or more for a pruned trial"),
        (FAILED, {}, "error: expected the cause of a failed trial"),
        (FAILED, {"history": EPOCHS, "best_epoch": 1, "error": "x"}, "expected None for a failed trial"),
        (FAILED, {"model": MODEL, "error": "x"}, "expected None for a failed trial"),
    ],
)
def test_a_result_that_contradicts_itself_is_refused(state: TrialState, values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TrialResult(state, **values)


@pytest.mark.parametrize(
    ("state", "values", "words"),
    [
        (TrialState.RUNNING, {}, "state: expected that of a finished trial"),
        (COMPLETE, {"curve": (0.5,)}, "values: expected one for each objective"),
        (PRUNED, {"values": (0.5,)}, "curve: expected one epoch or more"),
        (FAILED, {"values": (0.5,)}, "values: expected none for a failed trial"),
    ],
)
def test_an_outcome_that_contradicts_itself_is_refused(state: TrialState, values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Outcome(state, **values)


@pytest.mark.parametrize(
    ("reason", "state"), [(StopReason.BUDGET, COMPLETE), (StopReason.PATIENCE, COMPLETE), (StopReason.PRUNED, PRUNED)]
)
def test_a_trained_trial_carries_its_model(reason: StopReason, state: TrialState) -> None:
    result = TrialResult.trained(TrainingResult(EPOCHS, 2, reason), MODEL, 1.5, 0.5)
    assert (result.state, result.stop_reason, result.best) == (state, reason, EPOCHS[1])
    assert (result.model, result.weights) == (MODEL, 12)
    assert (result.training_seconds, result.saving_seconds) == (1.5, 0.5)


@pytest.mark.parametrize(
    ("state", "epochs", "best_epoch", "error"),
    [
        (COMPLETE, 2, None, "the record is broken: best_epoch: expected one for a complete trial"),
        (COMPLETE, 0, 2, "the record is broken: best_epoch: expected one of the 0 epochs"),
        (PRUNED, 1, 2, "the record is broken: best_epoch: expected one of the 1 epochs"),
        (PRUNED, 0, None, "the record is broken: history"),
        (TrialState.KILLED, 1, None, "the record is broken: state"),
        (FAILED, 1, 1, "failed; the record names no cause"),
    ],
)
def test_a_broken_record_is_read_back_as_failed(
    state: TrialState, epochs: int, best_epoch: int | None, error: str
) -> None:
    result = TrialResult.read_back(state, EPOCHS[:epochs], best_epoch, weights=7)
    assert (result.state, result.history, result.best, result.weights) == (FAILED, EPOCHS[:epochs], None, 7)
    assert result.error is not None
    assert result.error.startswith(error)


def test_a_whole_record_is_read_back_as_it_was() -> None:
    assert TrialResult.read_back(COMPLETE, EPOCHS, 2, 7) == TrialResult(COMPLETE, EPOCHS, 2, weights=7)
    assert TrialResult.read_back(PRUNED, EPOCHS, None, 7) == TrialResult(PRUNED, EPOCHS, weights=7)
    assert TrialResult.read_back(FAILED, (), None, None, "no space").error == "no space"


def test_the_outcome_of_a_broken_record_is_failed() -> None:
    assert Outcome.read_back(COMPLETE, 0.5, (0.5,)) == Outcome(COMPLETE, (0.5,), (0.5,))
    assert Outcome.read_back(COMPLETE, None, (0.5,)) == Outcome(FAILED, (), (0.5,))
    assert Outcome.read_back(PRUNED, 0.5, ()) == Outcome(FAILED)
    assert Outcome.read_back(FAILED, 0.5, (0.5,)) == Outcome(FAILED, (), (0.5,))


def test_an_outcome_has_the_value_of_each_objective() -> None:
    result = TrialResult(COMPLETE, EPOCHS, 1, weights=7)
    assert result.outcome((VAL_LOSS, MODEL_SIZE)) == Outcome(COMPLETE, (0.75, 7.0), (0.75, 0.5))
    assert result.outcome((VAL_ACCURACY,)).value == 0.25


@pytest.mark.parametrize("state", [COMPLETE, PRUNED, FAILED])
def test_the_suite_makes_results_and_outcomes_that_agree(state: TrialState) -> None:
    assert result_of(0.5, state).outcome((VAL_ACCURACY,)) == outcome_of(0.5, state)
    assert (outcome_of(0.5, state).value is None) == (state is FAILED)


def test_a_complete_trial_without_a_number_for_an_objective_is_failed_for_a_searcher() -> None:
    history = (EPOCHS[0], replace(EPOCHS[1], val_loss=math.nan))
    result = TrialResult.read_back(COMPLETE, history, 2, 7)
    assert result.outcome((VAL_ACCURACY,)) == Outcome(COMPLETE, (0.5,), (0.25, 0.5))
    assert result.outcome((VAL_ACCURACY, VAL_LOSS)) == Outcome(FAILED, (), (0.25, 0.5))


def test_a_value_that_is_no_number_is_a_value() -> None:
    assert math.isnan(Outcome(COMPLETE, (math.nan,)).values[0])
