"""Several processes that resume one sweep: one drives it, and one that was replaced writes nothing more."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

from experiments import parse_spec, resume_sweep, run_sweep
from experiments.tracking import lease, queries, recorder, sweep_runs
from experiments.tracking.datasets import describe_data
from experiments.tracking.lease import HeldLease, claim, read_lease, set_once
from experiments.tracking.provenance import Driver
from experiments.tracking.recorder import SweepRecorder
from experiments.tracking.records import SweepState, Tag
from experiments.tracking.store import Store, open_store, tracking_uri
from experiments.tracking.trial_runs import TrialRuns
from mnist_core.data.sources import DataSource, Origin
from mnist_core.errors import SweepInUseError
from mnist_core.metrics import EpochMetrics
from search.sweep import EndReason
from search.trial import TrialResult, TrialState
from tests.helpers.sweep_texts import SMALL
from tests.helpers.sweeps import Watcher, in_process, stored_sweep

RECORDED = 30
WANTED = 2000
"""More than a driver trains before another one has read that it holds the sweep."""
PATIENCE_SECONDS = 120.0


def record_sweep(uri: str, name: str, data: Path, trials: int) -> str:
    """Record a finished sweep of that many trials without training; its run id."""
    store = open_store(uri, create=True)
    spec = parse_spec(SMALL, [f"name={name}", f"trials={trials}", "sampler=random", "pruner=none"])
    record = describe_data(DataSource(Origin.GIVEN, data), spec)
    begun = sweep_runs.begin_sweep(store, spec, name, record, workers=1)
    with SweepRecorder(TrialRuns(store, begun.run_id, name, record)) as recorder:
        for number in range(trials):
            trial = spec.trial(number, {"hidden_size": 8 + number % 24, "learning_rate": 0.001 + number / 10_000})
            recorder.trial_started(trial)
            recorder.trial_ended(trial, TrialResult(TrialState.PRUNED, (EpochMetrics(0.5, 1.0, 0.5, 1.0),)))
    sweep_runs.end_sweep(store, begun.run_id, EndReason.DONE, None)
    lease.release(store, begun)
    return begun.run_id


def start_resuming(uri: str, name: str, data: Path, folder: Path) -> subprocess.Popen[str]:
    options = ["--trials", str(WANTED), "--data", str(data), "--workers", "1", "--no-report"]
    return subprocess.Popen(
        [sys.executable, "-m", "experiments", "sweep", "--resume", name, *options],
        cwd=folder,
        env={**os.environ, "MLFLOW_TRACKING_URI": uri},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.server
@pytest.mark.parametrize("apart", [0.0, 0.8])
def test_of_two_processes_that_resume_one_sweep_of_a_server_one_drives_it(
    apart: float, server: str, small_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    name = f"apart-{apart}"
    run_id = record_sweep(server, name, small_npz, RECORDED)
    first = start_resuming(server, name, small_npz, tmp_path)
    time.sleep(apart)
    drivers = (first, start_resuming(server, name, small_npz, tmp_path))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while all(driver.poll() is None for driver in drivers):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    for driver in drivers:
        if driver.returncode is None:
            driver.terminate()
    messages = {driver: driver.communicate()[0] for driver in drivers}

    assert sorted(driver.returncode for driver in drivers) == [2, 143], messages
    refused, winner = sorted(drivers, key=lambda driver: driver.returncode)
    assert f"mnist-search: sweep {name}: process {winner.pid} on " in messages[refused]
    sweep, runs = stored_sweep(name)
    assert sweep.state is SweepState.KILLED
    numbers = [run.number for run in runs]
    assert numbers == list(range(len(numbers)))
    assert numbers[:RECORDED] == list(range(RECORDED))
    assert {run.attempt for run in runs} == {1}
    assert set(MlflowClient(server).get_run(run_id).data.params) >= {"lease_1", "lease_2"}


@pytest.fixture(params=["embedded", pytest.param("on a server", marks=pytest.mark.server)])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An embedded store, or one on a server."""
    if request.param == "embedded":
        request.getfixturevalue("store_at_hand")
        return open_store(tracking_uri(), create=True)
    return open_store(request.getfixturevalue("server"), create=True)


def test_a_parameter_that_many_threads_set_at_once_has_one_value_for_all(any_store: Store) -> None:
    run_id = any_store.client.create_run(any_store.experiment_id).info.run_id
    racers, keys = [f"racer {number}" for number in range(4)], [f"key_{number}" for number in range(8)]
    start = threading.Barrier(len(racers))

    def race(value: str) -> list[str]:
        told = []
        for key in keys:
            start.wait()
            told.append(set_once(any_store, run_id, key, value))
        return told

    with ThreadPoolExecutor(len(racers)) as pool:
        told = list(pool.map(race, racers))
    recorded = any_store.client.get_run(run_id).data.params
    assert told == [[recorded[key] for key in keys]] * len(racers)


def test_a_lease_is_held_although_the_reply_to_its_claim_was_lost(
    any_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.exceptions import MlflowException

    real = MlflowClient.log_param

    def losing(self: MlflowClient, *arguments: str) -> None:
        real(self, *arguments)
        raise MlflowException("the reply was lost")

    run_id = any_store.client.create_run(any_store.experiment_id).info.run_id
    monkeypatch.setattr(MlflowClient, "log_param", losing)
    assert claim(any_store, run_id, 1).holder == read_lease(any_store, run_id).holder


@pytest.fixture
def store(store_at_hand: None, small_npz: Path) -> Store:
    """An embedded store with a sweep ``small`` of one trial, which a driver on another machine holds."""
    result = run_sweep(parse_spec(SMALL, ["trials=1"]), in_process(small_npz))
    store = open_store(result.tracking_uri)
    set_holder(store, str(Driver("another-machine", 1, 1)))
    return store


def set_holder(store: Store, driver: str) -> None:
    """Have a driver claim the next generation of the lease on ``small``."""
    run_id = queries.find_sweep(store, "small").run_id
    store.client.log_param(run_id, f"lease_{read_lease(store, run_id).generation + 1}", f"{driver} token")


@pytest.fixture
def renewing(store: Store) -> Iterator[None]:
    """The other machine renews its lease meanwhile."""
    run_id, ended = queries.find_sweep(store, "small").run_id, threading.Event()

    def renew() -> None:
        count = 0
        while not ended.wait(0.1):
            count += 1
            store.client.set_tag(run_id, Tag.LEASE_RENEWED, str(count))

    thread = threading.Thread(target=renew)
    thread.start()
    yield
    ended.set()
    thread.join()


@pytest.mark.usefixtures("renewing")
def test_a_sweep_whose_lease_is_renewed_is_not_resumed(store: Store, small_npz: Path) -> None:
    messages: list[str] = []
    with pytest.raises(SweepInUseError, match=r"process 1 on another-machine is driving it; .* --take-over"):
        resume_sweep("small", in_process(small_npz, on_message=messages.append), settings=["trials=2"])
    assert messages == ["sweep small: waiting for the lease of process 1 on another-machine to expire, 60 s at most"]
    _, runs = stored_sweep("small")
    assert len(runs) == 1


@pytest.mark.usefixtures("renewing")
def test_take_over_resumes_a_sweep_at_once(store: Store, small_npz: Path) -> None:
    result = resume_sweep("small", in_process(small_npz), settings=["trials=2"], take_over=True)
    assert (result.ending, len(result.runs)) == (EndReason.DONE, 2)


def test_a_lease_that_is_not_renewed_expires(store: Store, small_npz: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "EXPIRY_SECONDS", 0.6)
    assert resume_sweep("small", in_process(small_npz), settings=["trials=2"]).ending is EndReason.DONE


def test_the_lease_of_a_driver_that_died_on_this_machine_is_free_at_once(
    store: Store, small_npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    dead = Driver(Driver.this().host, child.pid, int(psutil.Process(child.pid).create_time()))
    child.wait()
    set_holder(store, str(dead))
    messages: list[str] = []
    assert (
        resume_sweep("small", in_process(small_npz, on_message=messages.append), settings=["trials=2"]).ending
        is EndReason.DONE
    )
    assert not [line for line in messages if "waiting" in line]


def test_a_driver_renews_its_lease_and_releases_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.05)
    run_id = queries.find_sweep(store, "small").run_id
    with HeldLease(store, claim(store, run_id, 3)):
        seen = {read_lease(store, run_id)}
        while len(seen) < 3:
            seen.add(read_lease(store, run_id))
        assert not read_lease(store, run_id).released
    assert read_lease(store, run_id).released


def test_a_lease_is_not_given_back_while_a_write_of_its_holder_goes_on(
    store: Store, small_npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, answers = threading.Event(), threading.Event()

    def open_run(*_: object) -> None:
        begun.set()
        answers.wait(60)

    monkeypatch.setattr(recorder, "STOP_SECONDS", 0.1)
    monkeypatch.setattr(TrialRuns, "open", open_run)
    run_id, spec = queries.find_sweep(store, "small").run_id, parse_spec(SMALL)
    data = describe_data(DataSource(Origin.GIVEN, small_npz), spec)

    def write_until_interrupted(held: HeldLease) -> None:
        with SweepRecorder(TrialRuns(store, run_id, "small", data, held)) as writer:
            writer.trial_started(spec.trial(1, {"hidden_size": 8, "learning_rate": 0.001}))
            begun.wait(60)
            raise KeyboardInterrupt

    with HeldLease(store, claim(store, run_id, 3)) as held, pytest.raises(KeyboardInterrupt):
        write_until_interrupted(held)
    assert not read_lease(store, run_id).released
    answers.set()


@pytest.mark.usefixtures("store_at_hand")
def test_a_driver_that_was_replaced_stops_and_does_not_change_the_runs_of_the_other(small_npz: Path) -> None:
    def another_takes_it_over() -> None:
        store = open_store(tracking_uri())
        set_holder(store, str(Driver("another-machine", 7, 7)))
        sweep, _ = stored_sweep("small")
        tags = {"mlflow.parentRunId": sweep.run_id, Tag.KIND: "trial", Tag.TRIAL_NUMBER: "1", Tag.ATTEMPT: "1"}
        tags |= {Tag.STATE: "running", Tag.LEASE: "2", Tag.POINT: '{"hidden_size": 8, "learning_rate": 0.001}'}
        store.client.create_run(store.experiment_id, tags=tags, run_name="trial-001")

    watcher = Watcher(after=1, do=another_takes_it_over)
    with pytest.raises(SweepInUseError, match="sweep small: process 7 on another-machine took it over"):
        run_sweep(parse_spec(SMALL), in_process(small_npz, watcher))
    sweep, runs = stored_sweep("small")
    assert sweep.state is SweepState.RUNNING
    assert [(run.number, run.state, run.tags[Tag.LEASE]) for run in runs] == [
        (0, TrialState.COMPLETE, "1"),
        (1, TrialState.RUNNING, "2"),
    ]

    # Had it verified its lease a moment before it was replaced, it would still close only what is its own.
    store = open_store(tracking_uri())
    sweep_runs.close_orphans(store, runs, generation=1)
    assert stored_sweep("small")[1][1].state is TrialState.RUNNING
    sweep_runs.close_orphans(store, runs, generation=2)
    assert stored_sweep("small")[1][1].state is TrialState.KILLED


@pytest.mark.usefixtures("store_at_hand")
def test_a_trial_that_was_running_when_its_driver_was_replaced_is_not_recorded(small_npz: Path) -> None:
    class Replaced(Watcher):
        def epoch_ended(self, trial: object, epoch: int, metrics: EpochMetrics) -> None:
            set_holder(open_store(tracking_uri()), str(Driver("another-machine", epoch, 7)))

    with pytest.raises(SweepInUseError, match="another-machine took it over"):
        run_sweep(parse_spec(SMALL, ["trials=1", "training.epochs=1"]), in_process(small_npz, Replaced()))
    sweep, runs = stored_sweep("small")
    assert [run.state for run in runs] == [TrialState.RUNNING]
    assert sweep.state is SweepState.RUNNING

    # Whoever has the sweep now closes it and tries the trial again.
    resumed = resume_sweep("small", in_process(small_npz), take_over=True)
    assert [(run.attempt, run.state) for run in resumed.runs] == [(1, TrialState.KILLED), (2, TrialState.COMPLETE)]
