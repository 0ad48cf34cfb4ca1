from __future__ import annotations

import math
from typing import Any

import pytest

from experiments import selection
from experiments.records import RunRecord
from mnist_core.errors import NotFoundError
from search.trial import TrialState

MLFLOW_INFINITY = 1.7976931348623157e308


def run(number: int, accuracy: float | None = 0.9, loss: float | None = 0.3, **other: Any) -> RunRecord:
    values = {"best_val_accuracy": accuracy, "best_val_loss": loss}
    settings: dict[str, Any] = {
        "run_id": f"run-{number}",
        "name": f"trial-{number:03d}",
        "number": number,
        "attempt": 1,
        "state": TrialState.COMPLETE,
        "params": {},
        "metrics": {name: value for name, value in values.items() if value is not None},
        "model_id": f"m-{number}",
    }
    return RunRecord(**(settings | other))


def numbers(runs: list[RunRecord]) -> list[int]:
    return [run.number for run in runs]


def test_higher_accuracy_wins_and_lower_loss_breaks_ties() -> None:
    runs = [run(0, 0.97, 0.2), run(1, 0.98, 0.3), run(2, 0.98, 0.1), run(3, 0.96, 0.01)]
    assert numbers(selection.rank(runs)) == [2, 1, 0, 3]
    best = selection.best(runs)
    assert best is not None
    assert best.number == 2


def test_for_a_loss_objective_lower_loss_wins_and_higher_accuracy_breaks_ties() -> None:
    runs = [run(0, 0.97, 0.2), run(1, 0.98, 0.2), run(2, 0.99, 0.3)]
    assert numbers(selection.rank(runs, "val_loss")) == [1, 0, 2]


@pytest.mark.parametrize(
    "loser",
    [
        run(0, 0.99, state=TrialState.PRUNED),
        run(0, 0.99, state=TrialState.FAILED),
        run(0, 0.99, state=TrialState.KILLED),
        run(0, 0.99, state=TrialState.RUNNING),
        run(0, 0.99, model_id=None),
        run(0, accuracy=None),
        run(0, math.nan),
        run(0, math.inf),
        run(0, MLFLOW_INFINITY),
        run(0, 0.99, loss=math.nan),
        run(0, 0.99, loss=MLFLOW_INFINITY),
        run(0, 0.99, loss=None),
    ],
    ids=lambda loser: f"{loser.state.value} {dict(loser.metrics)} {loser.model_id}",
)
def test_only_complete_finite_runs_with_a_ready_model_may_win(loser: RunRecord) -> None:
    assert numbers(selection.rank([loser, run(1, 0.1)])) == [1]
    assert selection.best([loser]) is None
    assert numbers(selection.others([loser, run(1, 0.1)])) == [0]


def test_the_rest_is_ordered_by_state_then_by_what_it_reached() -> None:
    rest = [
        run(0, None, None, state=TrialState.FAILED),
        run(1, 0.5, state=TrialState.PRUNED),
        run(2, 0.8, state=TrialState.PRUNED),
        run(3, None, None, state=TrialState.RUNNING),
    ]
    assert numbers(selection.others(rest)) == [3, 2, 1, 0]


def test_no_runs_have_no_best() -> None:
    assert selection.best([]) is None


def sized(number: int, accuracy: float, weights: int) -> RunRecord:
    metrics = {"best_val_accuracy": accuracy, "best_val_loss": 0.1, "weights": weights}
    return run(number, metrics=metrics, params={"hidden_size": str(number)})


SIZED = [sized(0, 0.90, 100), sized(1, 0.95, 500), sized(2, 0.94, 600), sized(3, 0.99, 5000), sized(4, 0.90, 90)]


def test_the_front_is_in_the_order_of_its_runs() -> None:
    ranked = selection.configurations(SIZED)
    front = selection.front(ranked, ("val_accuracy:max", "parameters:min"))
    assert [one.run.number for one in front] == [3, 1, 4]


@pytest.mark.parametrize(("bound", "chosen"), [(None, 3), (5000, 3), (4999, 1), (500, 1), (499, 0), (90, 4)])
def test_a_bound_on_the_weights_chooses_the_best_within_it(bound: int | None, chosen: int) -> None:
    choice = selection.choose(SIZED, selection.Rule.BEST, "val_accuracy", 1000, bound)
    assert choice.chosen.run.number == chosen
    assert all(bound is None or one.weights <= bound for one in choice.ranked)


def test_a_bound_that_no_run_keeps_is_refused_with_the_smallest() -> None:
    with pytest.raises(NotFoundError, match="no model of at most 89 weights; the smallest has 90"):
        selection.choose(SIZED, selection.Rule.BEST, "val_accuracy", 1000, 89)
