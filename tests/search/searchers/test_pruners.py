"""The pruners: the decisions of Optuna's, after reports as after history that was added."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState, create_trial

from search.searchers.pruners import LearningPruner, make_pruner

EPOCHS = 9
OPTUNAS = {
    "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2),
    "hyperband": lambda: optuna.pruners.HyperbandPruner(min_resource=1, max_resource=EPOCHS, reduction_factor=3),
    "successive-halving": lambda: optuna.pruners.SuccessiveHalvingPruner(min_resource=3, reduction_factor=2),
}
ODD = (math.nan, math.inf, -math.inf, 0.5)
STATES = (TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def made_curves(rng: np.random.Generator, count: int) -> list[list[float]]:
    """Curves of ties, improvements, NaN and infinities."""
    return [
        [
            float(rng.choice(ODD)) if rng.random() < 0.1 else float(round(rng.random() + 0.05 * epoch, 1))
            for epoch in range(rng.integers(0, EPOCHS + 1))
        ]
        for _ in range(count)
    ]


def new_study(pruner: optuna.pruners.BasePruner, direction: str) -> optuna.Study:
    return optuna.create_study(
        study_name="mnist-search", direction=direction, pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0)
    )


def report_at_a_time(
    study: optuna.Study, curves: Sequence[Sequence[float]], states: Sequence[TrialState], at_once: int = 4
) -> list[bool]:
    """The decision on each report, of trials that run several at a time and never stop early."""
    decisions = []
    for start in range(0, len(curves), at_once):
        running = [
            (study.ask(), curve, state)
            for curve, state in zip(curves[start : start + at_once], states[start : start + at_once], strict=True)
        ]
        for epoch in range(EPOCHS):
            for trial, curve, _ in running:
                if epoch < len(curve):
                    trial.report(curve[epoch], step=epoch + 1)
                    decisions.append(trial.should_prune())
        for trial, _, state in running:
            study.tell(trial, 0.5 if state is TrialState.COMPLETE else None, state)
    return decisions


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("name", OPTUNAS)
@pytest.mark.parametrize("seed", range(4))
def test_each_decision_is_that_of_optuna(name: str, direction: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    curves = made_curves(rng, 80)
    states = [STATES[index] for index in rng.integers(len(STATES), size=len(curves))]
    expected = report_at_a_time(new_study(OPTUNAS[name](), direction), curves, states)
    assert report_at_a_time(new_study(make_pruner(name, EPOCHS), direction), curves, states) == expected
    assert {True, False} <= set(expected)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("name", OPTUNAS)
@pytest.mark.parametrize("seed", range(4))
def test_history_that_is_added_leads_to_the_decisions_that_replayed_history_leads_to(
    name: str, direction: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    past, later = made_curves(rng, 60), made_curves(rng, 40)
    states = [STATES[index] for index in rng.integers(len(STATES), size=len(past) + len(later))]
    replayed = new_study(OPTUNAS[name](), direction)
    report_at_a_time(replayed, past, states[: len(past)], at_once=1)
    pruner = make_pruner(name, EPOCHS)
    assert isinstance(pruner, LearningPruner)
    added = new_study(pruner, direction)
    for number, (curve, state) in enumerate(zip(past, states[: len(past)], strict=True)):
        value = 0.5 if state is TrialState.COMPLETE else None
        trial = create_trial(state=state, value=value, intermediate_values=dict(enumerate(curve, start=1)))
        added.add_trial(trial)
        trial.number = number
        pruner.add(added, trial)
    rest = states[len(past) :]
    assert report_at_a_time(added, later, rest) == report_at_a_time(replayed, later, rest)


@pytest.mark.parametrize(("epochs", "first"), [(1, 1), (2, 1), (4, 2), (5, 2), (6, 3), (EPOCHS, 3)])
def test_successive_halving_begins_with_epoch_3_or_after_half_of_a_shorter_trial(epochs: int, first: int) -> None:
    falling = [[1 - 0.1 * number] * epochs for number in range(4)]
    complete = [TrialState.COMPLETE] * len(falling)
    decisions = iter(
        report_at_a_time(new_study(make_pruner("successive-halving", epochs), "maximize"), falling, complete, 1)
    )
    by_epoch = [[next(decisions) for _ in curve] for curve in falling]
    assert by_epoch[-1].index(True) == first - 1
