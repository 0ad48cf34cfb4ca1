"""Sweeps with a full disk, a store that fails, and a tracking server."""

from __future__ import annotations

import errno
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from experiments import launch, parse_spec, resume_sweep, run_sweep
from experiments.tracking.records import SweepState
from experiments.tracking.store import tracking_uri
from mnist_core.errors import StoreError
from search.sweep import EndReason
from search.trial import SavedModel, TrialState
from tests.helpers.sweep_texts import SMALL_GRID
from tests.helpers.sweeps import EVERY_GRID_POINT_ONCE, Watcher, in_process, points, states, stored_sweep

pytestmark = pytest.mark.usefixtures("store_at_hand")


def full_disk(model: Any, folder: Path) -> SavedModel:
    if int(folder.name.partition("-")[0]) == 1:
        folder.mkdir()
        (folder / "half").write_text("of a model")
        raise OSError(errno.ENOSPC, "No space left on device")
    from experiments.tracking.artifacts import save_model

    return save_model(model, folder)


@pytest.mark.fault
def test_a_disk_that_is_full_while_a_worker_saves_fails_that_trial_and_the_sweep_goes_on(small_npz: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "save_model", full_disk)
        result = run_sweep(parse_spec(SMALL_GRID), in_process(small_npz))
    assert states(result) == {TrialState.COMPLETE: 5, TrialState.FAILED: 1}
    (failed,) = (run for run in result.runs if run.state is TrialState.FAILED)
    assert failed.error is not None
    assert "No space left on device" in failed.error
    assert failed.model_id is None
    client = MlflowClient(tracking_uri())
    files = [file.path for file in client.list_artifacts(failed.run_id)]
    assert files == ["traceback.txt"]

    # With space again, the failed trial and it alone is tried once more.
    watcher = Watcher()
    resumed = resume_sweep("small-grid", in_process(small_npz, watcher))
    assert [(trial.number, trial.attempt) for trial, _ in watcher.ended] == [(1, 2)]
    assert resumed.ranked[-1].state is TrialState.COMPLETE
    assert len(resumed.ranked) == 6


def test_a_model_that_cannot_be_stored_fails_its_trial_and_is_never_ready(
    small_npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = LocalArtifactRepository.log_artifacts
    calls = []

    def failing_once(self: LocalArtifactRepository, local_dir: str) -> None:
        calls.append(Path(self.artifact_dir).parent.name)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, local_dir)

    monkeypatch.setattr(LocalArtifactRepository, "log_artifacts", failing_once)
    watcher = Watcher()
    result = run_sweep(parse_spec(SMALL_GRID), in_process(small_npz, watcher))
    assert states(result) == {TrialState.COMPLETE: 5, TrialState.FAILED: 1}
    (failed,) = (run for run in result.runs if run.state is TrialState.FAILED)
    assert failed.value("val_accuracy") is None
    assert MlflowClient(tracking_uri()).get_logged_model(calls[1]).status.value == "FAILED"
    assert [shown.state for _, shown in watcher.ended].count(TrialState.FAILED) == 1


def test_a_store_that_fails_ends_the_sweep_with_one_error_and_loses_nothing_recorded(
    small_npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Watcher(after=2, do=lambda: patch.setattr(MlflowClient, "create_run", failing))
    failing = raising(OSError(errno.EIO, "Input/output error"))
    said: list[str] = []
    options = replace(in_process(small_npz, broken), on_message=said.append)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(StoreError, match="Input/output error"):
        run_sweep(parse_spec(SMALL_GRID), options)
    assert said[-1] == "what is recorded is kept; continue: mnist-search sweep --resume small-grid"
    sweep, runs = stored_sweep("small-grid")
    assert sweep.state is SweepState.FAILED
    assert [run.state for run in runs] == [TrialState.COMPLETE] * 2
    assert points(resume_sweep("small-grid", in_process(small_npz)).runs) == EVERY_GRID_POINT_ONCE


def raising(error: Exception) -> Any:
    def method(*arguments: Any, **settings: Any) -> Any:
        raise error

    return method


@pytest.mark.server
def test_a_sweep_on_a_tracking_server_equals_one_in_an_embedded_store(
    small_npz: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    watcher = Watcher(after=2, do=lambda: signal.raise_signal(signal.SIGINT))
    assert run_sweep(parse_spec(SMALL_GRID), in_process(small_npz, watcher)).ending is EndReason.INTERRUPTED
    result = resume_sweep("small-grid", in_process(small_npz))
    assert points(result.runs) == EVERY_GRID_POINT_ONCE
    assert result.best is not None
    client = MlflowClient(server)
    experiments = {experiment.name for experiment in client.search_experiments(view_type=ViewType.ALL)}
    assert "mnist-search" in experiments
    assert result.best.model_id is not None
    assert client.get_logged_model(result.best.model_id).status.value == "READY"
