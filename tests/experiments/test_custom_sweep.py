"""A sweep over the user's own model and data, from its file to its evaluation."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments import LaunchOptions, find_sweep, open_store, parse_spec, resume_sweep, run_sweep
from experiments.evaluation import TestSet, evaluate_run
from experiments.tracking.datasets import locate
from experiments.tracking.queries import read_recorded_spec
from experiments.tracking.records import Tag
from mnist_core.errors import SpecError
from search.sweep import EndReason
from search.trial import TrialState
from tests.helpers.sweeps import in_process

OWN = """
name = "own"
engine = "optuna"
sampler = "grid"
model = "tests.helpers.custom_parts:softmax"
data = "tests.helpers.custom_parts:stripes"
[training]
epochs = 4
batch_size = 16
[space]
units = [4, 16]
rate = 0.5
"""


def ignored(line: str) -> None:
    pass


@pytest.mark.usefixtures("store_at_hand")
def test_a_custom_model_is_swept_on_custom_data_and_evaluated() -> None:
    result = run_sweep(parse_spec(OWN), in_process(None))
    uri = result.tracking_uri
    assert len(result.ranked) == 2
    best = result.best
    assert best is not None
    assert (best.params["function"], best.params["rate"]) == ("tests.helpers.custom_parts:softmax", "0.5")
    assert best.params["units"] in ("4", "16")
    assert best.tags[Tag.DATASET_LOCATION] == best.tags[Tag.DATASET] == "tests.helpers.custom_parts:stripes"
    store = open_store(uri)
    assert read_recorded_spec(store, find_sweep(store, "own")).space == result.spec.space
    evaluation = evaluate_run(store, best, TestSet.load(locate(None, ignored, best.tags)))
    # The column that is bright says the class.
    assert evaluation.metrics.accuracy.value > 0.9
    assert len(evaluation.labels) == 100


@pytest.mark.usefixtures("store_at_hand")
@pytest.mark.fault
def test_a_sweep_whose_trial_hangs_ends_soon_after_its_timeout_and_leaves_the_trial_for_later() -> None:
    spec = parse_spec(OWN, ["model=tests.helpers.custom_parts:sleeping", "space={units=[4]}", "trial_timeout=6s"])
    result = run_sweep(spec, LaunchOptions(workers=1, timeout=1.0, report=False, on_message=ignored))
    assert result.ending is EndReason.TIMED_OUT
    (run,) = result.runs
    assert run.state is TrialState.KILLED


@pytest.mark.usefixtures("store_at_hand")
def test_a_sweep_of_a_custom_engine_is_recorded_and_resumed() -> None:
    engine = "tests.helpers.example_searcher:HillClimber"
    text = (
        OWN.replace('"optuna"', f'"{engine}"')
        .replace('sampler = "grid"', "trials = 2")
        .replace("[4, 16]", "[4, 8, 16]")
    )
    first = run_sweep(parse_spec(text), in_process(None))
    assert first.ending is EndReason.DONE
    assert first.sweep.tags[Tag.ENGINE] == engine
    resumed = resume_sweep("own", in_process(None), trials=3)
    assert resumed.ending is EndReason.DONE
    assert [(run.number, run.attempt, run.state) for run in resumed.runs] == [
        (number, 1, TrialState.COMPLETE) for number in range(3)
    ]
    assert sorted(run.point["units"] for run in resumed.runs) == [4, 8, 16]


def test_a_function_that_is_not_there_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    spec = parse_spec(OWN, ["model=tests.helpers.custom_parts:softmacks"])
    with pytest.raises(SpecError, match="did you mean 'softmax'"):
        run_sweep(spec, LaunchOptions(workers=1, tracking_uri=f"sqlite:///{tmp_path}/mlflow.db", on_message=ignored))
    assert not (tmp_path / "mlflow.db").exists()
