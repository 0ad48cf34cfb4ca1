"""Whole sweeps through the one call, in this process: endings, resuming, broken disks, other stores."""

from __future__ import annotations

import errno
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType
from small_sweeps import SMALL, SMALL_GRID

from experiments import Launch, SweepResult, history, launch, parse_spec, resume_sweep, run_sweep
from experiments.provenance import Driver
from experiments.records import RunRecord, SweepState, Tag
from experiments.store import open_store, tracking_uri
from mnist_core.errors import DataError, NotFoundError, SpecError, StoreError, SweepInUseError
from mnist_core.metrics import EpochMetrics
from search.executor import InProcessExecutor
from search.spec import SweepSpec
from search.sweep import Ending, History
from search.trial import SavedModel, Trial, TrialResult, TrialState

pytestmark = pytest.mark.usefixtures("store_at_hand")


class Watcher:
    """An observer that keeps what it was shown, and does something when a given trial ends."""

    def __init__(self, after: int = -1, do: Any = None) -> None:
        self.after, self.do = after, do
        self.ended: list[tuple[Trial, TrialResult]] = []

    def sweep_started(self, spec: SweepSpec, history: History) -> None:
        self.spec = spec

    def trial_started(self, trial: Trial) -> None:
        pass

    def epoch_ended(self, trial: Trial, epoch: int, metrics: EpochMetrics) -> None:
        pass

    def trial_lost(self, trial: Trial, cause: str) -> None:
        pass

    def trial_ended(self, trial: Trial, result: TrialResult) -> None:
        self.ended.append((trial, result))
        if len(self.ended) == self.after:
            self.do()


def here(data: Path, *observers: Watcher, **settings: Any) -> Launch:
    """Trials one after the other in this process, nothing printed, no report drawn."""
    quiet: dict[str, Any] = {"say": lambda line: None, "executor": lambda context, workers: InProcessExecutor(context)}
    return Launch(data=data, observers=observers, **(quiet | {"report": False} | settings))


def points(runs: Sequence[RunRecord]) -> Counter[tuple[str, str]]:
    return Counter((run.params["hidden_size"], run.params["dropout"]) for run in runs if run.state.is_finished)


EVERY_GRID_POINT_ONCE = Counter((size, dropout) for size in ("8", "16") for dropout in ("0.0", "0.25", "0.5"))


def states(result: SweepResult) -> Counter[TrialState]:
    return Counter(run.state for run in result.runs)


def stored_sweep(name: str) -> tuple[Any, list[RunRecord]]:
    store = open_store(tracking_uri())
    sweep = history.find_sweep(store, name)
    return sweep, history.read_runs(store, sweep)


def test_a_grid_trains_every_point_once_and_shares_its_parameters_with_bayesian_sweeps(
    small_npz: Path, swept: SweepResult
) -> None:
    result = run_sweep(parse_spec(SMALL_GRID), here(small_npz))
    assert result.ending is Ending.DONE
    assert points(result.runs) == EVERY_GRID_POINT_ONCE
    assert result.best is not None
    assert result.best.params.keys() == swept.runs[0].params.keys()


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_sweep_cleanly_and_resuming_runs_exactly_what_is_missing(
    small_npz: Path, number: signal.Signals, exit_code: int
) -> None:
    watcher = Watcher(after=2, do=lambda: signal.raise_signal(number))
    interrupted = run_sweep(parse_spec(SMALL_GRID), here(small_npz, watcher))
    assert interrupted.ending is Ending.INTERRUPTED
    assert interrupted.exit_code == exit_code
    assert interrupted.sweep.state is SweepState.KILLED
    assert states(interrupted)[TrialState.COMPLETE] == 2
    assert states(interrupted)[TrialState.RUNNING] == 0

    resumed = resume_sweep("small-grid", here(small_npz))
    assert resumed.ending is Ending.DONE
    assert resumed.sweep.run_id == interrupted.sweep.run_id
    assert resumed.sweep.state is SweepState.FINISHED
    assert points(resumed.runs) == EVERY_GRID_POINT_ONCE
    kept = {run.run_id for run in interrupted.runs if run.state.is_finished}
    assert kept < {run.run_id for run in resumed.runs}


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

    resumed = resume_sweep("small-grid", here(small_npz))
    assert resumed.ending is Ending.DONE
    assert points(resumed.runs) == EVERY_GRID_POINT_ONCE
    assert done <= {run.run_id for run in resumed.runs if run.state.is_finished}
    orphans = {run.run_id for run in left if run.state is TrialState.RUNNING}
    assert {run.state for run in resumed.runs if run.run_id in orphans} <= {TrialState.KILLED}


def test_resuming_a_bayesian_sweep_can_add_trials_and_learns_from_the_old_ones(small_npz: Path) -> None:
    first = run_sweep(parse_spec(SMALL), here(small_npz))
    watcher = Watcher()
    more = resume_sweep("small", here(small_npz, watcher), overrides=["trials=6"])
    assert [trial.number for trial, _ in watcher.ended] == [4, 5]
    assert len(more.runs) == 6
    assert {run.run_id for run in first.runs} < {run.run_id for run in more.runs}
    sizes = [run.params["learning_rate"] for run in more.runs]
    assert len(set(sizes)) == 6


def test_a_timeout_starts_no_more_trials_and_what_is_missing_can_be_run_later(small_npz: Path) -> None:
    result = run_sweep(parse_spec(SMALL_GRID), here(small_npz, timeout=1e-9))
    assert result.ending is Ending.TIMED_OUT
    assert len(result.runs) == 0
    assert result.best is None
    assert points(resume_sweep("small-grid", here(small_npz)).runs) == EVERY_GRID_POINT_ONCE


def test_a_second_sweep_of_the_same_name_gets_a_name_of_its_own(small_npz: Path) -> None:
    spec = parse_spec(SMALL, ["trials=1", "training.epochs=1"])
    names = [run_sweep(spec, here(small_npz)).sweep.name for _ in range(3)]
    assert names == ["small", "small-2", "small-3"]


def test_resuming_on_other_data_is_refused_with_both_digests_and_changes_nothing(
    small_npz: Path, other_npz: Path
) -> None:
    run_sweep(parse_spec(SMALL, ["trials=1"]), here(small_npz))
    before = stored_sweep("small")
    with pytest.raises(
        DataError, match=r"not the data of this sweep: expected digest [0-9a-f]{64}, received [0-9a-f]{64}"
    ):
        resume_sweep("small", here(other_npz), overrides=["trials=2"])
    assert stored_sweep("small") == before


def test_resuming_cannot_change_what_trials_are_compared_by(small_npz: Path) -> None:
    run_sweep(parse_spec(SMALL, ["trials=1"]), here(small_npz))
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
        with pytest.raises(SpecError, match=rf"{changed}: cannot be changed by resuming"):
            resume_sweep("small", here(small_npz), overrides=[override, *extra])


def test_resuming_cannot_ask_for_fewer_trials_than_are_done(small_npz: Path) -> None:
    run_sweep(parse_spec(SMALL, ["trials=2"]), here(small_npz))
    with pytest.raises(SpecError, match="trials: expected 2 or more, which are done, received 1"):
        resume_sweep("small", here(small_npz), overrides=["trials=1"])


def test_an_unknown_sweep_is_named_with_the_nearest_known_one(small_npz: Path) -> None:
    run_sweep(parse_spec(SMALL, ["trials=1"]), here(small_npz))
    with pytest.raises(NotFoundError, match=r"no sweep 'smal' .*did you mean 'small'"):
        resume_sweep("smal", here(small_npz))


def test_a_sweep_that_a_living_process_drives_is_left_alone(small_npz: Path) -> None:
    result = run_sweep(parse_spec(SMALL, ["trials=1"]), here(small_npz))
    client, run_id = MlflowClient(tracking_uri()), result.sweep.run_id
    client.update_run(run_id, status="RUNNING")
    with pytest.raises(SweepInUseError, match="is driving it; end that first"):
        resume_sweep("small", here(small_npz))
    client.set_tag(run_id, Tag.DRIVER, str(Driver("another-machine", 1, 1)))
    with pytest.raises(SweepInUseError, match=r"on another-machine may still be driving it.*--take-over"):
        resume_sweep("small", here(small_npz))
    assert resume_sweep("small", here(small_npz), take_over=True).ending is Ending.DONE


def full_disk(model: Any, folder: Path) -> SavedModel:
    if int(folder.name.partition("-")[0]) == 1:
        folder.mkdir()
        (folder / "half").write_text("of a model")
        raise OSError(errno.ENOSPC, "No space left on device")
    from experiments.model_files import save_model

    return save_model(model, folder)


def test_a_disk_that_is_full_while_a_worker_saves_fails_that_trial_and_the_sweep_goes_on(small_npz: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "save_model", full_disk)
        result = run_sweep(parse_spec(SMALL_GRID), here(small_npz))
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
    resumed = resume_sweep("small-grid", here(small_npz, watcher))
    assert [(trial.number, trial.attempt) for trial, _ in watcher.ended] == [(1, 2)]
    assert resumed.ranked[-1].state is TrialState.COMPLETE
    assert len(resumed.ranked) == 6


def test_a_model_that_cannot_be_stored_fails_its_trial_and_is_never_ready(
    small_npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = MlflowClient.log_model_artifacts
    calls = []

    def failing_once(self: MlflowClient, model_id: str, local_dir: str) -> None:
        calls.append(model_id)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, model_id, local_dir)

    monkeypatch.setattr(MlflowClient, "log_model_artifacts", failing_once)
    watcher = Watcher()
    result = run_sweep(parse_spec(SMALL_GRID), here(small_npz, watcher))
    assert states(result) == {TrialState.COMPLETE: 5, TrialState.FAILED: 1}
    (failed,) = (run for run in result.runs if run.state is TrialState.FAILED)
    assert failed.value("val_accuracy") is None
    assert MlflowClient(tracking_uri()).get_logged_model(calls[1]).status.value == "FAILED"
    assert [shown.state for _, shown in watcher.ended].count(TrialState.FAILED) == 1


def test_a_store_that_breaks_ends_the_sweep_with_one_error_and_loses_nothing_recorded(
    small_npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Watcher(after=2, do=lambda: patch.setattr(MlflowClient, "create_run", failing))
    failing = raising(OSError(errno.EIO, "Input/output error"))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(StoreError, match="Input/output error"):
        run_sweep(parse_spec(SMALL_GRID), here(small_npz, broken))
    sweep, runs = stored_sweep("small-grid")
    assert sweep.state is SweepState.FAILED
    assert [run.state for run in runs] == [TrialState.COMPLETE] * 2
    assert points(resume_sweep("small-grid", here(small_npz)).runs) == EVERY_GRID_POINT_ONCE


def raising(error: Exception) -> Any:
    def method(*arguments: Any, **settings: Any) -> Any:
        raise error

    return method


def test_without_any_data_the_embedded_sample_is_used_and_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "download_mnist", lambda folder: "no network")
    said: list[str] = []
    spec = parse_spec(SMALL, ["trials=1", "training.epochs=1", "data.validation=0.1"])
    settings = {"say": said.append, "executor": lambda context, workers: InProcessExecutor(context)}
    result = run_sweep(spec, Launch(**settings))
    assert any("EMBEDDED SAMPLE" in line and "no network" in line for line in said)
    assert result.sweep.tags[Tag.DATASET] == "mnist-sample"
    assert result.sweep.tags[Tag.DATASET_ORIGIN] == "embedded sample"
    assert result.sweep.tags[Tag.DATASET_SIZE] == "4000"


def test_a_count_of_validation_images_that_the_data_does_not_have_is_refused_before_anything_is_recorded(
    small_npz: Path,
) -> None:
    with pytest.raises(DataError, match=r"data.validation: expected 10 to 990 of 1,000 images, received 6000"):
        run_sweep(parse_spec(SMALL, ["data.validation=6000"]), here(small_npz))
    assert MlflowClient(tracking_uri()).get_experiment_by_name("mnist-search") is None


@pytest.mark.parametrize(("settings", "message"), [({"workers": -1}, "workers: "), ({"timeout": 0.0}, "timeout: ")])
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Launch(**settings)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real tracking server on this machine."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    stores = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files")]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, *stores], cwd=folder, stdout=log, stderr=log)
    uri = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{uri}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.25)
        yield uri
    finally:
        process.terminate()
        process.wait()


def test_a_tracking_server_is_as_good_as_the_embedded_store(
    small_npz: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    watcher = Watcher(after=2, do=lambda: signal.raise_signal(signal.SIGINT))
    assert run_sweep(parse_spec(SMALL_GRID), here(small_npz, watcher)).ending is Ending.INTERRUPTED
    result = resume_sweep("small-grid", here(small_npz))
    assert points(result.runs) == EVERY_GRID_POINT_ONCE
    assert result.best is not None
    client = MlflowClient(server)
    experiments = {experiment.name for experiment in client.search_experiments(view_type=ViewType.ALL)}
    assert "mnist-search" in experiments
    assert result.best.model_id is not None
    assert client.get_logged_model(result.best.model_id).status.value == "READY"


def test_a_space_with_fewer_points_than_trials_ends_exhausted(small_npz: Path) -> None:
    spec = parse_spec(SMALL_GRID, ["engine=optuna", "sampler=random", "trials=9", "space.dropout=0.0"])
    result = run_sweep(spec, here(small_npz))
    assert result.ending is Ending.EXHAUSTED
    assert result.sweep.state is SweepState.FINISHED
    assert sorted(run.params["hidden_size"] for run in result.runs) == ["16", "8"]


def test_a_sweep_can_be_stopped_by_its_caller(small_npz: Path) -> None:
    watcher = Watcher()
    result = run_sweep(parse_spec(SMALL_GRID), here(small_npz, watcher, stop=lambda: len(watcher.ended) == 1))
    assert result.ending is Ending.INTERRUPTED
    assert result.exit_code == 0
    assert states(result)[TrialState.COMPLETE] == 1


def test_a_second_signal_ends_at_once_and_is_recorded_as_an_interruption(small_npz: Path) -> None:
    def twice() -> None:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)

    with pytest.raises(SystemExit) as end:
        run_sweep(parse_spec(SMALL_GRID), here(small_npz, Watcher(after=1, do=twice)))
    assert end.value.code == 143
    sweep, runs = stored_sweep("small-grid")
    assert sweep.state is SweepState.KILLED
    assert TrialState.RUNNING not in {run.state for run in runs}


def test_of_two_processes_that_resume_at_once_one_goes_on(small_npz: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_sweep(parse_spec(SMALL, ["trials=1"]), here(small_npz))
    client = MlflowClient(tracking_uri())

    def another_comes(seconds: float) -> None:
        sweep, _ = stored_sweep("small")
        client.set_tag(sweep.run_id, Tag.DRIVER, str(Driver("another-machine", 1, 1)))

    monkeypatch.setattr("experiments.tracking.time.sleep", another_comes)
    with pytest.raises(SweepInUseError, match="another-machine 1 1 took it over"):
        resume_sweep("small", here(small_npz), overrides=["trials=2"])


def test_a_driver_that_is_dead_but_not_buried_does_not_stand_in_the_way() -> None:
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


def test_a_result_says_in_one_line_what_it_is(swept: SweepResult) -> None:
    assert swept.best is not None
    accuracy = swept.best.value("val_accuracy")
    assert repr(swept) == f"<SweepResult 'small' done, 4 runs, best {swept.best.name} {accuracy:.4f}>"
