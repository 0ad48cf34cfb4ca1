"""Nodes of a cluster that get no trials, the room on a node, and the addresses and files that a cluster is given."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from mnist_core.errors import SpecError, WorkerError
from search.execution import Execution
from search.executors.node_health import MAX_DEATHS_IN_A_ROW, NodeHealth, version_problem


def test_a_node_is_left_out_after_the_deaths_of_workers_of_different_trials() -> None:
    health = NodeHealth()
    assert [health.record_death("a", trial) for trial in range(MAX_DEATHS_IN_A_ROW)] == [False, False, True]


def test_a_trial_that_ends_its_worker_in_each_attempt_leaves_no_node_out() -> None:
    health = NodeHealth()
    assert not any(health.record_death("a", 7) for _ in range(10))


def test_a_result_forgives_the_deaths_before_it() -> None:
    health = NodeHealth()
    for trial in range(MAX_DEATHS_IN_A_ROW - 1):
        health.record_death("a", trial)
    health.record_result("a")
    assert not health.record_death("a", 9)


def test_a_node_is_left_out_once() -> None:
    health = NodeHealth()
    assert (health.leave_out("a"), health.leave_out("a")) == (True, False)
    assert health.is_left_out("a")
    assert not health.is_left_out("b")


def test_the_versions_of_a_node_are_those_of_the_driver_or_each_difference_is_named() -> None:
    here = {"python": "3.11.7", "tensorflow": "2.21.0", "keras": "3.15.1"}
    assert version_problem(here, here) == ""
    there = {"python": "3.11.7", "tensorflow": "2.20.0"}
    assert version_problem(there, here) == "tensorflow 2.20.0 there, 2.21.0 here; keras missing there, 3.15.1 here"


ray_cluster = pytest.importorskip("search.executors.ray_cluster", reason="needs the extra ray")


@pytest.mark.parametrize(
    ("cpus", "gpus", "cpus_per_trial", "gpus_per_trial", "trials"),
    [(4, 0, 1, 0, 4), (4, 0, 3, 0, 1), (4, 1, 1, 0.25, 4), (8, 1, 1, 0.2, 5), (4, 0, 1, 1, 0), (0.5, 0, 0.1, 0, 5)],
)
def test_the_room_on_a_node_is_counted_as_ray_counts(
    cpus: float, gpus: float, cpus_per_trial: float, gpus_per_trial: float, trials: int
) -> None:
    node = ray_cluster.Node("id", "host", "10.0.0.2", True, cpus, gpus)
    execution = Execution("ray", cpus_per_trial=cpus_per_trial, gpus_per_trial=gpus_per_trial)
    assert node.room(execution) == trials


@pytest.mark.parametrize("address", ["10.0.0.1", "ray://10.0.0.1:10001", "host:0", "host:99999", "a b:1"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(SpecError, match="expected host:port of the head of a Ray cluster"):
        ray_cluster.check_address(address)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "a..b:6379"])
def test_an_address_where_nothing_listens_is_one_line(address: str) -> None:
    with pytest.raises(WorkerError, match="no Ray cluster answers there"):
        ray_cluster.check_address(address)


def test_the_address_that_auto_stands_for_is_checked_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(WorkerError, match=r"address 127\.0\.0\.1:1"):
        ray_cluster.check_address("auto")


def test_the_code_of_the_user_is_sent_and_installed_packages_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_network.py").write_text("")
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    paths = ray_cluster.module_paths(["my_network", "my_package.deep.networks", "my_package", "numpy"])
    assert paths == [tmp_path / "my_network.py", tmp_path / "my_package"]


def start_ray(monkeypatch: pytest.MonkeyPatch, number: int) -> list[str]:
    """Start what stands for Ray, which gets a signal meanwhile, and return the steps that came to their ends."""
    steps: list[str] = []

    def init(**options: object) -> None:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))  # as Ray does
        signal.raise_signal(number)
        steps.append("started")

    monkeypatch.setattr(ray_cluster.ray, "init", init)
    monkeypatch.setattr(ray_cluster.ray, "shutdown", lambda: steps.append("ended"))
    handler = signal.getsignal(signal.SIGTERM)
    with suppress(KeyboardInterrupt):
        ray_cluster._start_here({})
    assert signal.getsignal(signal.SIGTERM) is handler
    return steps


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals cannot be held back here")
def test_an_interrupt_waits_until_ray_has_started_and_then_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert start_ray(monkeypatch, signal.SIGINT) == ["started", "ended"]


def test_a_termination_while_ray_starts_has_its_usual_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as end:
        start_ray(monkeypatch, signal.SIGTERM)
    assert end.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is handler


def test_ray_ends_while_no_thread_uses_it_and_a_signal_meanwhile_is_raised_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else Ray would end the process on the spot, before the sweep is closed."""
    reading = threading.Lock()
    steps: list[str] = []

    def read_nodes() -> list[object]:
        with reading:
            time.sleep(0.2)
        return []

    def shut_down() -> None:
        steps.append("nobody reads" if reading.acquire(blocking=False) else "somebody reads")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.2)
        steps.append("ended")

    def exit_at_once(number: int, frame: object) -> None:
        raise SystemExit(143)

    monkeypatch.setattr(ray_cluster, "WATCH_SECONDS", 1e-6)
    monkeypatch.setattr(ray_cluster, "read_nodes", read_nodes)
    monkeypatch.setattr(ray_cluster.ray, "shutdown", shut_down)
    cluster = ray_cluster.Cluster(owned=True)
    for _ in range(500):
        if reading.locked():
            break
        time.sleep(0.01)
    monkeypatch.setattr(ray_cluster, "WATCH_SECONDS", 5.0)
    handler = signal.signal(signal.SIGTERM, exit_at_once)
    try:
        with pytest.raises(SystemExit):
            cluster.close()
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert steps == ["nobody reads", "ended"]


@pytest.mark.parametrize("module", ["nowhere_at_all.networks", "math"])
def test_code_that_cannot_be_sent_is_one_line(module: str) -> None:
    with pytest.raises(SpecError, match=f"module {module}: .* sent to the cluster"):
        ray_cluster.module_paths([module])
