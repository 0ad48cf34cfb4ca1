"""The options that choose where trials run, and the record of where they ran."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments import LaunchOptions, run_sweep, ui
from experiments.reproduction import _threads_of
from experiments.tracking.records import RunRecord, SweepRecord, SweepState, Tag
from experiments.tracking.trial_runs import _place_tags
from mnist_core.errors import SpecError
from search.execution import Execution
from search.executors.base import InProcessExecutor
from search.executors.factory import make_executor
from search.executors.local import usable_cores
from search.testing.values import context_of
from search.trial import TrialState
from search.worker_info import WorkerInfo, versions_here

ON_RAY = Execution("ray", "head:6379", cpus_per_trial=2, max_workers=7)


def test_options_replace_the_settings_that_they_name_and_keep_the_others() -> None:
    assert ON_RAY.merged_with({"cpus_per_trial": 4}) == Execution("ray", "head:6379", 4, max_workers=7)
    assert ON_RAY.merged_with({}) == ON_RAY


def test_another_executor_keeps_the_number_of_workers_alone() -> None:
    assert ON_RAY.merged_with({"executor": "local"}) == Execution(max_workers=7)
    assert Execution().merged_with({"executor": "ray", "address": "auto"}) == Execution("ray", "auto")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"address": "auto"}, "--address: expected executor = 'ray' with it, received 'auto' with 'local'"),
        ({"executor": "ray", "cpus_per_trial": -1.0}, "--cpus-per-trial: expected 0 or more, received -1.0"),
        ({"adress": "auto"}, "execution: unknown setting 'adress' (did you mean 'address'?)"),
    ],
)
def test_a_refused_option_is_named_as_it_was_typed(given: dict[str, object], words: str) -> None:
    with pytest.raises(SpecError) as caught:
        run_sweep("quick", LaunchOptions(report=False), execution=given)
    assert words in str(caught.value)


def test_a_trial_in_this_process_has_all_cores_whatever_number_of_workers_is_asked_for(
    small_npz: Path, tmp_path: Path
) -> None:
    messages: list[str] = []
    execution = Execution("in-process", max_workers=2)
    executor = make_executor(execution, context_of(small_npz, tmp_path), trials=8, on_message=messages.append)
    assert isinstance(executor, InProcessExecutor)
    assert executor._runtime.context.threads == usable_cores()
    assert messages == ["starting 1 worker"]


def test_a_run_says_where_it_ran_and_which_versions_differ_from_the_drivers() -> None:
    versions = {**dict(versions_here()), "keras": "3.0.0"}
    tags = _place_tags(WorkerInfo("node-a", "NVIDIA H100", tuple(versions.items()), threads=3))
    assert tags == {"host": "node-a", "device": "NVIDIA H100", "threads": "3", "version.keras": "3.0.0"}
    assert _place_tags(None) == {}


def test_a_run_is_reproduced_with_its_recorded_threads_and_an_old_one_with_its_share_of_the_cores() -> None:
    from datetime import UTC, datetime

    sweep = SweepRecord("1", "s", SweepState.FINISHED, datetime.now(UTC), {Tag.WORKERS: "1"})
    run = RunRecord("2", "trial-000", 0, 1, TrialState.COMPLETE, {}, {}, tags={Tag.THREADS: "5"})
    old = RunRecord("2", "trial-000", 0, 1, TrialState.COMPLETE, {}, {})
    assert _threads_of(run, sweep) == 5
    assert _threads_of(old, sweep) == usable_cores()


def test_the_ui_has_a_call_that_refuses_what_is_no_port() -> None:
    with pytest.raises(SpecError, match="port: expected 1 to 65535, received 0"):
        ui(port=0)
