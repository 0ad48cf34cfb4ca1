"""Whole sweeps in this process: their beginning, their interruption and their end."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from experiments import LaunchOptions, SweepResult, launch, parse_spec, resume_sweep, run_sweep
from experiments.tracking import datasets
from experiments.tracking.records import SweepState, Tag
from experiments.tracking.store import tracking_uri
from mnist_core.data.images import LabelledImages
from mnist_core.data.sources import DataSource
from mnist_core.errors import DataError, SpecError
from search.executors import processes
from search.executors.base import InProcessExecutor
from search.sweep import EndReason
from search.trial import TrialState
from search.worker import WorkerContext
from tests.helpers.sweep_texts import SMALL, SMALL_GRID
from tests.helpers.sweeps import EVERY_GRID_POINT_ONCE, Watcher, in_process, points, states, stored_sweep

pytestmark = pytest.mark.usefixtures("store_at_hand")


def test_a_grid_trains_every_point_once_and_shares_its_parameters_with_bayesian_sweeps(
    small_npz: Path,
) -> None:
    result = run_sweep(parse_spec(SMALL_GRID), in_process(small_npz))
    bayesian = run_sweep(parse_spec(SMALL, ["trials=1", "training.epochs=1"]), in_process(small_npz))
    assert result.ending is EndReason.DONE
    assert points(result.runs) == EVERY_GRID_POINT_ONCE
    assert result.best is not None
    assert result.best.params.keys() == bayesian.runs[0].params.keys()


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The first steps of a sweep, in their order. Its images cannot be read, and no process starts."""
    steps: list[str] = []

    def read(*arguments: object) -> None:
        steps.append("read")
        raise DataError("unreadable")

    monkeypatch.setattr(launch, "describe_images", read)
    monkeypatch.setattr(processes, "can_fork", lambda: True)
    monkeypatch.setattr(processes, "_server_environment", None)
    monkeypatch.setattr(processes.forkserver, "ensure_running", lambda: steps.append("import"))
    return steps


def test_workers_begin_to_import_before_the_driver_reads_the_images(small_npz: Path, begun: list[str]) -> None:
    with pytest.raises(DataError, match="unreadable"):
        run_sweep(parse_spec(SMALL_GRID), data=small_npz)
    assert begun == ["import", "read"]


def test_no_worker_begins_to_import_where_none_of_this_machine_is_needed(small_npz: Path, begun: list[str]) -> None:
    with pytest.raises(DataError, match="unreadable"):
        run_sweep(parse_spec(SMALL_GRID), in_process(small_npz))
    assert begun == ["read"]


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_sweep_cleanly_and_resuming_runs_exactly_what_is_missing(
    small_npz: Path, number: signal.Signals, exit_code: int
) -> None:
    watcher = Watcher(after=2, do=lambda: signal.raise_signal(number))
    interrupted = run_sweep(parse_spec(SMALL_GRID), in_process(small_npz, watcher))
    assert interrupted.ending is EndReason.INTERRUPTED
    assert interrupted.exit_code == exit_code
    assert interrupted.sweep.state is SweepState.KILLED
    assert states(interrupted)[TrialState.COMPLETE] == 2
    assert states(interrupted)[TrialState.RUNNING] == 0

    resumed = resume_sweep("small-grid", in_process(small_npz))
    assert resumed.ending is EndReason.DONE
    assert resumed.sweep.run_id == interrupted.sweep.run_id
    assert resumed.sweep.state is SweepState.FINISHED
    assert points(resumed.runs) == EVERY_GRID_POINT_ONCE
    kept = {run.run_id for run in interrupted.runs if run.state.is_finished}
    assert kept < {run.run_id for run in resumed.runs}


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP here")
@pytest.mark.parametrize(("name", "exit_code"), [("SIGHUP", 129), ("SIGTERM", 143)])
def test_a_signal_before_the_first_trial_leaves_no_files(small_npz: Path, name: str, exit_code: int) -> None:
    number, folders = getattr(signal, name), []
    assert signal.getsignal(number) is signal.SIG_DFL

    def start(context: WorkerContext, workers: int) -> InProcessExecutor:
        folders.append(context.staging)
        assert context.staging.is_dir()
        signal.raise_signal(number)
        return InProcessExecutor(context)

    with pytest.raises(SystemExit) as end:
        run_sweep(parse_spec(SMALL_GRID), in_process(small_npz, executor=start))
    assert end.value.code == exit_code
    assert not folders[0].exists()
    assert signal.getsignal(number) is signal.SIG_DFL


def test_a_timeout_starts_no_more_trials_and_what_is_missing_can_be_run_later(small_npz: Path) -> None:
    result = run_sweep(parse_spec(SMALL_GRID), in_process(small_npz, timeout=1e-9))
    assert result.ending is EndReason.TIMED_OUT
    assert len(result.runs) == 0
    assert result.best is None
    assert points(resume_sweep("small-grid", in_process(small_npz)).runs) == EVERY_GRID_POINT_ONCE


@pytest.mark.parametrize(("text", "waits"), [(SMALL, True), (SMALL_GRID, False)], ids=["pruner", "no pruner"])
def test_workers_wait_for_a_decision_after_each_epoch_only_with_a_pruner(
    small_npz: Path, text: str, waits: bool
) -> None:
    contexts: list[WorkerContext] = []

    def keep(context: WorkerContext, workers: int) -> InProcessExecutor:
        contexts.append(context)
        return InProcessExecutor(context)

    run_sweep(parse_spec(text), in_process(small_npz, timeout=1e-9, executor=keep))
    assert [context.pruning for context in contexts] == [waits]


def test_the_data_are_read_once_for_the_record_and_for_an_executor_that_sends_them_on(
    small_npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings: list[DataSource] = []
    load = DataSource.load_training

    def read(source: DataSource) -> LabelledImages:
        readings.append(source)
        return load(source)

    def send(context: WorkerContext, workers: int) -> InProcessExecutor:
        assert context.source.load_training().digest == context.digest
        return InProcessExecutor(context)

    monkeypatch.setattr(DataSource, "load_training", read)
    run_sweep(parse_spec(SMALL), in_process(small_npz, timeout=1e-9, executor=send))
    assert len(readings) == 1


def test_a_second_sweep_of_the_same_name_gets_the_next_free_name(small_npz: Path) -> None:
    spec = parse_spec(SMALL, ["trials=1", "training.epochs=1"])
    names = [run_sweep(spec, in_process(small_npz)).sweep.name for _ in range(3)]
    assert names == ["small", "small-2", "small-3"]


def test_a_sampler_that_can_model_no_parameter_is_refused() -> None:
    with pytest.raises(SpecError, match=r"space\.dropout: sampler 'cmaes' models ranges"):
        run_sweep(parse_spec('name = "lists"\nsampler = "cmaes"\ntrials = 2\n[space]\ndropout = [0.0, 0.2]'))


def test_a_message_names_parameters_that_the_sampler_draws_at_random(small_npz: Path) -> None:
    messages: list[str] = []
    mixed = ["sampler='cmaes'", "pruner='none'", "trials=1", "training.epochs=1", "space.dropout=[0.0, 0.1]"]
    run_sweep(parse_spec(SMALL, mixed), replace(in_process(small_npz), on_message=messages.append))
    assert messages[0] == "sampler 'cmaes' draws dropout at random: it models ranges that every point has"


def test_without_any_data_the_embedded_sample_is_used_with_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "download_mnist", lambda folder: "no network")
    messages: list[str] = []
    spec = parse_spec(SMALL, ["trials=1", "training.epochs=1", "data.validation=0.1"])
    settings = {"on_message": messages.append, "executor": lambda context, workers: InProcessExecutor(context)}
    result = run_sweep(spec, LaunchOptions(**settings))
    assert any("EMBEDDED SAMPLE" in line and "no network" in line for line in messages)
    assert result.sweep.tags[Tag.DATASET] == "mnist-sample"
    assert result.sweep.tags[Tag.DATASET_ORIGIN] == "embedded sample"
    assert result.sweep.tags[Tag.DATASET_SIZE] == "4000"


def test_a_count_of_validation_images_that_the_data_does_not_have_is_refused_before_anything_is_recorded(
    small_npz: Path,
) -> None:
    with pytest.raises(DataError, match=r"data.validation: expected 10 to 990 of 1,000 images, received 6000"):
        run_sweep(parse_spec(SMALL, ["data.validation=6000"]), in_process(small_npz))
    assert MlflowClient(tracking_uri()).get_experiment_by_name("mnist-search") is None


@pytest.mark.parametrize(("settings", "message"), [({"workers": -1}, "workers: "), ({"timeout": 0.0}, "timeout: ")])
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        LaunchOptions(**settings)


def test_a_space_with_fewer_points_than_trials_ends_exhausted(small_npz: Path) -> None:
    spec = parse_spec(SMALL_GRID, ["engine=optuna", "sampler=random", "trials=9", "space.dropout=0.0"])
    result = run_sweep(spec, in_process(small_npz))
    assert result.ending is EndReason.EXHAUSTED
    assert result.sweep.state is SweepState.FINISHED
    assert sorted(run.params["hidden_size"] for run in result.runs) == ["16", "8"]


def test_a_sweep_can_be_stopped_by_its_caller(small_npz: Path) -> None:
    watcher = Watcher()
    result = run_sweep(parse_spec(SMALL_GRID), in_process(small_npz, watcher, stop=lambda: len(watcher.ended) == 1))
    assert result.ending is EndReason.INTERRUPTED
    assert result.exit_code == 0
    assert states(result)[TrialState.COMPLETE] == 1


def test_a_second_signal_ends_at_once_and_is_recorded_as_an_interruption(small_npz: Path) -> None:
    def twice() -> None:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)

    with pytest.raises(SystemExit) as end:
        run_sweep(parse_spec(SMALL_GRID), in_process(small_npz, Watcher(after=1, do=twice)))
    assert end.value.code == 143
    sweep, runs = stored_sweep("small-grid")
    assert sweep.state is SweepState.KILLED
    assert TrialState.RUNNING not in {run.state for run in runs}


def test_the_repr_of_a_result_is_one_line(finished_sweep: SweepResult) -> None:
    assert finished_sweep.best is not None
    accuracy = finished_sweep.best.value("val_accuracy")
    assert repr(finished_sweep) == f"<SweepResult 'small' done, 4 runs, best {finished_sweep.best.name} {accuracy:.4f}>"
