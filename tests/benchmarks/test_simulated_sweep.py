"""The simulated sweep of the benchmark of pruners: the epochs that it counts, and the order of its reports."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.simulated_sweep import Curve, EndedSweep, Replay, simulate
from mnist_core.hyperparameters import TrainingConfig
from search.domains import FloatRange
from search.searchers.factory import make_searcher
from search.searchers.pruners import SuccessiveHalvingPruner, make_pruner
from search.space import Space
from search.spec import SweepSpec
from search.trial import Trial, TrialState

EPOCHS = 9
TRIALS = 24
SPEC = SweepSpec(
    "simulated",
    Space({"dropout": FloatRange(0.0, 0.5)}),
    sampler="random",
    trials=TRIALS,
    training=TrainingConfig(epochs=EPOCHS),
)


def rising(trial: Trial) -> Curve:
    """A curve towards a value that falls with dropout; short where dropout is high, as by patience."""
    dropout = trial.hyperparameters.dropout
    return Curve(tuple(1 - dropout - 0.5**epoch for epoch in range(1, EPOCHS + 1 - round(4 * dropout))))


def unpruned() -> EndedSweep:
    return simulate(SPEC, make_searcher(SPEC), rising, TRIALS)


def ends(sweep: EndedSweep) -> list[tuple[int, TrialState, int]]:
    return [(one.number, one.state, one.epochs) for one in sweep.trials]


def test_a_sweep_without_a_pruner_spends_the_epochs_of_all_curves() -> None:
    sweep = unpruned()
    curves = [rising(SPEC.trial(number, point)).values for number, point in enumerate(sweep.points)]
    assert sweep.epochs == sum(map(len, curves)) == sweep.spent[-1]
    assert (sweep.complete, sweep.best) == (TRIALS, max(map(max, curves)))


@pytest.mark.parametrize("pruner", ["none", "median", "successive-halving", "hyperband"])
def test_a_replay_ends_each_trial_where_the_searcher_of_the_sweep_does(pruner: str) -> None:
    spec = replace(SPEC, pruner=pruner)
    asked = simulate(spec, make_searcher(spec), rising, TRIALS)
    replayed = simulate(spec, Replay(unpruned().points, make_pruner(pruner, EPOCHS)), rising, TRIALS)
    assert ends(replayed) == ends(asked)
    assert (replayed.epochs < unpruned().epochs) == (pruner != "none")


def test_two_workers_end_epochs_by_turns() -> None:
    lengths = {0: 3, 1: 1, 2: 1}
    curves = {number: Curve((0.5,) * length) for number, length in lengths.items()}
    sweep = simulate(SPEC, make_searcher(SPEC), lambda trial: curves[trial.number], len(curves))
    assert [one.number for one in sweep.trials] == [1, 2, 0]
    assert sweep.spent == (2, 4, 5)


def test_a_target_is_reached_when_a_complete_trial_of_that_accuracy_ends() -> None:
    curves = {0: Curve((0.5, 0.9)), 1: Curve((0.7,)), 2: Curve((0.95,), failed=True)}
    sweep = simulate(SPEC, make_searcher(SPEC), lambda trial: curves[trial.number], len(curves))
    assert [sweep.epochs_until(target) for target in (0.7, 0.9, 0.95)] == [2, 3, None]
    assert (sweep.best, sweep.epochs) == (0.9, 4)


def test_a_trial_that_ends_by_itself_is_complete_although_the_pruner_would_end_it() -> None:
    curves = [Curve((value,) * epochs) for value, epochs in ((0.9, 3), (0.9, 3), (0.1, 2), (0.1, 3))]
    replay = Replay(unpruned().points, SuccessiveHalvingPruner(first=2, factor=2))
    sweep = simulate(SPEC, replay, lambda trial: curves[trial.number], len(curves))
    assert [state for number, state, _ in sorted(ends(sweep))][2:] == [TrialState.COMPLETE, TrialState.PRUNED]
