"""Resumption of sweeps: kept results, refused changes, and drivers that still run."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient

from experiments import parse_spec, resume_sweep, run_sweep
from experiments.ranking import tie_breaker
from experiments.tracking import queries, trial_results
from experiments.tracking.provenance import Driver
from experiments.tracking.records import SPEC_FILE, SweepState, Tag
from experiments.tracking.store import open_store, tracking_uri
from mnist_core.errors import DataError, NotFoundError, SpecError, StoreError, SweepInUseError
from search.sweep import EndReason
from search.trial import TrialState
from tests.helpers.stores import as_recorded_before_the_crossentropy
from tests.helpers.sweep_texts import SMALL, SMALL_GRID
from tests.helpers.sweeps import EVERY_GRID_POINT_ONCE, Watcher, in_process, points, stored_sweep

pytestmark = pytest.mark.usefixtures("store_at_hand")


@pytest.mark.fault
def test_a_sweep_whose_process_was_killed_is_resumed_without_repeating_or_missing_a_point(
    small_npz: Path, tmp_path: Path
) -> None:
    (tmp_path / "grid.toml").write_text(SMALL_GRID)
    options = ["--data", str(small_npz), "--workers", "2", "--no-report"]
    command = [sys.executable, "-m", "experiments", "sweep", "grid.toml", *options]
    driver = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert driver.stdout is not None
    for line in driver.stdout:
        if "[2/6]" in line:
            break
    driver.kill()
    driver.wait()
    driver.stdout.close()
    sweep, left = stored_sweep("small-grid")
    assert sweep.state is SweepState.RUNNING
    done = {run.run_id for run in left if run.state.is_finished}
    assert len(done) >= 2

    resumed = resume_sweep("small-grid", in_process(small_npz))
    assert resumed.ending is EndReason.DONE
    assert points(resumed.runs) == EVERY_GRID_POINT_ONCE
    assert done <= {run.run_id for run in resumed.runs if run.state.is_finished}
    orphans = {run.run_id for run in left if run.state is TrialState.RUNNING}
    assert {run.state for run in resumed.runs if run.run_id in orphans} <= {TrialState.KILLED}


def test_resuming_a_bayesian_sweep_can_add_trials_and_learns_from_the_old_ones(small_npz: Path) -> None:
    first = run_sweep(parse_spec(SMALL), in_process(small_npz))
    watcher = Watcher()
    more = resume_sweep("small", in_process(small_npz, watcher), settings=["trials=6"])
    assert [trial.number for trial, _ in watcher.ended] == [4, 5]
    assert len(more.runs) == 6
    assert {run.run_id for run in first.runs} < {run.run_id for run in more.runs}
    sizes = [run.params["learning_rate"] for run in more.runs]
    assert len(set(sizes)) == 6


def test_the_runs_are_read_once_where_a_sweep_is_resumed_and_once_where_it_ends(
    small_npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, times = queries.read_sweep_runs, []

    def counted(*arguments: Any) -> queries.SweepRuns:
        times.append(1)
        return read(*arguments)

    monkeypatch.setattr(queries, "read_sweep_runs", counted)
    run_sweep(parse_spec(SMALL_GRID, ["trials=1", "training.epochs=1"]), in_process(small_npz, report=True))
    assert len(times) == 1
    more = resume_sweep("small-grid", in_process(small_npz, report=True), settings=["trials=2"])
    assert len(times) == 3
    assert list(more.runs) == stored_sweep("small-grid")[1]


def test_a_sweep_recorded_without_crossentropies_is_resumed_and_all_its_runs_are_ranked_by_one_metric(
    small_npz: Path,
) -> None:
    first = run_sweep(parse_spec(SMALL, ["trials=2", "pruner=none"]), in_process(small_npz))
    assert all(run.value("val_crossentropy") is not None for run in first.ranked)
    as_recorded_before_the_crossentropy(open_store(tracking_uri()))
    more = resume_sweep("small", in_process(small_npz), settings=["trials=3"])
    recorded = [run.value("val_crossentropy") is not None for run in more.runs]
    assert recorded == [False, False, True]
    assert tie_breaker(more.ranked, "val_accuracy") == "val_loss"
    assert len(more.ranked) == 3


def test_an_error_before_the_first_trial_of_a_resumed_sweep_changes_no_state_and_releases_the_lease(
    small_npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise StoreError("the store cannot be read")

    run_sweep(parse_spec(SMALL, ["trials=1", "training.epochs=1"]), in_process(small_npz))
    with monkeypatch.context() as patch:
        patch.setattr(trial_results, "read_resume_state", failing)
        with pytest.raises(StoreError, match="the store cannot be read"):
            resume_sweep("small", in_process(small_npz), settings=["trials=2"])
    sweep, _ = stored_sweep("small")
    assert sweep.state is SweepState.FINISHED
    messages: list[str] = []
    resumed = resume_sweep("small", in_process(small_npz, on_message=messages.append), settings=["trials=2"])
    assert resumed.ending is EndReason.DONE
    assert not [line for line in messages if "waiting for the lease" in line]


def test_resuming_on_other_data_is_refused_with_both_digests_and_changes_nothing(
    small_npz: Path, other_npz: Path
) -> None:
    run_sweep(parse_spec(SMALL, ["trials=1"]), in_process(small_npz))
    before = stored_sweep("small")
    with pytest.raises(
        DataError, match=r"not the data of this sweep: expected digest [0-9a-f]{64}, received [0-9a-f]{64}"
    ):
        resume_sweep("small", in_process(other_npz), settings=["trials=2"])
    assert stored_sweep("small") == before


def test_resuming_cannot_change_what_trials_are_compared_by(small_npz: Path) -> None:
    run_sweep(parse_spec(SMALL, ["trials=1"]), in_process(small_npz))
    for override in (
        "space.hidden_size.high=64",
        "data.validation=100",
        "seed=7",
        "training.epochs=2",
        "objective=val_loss",
        "engine=keras-tuner",
        "name=other",
    ):
        changed = override.partition(".")[0].partition("=")[0]
        extra = ["sampler=random", "pruner=none"] if "engine" in override else []
        with pytest.raises(SpecError, match=rf"{changed}s?: cannot be changed by resuming"):
            resume_sweep("small", in_process(small_npz), settings=[override, *extra])


def test_resuming_can_change_the_trial_timeout_and_the_sweep_keeps_it(small_npz: Path) -> None:
    run_sweep(parse_spec(SMALL, ["trials=1", "training.epochs=1"]), in_process(small_npz))
    resumed = resume_sweep("small", in_process(small_npz), settings=["trials=2", "trial_timeout=2m"])
    assert (resumed.ending, resumed.spec.trial_timeout) == (EndReason.DONE, 120.0)
    again = resume_sweep("small", in_process(small_npz))
    assert again.spec.trial_timeout == 120.0


def test_resuming_cannot_ask_for_fewer_trials_than_are_done(small_npz: Path) -> None:
    run_sweep(parse_spec(SMALL, ["trials=2"]), in_process(small_npz))
    with pytest.raises(SpecError, match="trials: expected 2 or more, which are done, received 1"):
        resume_sweep("small", in_process(small_npz), settings=["trials=1"])


def test_an_unknown_sweep_is_named_with_the_nearest_known_one(small_npz: Path) -> None:
    run_sweep(parse_spec(SMALL, ["trials=1"]), in_process(small_npz))
    with pytest.raises(NotFoundError, match=r"no sweep 'smal' .*did you mean 'small'"):
        resume_sweep("smal", in_process(small_npz))


def test_a_sweep_of_an_earlier_version_with_a_running_driver_is_not_resumed(small_npz: Path) -> None:
    result = run_sweep(parse_spec(SMALL, ["trials=1"]), in_process(small_npz))
    client = MlflowClient(tracking_uri())
    # Such a sweep has no lease, and its file alone says what is searched.
    kept = client.get_run(result.sweep.run_id).data.tags
    tags = {key: value for key, value in kept.items() if not key.startswith(("lease", "sweep_"))}
    tags |= {Tag.SWEEP: "old", "mlflow.runName": "old"}
    old = client.create_run(client.get_run(result.sweep.run_id).info.experiment_id, tags=tags).info.run_id
    client.log_text(old, client_text(client, result.sweep.run_id), SPEC_FILE)
    with pytest.raises(SweepInUseError, match="is driving it; end that first"):
        resume_sweep("old", in_process(small_npz))
    client.set_tag(old, Tag.DRIVER, str(Driver("another-machine", 1, 1)))
    with pytest.raises(SweepInUseError, match=r"on another-machine may still be driving it.*--take-over"):
        resume_sweep("old", in_process(small_npz))
    assert resume_sweep("old", in_process(small_npz), take_over=True).ending is EndReason.DONE


def client_text(client: MlflowClient, run_id: str) -> str:
    return Path(client.download_artifacts(run_id, SPEC_FILE)).read_text(encoding="utf-8")


def test_a_zombie_process_is_not_an_active_driver() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    try:
        driver = Driver(socket.gethostname(), child.pid, int(psutil.Process(child.pid).create_time()))
        for _ in range(200):
            if psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE:
                break
            time.sleep(0.05)
        assert not driver.is_alive
        assert Driver.this().is_alive
    finally:
        child.wait()
