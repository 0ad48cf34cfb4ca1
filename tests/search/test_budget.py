"""Budgets of a sweep: when they are used up, and the end of the loop by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from mnist_core.hyperparameters import TrainingConfig
from mnist_core.metrics import Direction, StopReason
from search.budget import NOTHING_SPENT, Budget, EndReason, Spent, StopRules
from search.executors.base import Decide, Ended, Finished
from search.resume import NOTHING_DONE, ResumeState
from search.spec import SweepSpec
from search.sweep import Sweep
from search.testing.values import metrics_of, outcome_of, result_of
from search.trial import Outcome, Trial, TrialResult, TrialState
from tests.helpers.search_fakes import FakeExecutor, Journal, ListSearcher, sizes

SIZES = (8, 16, 32, 64, 128, 256)
FAILED = Outcome(TrialState.FAILED)


def budget_of(direction: Direction = Direction.MAXIMIZE, spent: Spent = NOTHING_SPENT, **rules: Any) -> Budget:
    return Budget(StopRules(**rules), direction, spent)


def after(budget: Budget, *outcomes: Outcome, seconds: float = 0.0) -> EndReason | None:
    for number, outcome in enumerate(outcomes):
        budget.trial_ended(number, outcome)
    return budget.reason(seconds)


class TestTarget:
    @pytest.mark.parametrize(
        ("direction", "short", "reached"), [(Direction.MAXIMIZE, 0.4, 0.5), (Direction.MINIMIZE, 0.6, 0.5)]
    )
    def test_is_reached_by_a_value_as_good_as_it(self, direction: Direction, short: float, reached: float) -> None:
        budget = budget_of(direction, target=0.5)
        assert after(budget, outcome_of(short)) is None
        assert after(budget, outcome_of(short), outcome_of(reached)) is EndReason.TARGET

    def test_is_not_reached_by_a_pruned_trial_since_that_cannot_win(self) -> None:
        assert after(budget_of(target=0.5), outcome_of(0.9, TrialState.PRUNED)) is None

    def test_is_no_longer_reached_where_the_model_could_not_be_stored(self) -> None:
        budget = budget_of(target=0.5)
        assert after(budget, outcome_of(0.9)) is EndReason.TARGET
        assert after(budget, FAILED) is None


class TestPlateau:
    def test_counts_the_trained_trials_since_the_best(self) -> None:
        budget = budget_of(plateau=2)
        ends = [outcome_of(0.5), outcome_of(0.4), outcome_of(0.6), outcome_of(0.6)]
        assert after(budget, *ends) is None
        assert after(budget, *ends, outcome_of(0.9, TrialState.PRUNED)) is EndReason.PLATEAU

    def test_leaves_out_failed_trials(self) -> None:
        assert after(budget_of(plateau=1), outcome_of(0.5), FAILED, FAILED) is None

    def test_does_not_begin_before_a_trial_is_complete(self) -> None:
        pruned = [outcome_of(0.5, TrialState.PRUNED)] * 3
        assert after(budget_of(plateau=2), *pruned) is None
        assert after(budget_of(plateau=2), *pruned, outcome_of(0.1)) is None

    def test_goes_on_from_the_trials_of_earlier_calls(self) -> None:
        spent = Spent(values=(0.3, 0.7, None, 0.6))
        assert after(budget_of(spent=spent, plateau=3)) is None
        assert after(budget_of(spent=spent, plateau=3), outcome_of(0.7)) is EndReason.PLATEAU
        assert after(budget_of(spent=spent, plateau=3), outcome_of(0.8)) is None


class TestEpochsAndTime:
    def test_epochs_count_those_of_earlier_calls(self) -> None:
        budget = budget_of(spent=Spent(epochs=8), epochs=10)
        budget.epoch_ended()
        assert budget.reason(0.0) is None
        budget.epoch_ended()
        assert budget.reason(0.0) is EndReason.EPOCHS

    def test_time_counts_that_of_earlier_calls(self) -> None:
        budget = budget_of(spent=Spent(seconds=50.0), time=60.0)
        assert budget.reason(9.9) is None
        assert budget.reason(10.0) is EndReason.TIME

    def test_the_timeout_of_a_call_does_not_count_them_and_ends_no_trial(self) -> None:
        budget = Budget(StopRules(), Direction.MAXIMIZE, Spent(seconds=50.0), timeout=60.0)
        assert budget.reason(59.0) is None
        reason = budget.reason(60.0)
        assert reason is EndReason.TIMED_OUT
        assert not reason.ends_trials


def test_a_budget_is_named_by_its_key_and_described_by_its_value() -> None:
    rules = StopRules(time=1800.0, epochs=5000, target=0.985, plateau=20)
    described = {reason.key: rules.describe(reason, "val_accuracy") for reason in EndReason if reason.ends_trials}
    assert described == {
        "time": "its trials have run for 1,800 s",
        "epochs": "5,000 epochs are trained",
        "target": "val_accuracy has reached 0.985",
        "plateau": "the last 20 trials brought nothing better",
    }
    assert [rules.describe(reason, "") for reason in EndReason if not reason.ends_trials] == [""] * 4


class Stepwise(FakeExecutor):
    """Ends an epoch of each running trial in a poll; trials that are named as starting end none.

    Args:
        epochs: of each trial.
        starting: numbers of trials that do not come to the end of their first epoch.
    """

    def __init__(self, epochs: int = 3, capacity: int = 2, starting: Sequence[int] = ()) -> None:
        super().__init__(capacity=capacity)
        self.epochs, self.starting = epochs, starting
        self.trained: dict[int, int] = {}

    def poll(self, decide: Decide, timeout: float) -> Sequence[Ended]:
        ended: list[Ended] = []
        for trial in [one for one in self.running if one.number not in self.starting]:
            epoch = self.trained[trial.number] = self.trained.get(trial.number, 0) + 1
            goes_on = decide(trial, epoch, metrics_of(0.1 * epoch))
            if epoch == self.epochs or not goes_on:
                complete = epoch == self.epochs
                state, reason = (TrialState.COMPLETE if complete else TrialState.PRUNED), StopReason.PRUNED
                history = tuple(metrics_of(0.1 * one) for one in range(1, epoch + 1))
                ended.append(Finished(trial, TrialResult(state, history, epoch, reason)))
                self.running.remove(trial)
        return ended


class BudgetedSweep:
    """A sweep of six trials with budgets, between fakes."""

    def __init__(
        self,
        executor: FakeExecutor,
        history: ResumeState = NOTHING_DONE,
        journal: Journal | None = None,
        searcher: ListSearcher | None = None,
        **rules: Any,
    ) -> None:
        training = TrainingConfig(epochs=3)
        self.spec = SweepSpec(
            "budgeted", sizes(*SIZES), sampler="random", trials=6, training=training, stop=StopRules(**rules)
        )
        self.searcher = searcher or ListSearcher([{"hidden_size": size} for size in SIZES])
        self.executor, self.journal = executor, journal or Journal("recorder", [])
        self.sweep = Sweep(self.spec, self.searcher, executor, self.journal, history=history)

    def recorded(self, what: str) -> list[Any]:
        return [entry[2:] for entry in self.journal.entries if entry[1] == what]


class TestTheLoop:
    def test_ends_running_trials_as_pruned_after_the_epoch_that_uses_up_the_budget(self) -> None:
        budgeted = BudgetedSweep(Stepwise(capacity=2), epochs=8)
        assert budgeted.sweep.run() is EndReason.EPOCHS
        # Two trials of three epochs; the eighth is the first of the fourth trial, and the third ends after its second.
        states = [state for _, state in budgeted.recorded("ended")]
        assert states == [TrialState.COMPLETE] * 2 + [TrialState.PRUNED] * 2
        assert [outcome.state for _, outcome in budgeted.searcher.told] == states
        assert budgeted.recorded("lost") == []
        assert budgeted.executor.closed

    def test_does_not_wait_for_trials_without_an_epoch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = 1000.0
        monkeypatch.setattr("search.sweep.time.monotonic", lambda: now)

        class Clocked(Stepwise):
            def poll(self, decide: Decide, timeout: float) -> Sequence[Ended]:
                nonlocal now
                now += 10
                return super().poll(decide, timeout)

        budgeted = BudgetedSweep(Clocked(capacity=2, starting=[1]), time=15.0)
        assert budgeted.sweep.run() is EndReason.TIME
        assert budgeted.recorded("ended") == [(0, TrialState.PRUNED)]
        assert budgeted.recorded("lost") == [(1, "the sweep was stopped by time before the trial had trained an epoch")]
        assert budgeted.sweep.seconds == 20.0

    def test_starts_no_trial_after_the_target(self) -> None:
        executor = FakeExecutor({1: result_of(0.9)})
        assert BudgetedSweep(executor, target=0.9).sweep.run() is EndReason.TARGET
        assert [trial.number for trial in executor.submitted] == [0, 1]

    def test_goes_on_where_the_model_that_reached_the_target_could_not_be_stored(self) -> None:
        def lost_upload(trial: Trial, result: TrialResult) -> TrialResult:
            failed = replace(result, state=TrialState.FAILED, best_epoch=None, error="the disk is full")
            return failed if trial.number == 1 else result

        executor = FakeExecutor({1: result_of(0.9), 3: result_of(0.95)})
        budgeted = BudgetedSweep(executor, journal=Journal("recorder", [], lost_upload), target=0.9)
        assert budgeted.sweep.run() is EndReason.TARGET
        assert [trial.number for trial in executor.submitted] == [0, 1, 2, 3]

    def test_does_not_try_a_lost_trial_again(self) -> None:
        budgeted = BudgetedSweep(FakeExecutor(deaths={0: 1}), epochs=1)
        assert budgeted.sweep.run() is EndReason.EPOCHS
        assert budgeted.recorded("started") == [(0, 1)]

    def test_ends_at_once_where_earlier_calls_used_up_the_budget(self) -> None:
        executor = FakeExecutor()
        budgeted = BudgetedSweep(executor, ResumeState(spent=Spent(epochs=5)), epochs=5)
        assert budgeted.sweep.run() is EndReason.EPOCHS
        assert executor.submitted == []

    def test_asks_no_pruner_that_the_sweep_does_not_have(self) -> None:
        searcher = ListSearcher([{"hidden_size": size} for size in SIZES], lambda point, epoch: False)
        budgeted = BudgetedSweep(FakeExecutor(), searcher=searcher, epochs=1000)
        assert budgeted.spec.ends_trials
        assert budgeted.sweep.run() is EndReason.DONE
        assert {state for _, state in budgeted.recorded("ended")} == {TrialState.COMPLETE}

    def test_names_a_budget_that_the_last_trial_uses_up(self) -> None:
        assert BudgetedSweep(FakeExecutor(), epochs=12).sweep.run() is EndReason.EPOCHS

    def test_is_done_where_no_budget_is_used_up(self) -> None:
        budgeted = BudgetedSweep(Stepwise(), time=3600.0, epochs=19, target=0.9, plateau=6)
        assert budgeted.sweep.run() is EndReason.DONE
