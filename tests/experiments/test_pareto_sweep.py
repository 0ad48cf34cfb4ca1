"""A sweep of several objectives, from its file to a selection with a maximum number of weights."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments import SweepResult, parse_spec, resume_sweep, run_sweep
from experiments.cli.main import app
from experiments.confirmation import confirm_sweep
from experiments.tracking.records import RunRecord
from search.objectives import VAL_ACCURACY
from tests.helpers.sweeps import in_process

FRONT = """
name = "front"
trials = 4
objectives = ["val_accuracy:max", "parameters:min"]
[data]
validation = 200
[training]
epochs = 2
batch_size = 50
[space]
hidden_size = { low = 1, high = 32, log = true }
"""


@pytest.fixture(scope="module")
def resumed(new_store: Callable[[], str], small_npz: Path) -> SweepResult:
    """A sweep that was interrupted after three trials and then brought to its end."""
    options = in_process(small_npz, tracking_uri=new_store())
    run_sweep(parse_spec(FRONT, ["trials=3"]), options)
    return resume_sweep("front", options, settings=["trials=5"])


@pytest.fixture(autouse=True)
def _in_that_store(resumed: SweepResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", resumed.tracking_uri)


def beats(one: RunRecord, other: RunRecord) -> bool:
    gains = [one.metrics["best_val_accuracy"] - other.metrics["best_val_accuracy"]]
    gains.append(other.metrics["weights"] - one.metrics["weights"])
    return min(gains) >= 0 and max(gains) > 0


def test_a_sweep_of_two_objectives_is_resumed_with_both_values_of_every_trial(resumed: SweepResult) -> None:
    assert len(resumed.ranked) == 5
    assert len({run.params["hidden_size"] for run in resumed.ranked}) == 5


def test_best_lists_exactly_the_pareto_front(resumed: SweepResult) -> None:
    shown = CliRunner().invoke(app, ["best", "front"])
    assert shown.exit_code == 0
    assert "Pareto front of val_accuracy:max, model_size:min" in shown.output
    beaten = {worse.name for better, worse in itertools.permutations(resumed.ranked, 2) if beats(better, worse)}
    listed = {run.name for run in resumed.ranked if run.name in shown.output}
    assert listed == {run.name for run in resumed.ranked} - beaten


def test_best_with_a_maximum_number_of_weights_selects_the_best_within_it(resumed: SweepResult) -> None:
    sizes = sorted(int(run.metrics["weights"]) for run in resumed.ranked)
    within = [run for run in resumed.ranked if run.metrics["weights"] <= sizes[2]]
    shown = CliRunner().invoke(app, ["best", "front", "--max-parameters", str(sizes[2])])
    assert f"best: {within[0].name}, id {within[0].run_id}" in shown.output


def test_the_best_by_the_first_objective_are_confirmed(resumed: SweepResult, small_npz: Path) -> None:
    options = in_process(small_npz, tracking_uri=resumed.tracking_uri)
    confirmed = confirm_sweep("front", top=1, seeds=2, options=options)
    assert len(confirmed.ranked) == 2
    assert confirmed.spec.objectives == (VAL_ACCURACY,)
