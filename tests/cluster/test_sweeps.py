"""Sweeps on Ray over several hosts that fail: every trial ends once, as MLflow shows."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.helpers.ray_cluster import Program, RayCluster

pytestmark = pytest.mark.cluster

TRIALS = 10
# Each takes some seconds, as many as its epochs need.
SWEEP = f"""
name = "three-hosts"
sampler = "random"
trials = {TRIALS}
seed = 1
[data]
validation = 200
[training]
epochs = 150
batch_size = 16
[training.early_stopping]
patience = 150
[space]
hidden_size = {{ low = 8, high = 32, log = true }}
learning_rate = {{ low = 1e-4, high = 1e-3, log = true }}
"""


@pytest.fixture
def cluster(tmp_path: Path, small_npz: Path) -> Iterator[RayCluster]:
    with RayCluster(tmp_path, readable=[small_npz]) as made:
        yield made


def start(cluster: RayCluster, data: Path, *words: str, **environment: Any) -> Program:
    (cluster.driver / "sweep.toml").write_text(SWEEP, encoding="utf-8")
    where = ("--executor", "ray", "--address", cluster.address)
    return cluster.sweep(*(words or ("sweep.toml",)), *where, "--data", str(data), "--no-report", **environment)


def runs(cluster: RayCluster) -> list[Run]:
    """All attempts at trials, from MLflow directly."""
    client = MlflowClient(f"sqlite:///{cluster.driver}/mlruns/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(experiments, "tags.kind = 'trial'"))


def number(run: Run) -> int:
    return int(run.data.tags["trial_number"])


def check_each_trial_ended_once(cluster: RayCluster) -> list[Run]:
    """Check that each trial has one finished run, with its model, and that all other runs are killed ones."""
    recorded = runs(cluster)
    finished = [run for run in recorded if run.info.status == "FINISHED"]
    assert Counter(map(number, finished)) == dict.fromkeys(range(TRIALS), 1)
    assert {run.info.status for run in recorded if run not in finished} <= {"KILLED"}
    assert all("model_sha256" in run.data.tags for run in finished)
    return finished


def host(run: Run) -> str:
    return run.data.tags["host"]


def killed(cluster: RayCluster) -> list[Run]:
    return [run for run in runs(cluster) if run.info.status == "KILLED"]


def test_a_sweep_on_three_hosts_loses_one_and_ends_with_each_trial_once(cluster: RayCluster, small_npz: Path) -> None:
    lost, *_ = cluster.add("one", "two", "three")
    sweep = start(cluster, small_npz)
    sweep.wait_for("[3/10]")
    lost.kill()
    assert sweep.end() == 0, sweep.text
    finished = check_each_trial_ended_once(cluster)
    assert {host(run) for run in finished} == {"one", "two", "three"}
    (attempt,) = killed(cluster)
    (retried,) = [run for run in finished if number(run) == number(attempt)]
    assert host(retried) in {"two", "three"}
    assert retried.data.tags["attempt"] == "2"


def test_trials_of_a_host_that_is_cut_off_run_elsewhere(cluster: RayCluster, small_npz: Path) -> None:
    lost, _ = cluster.add("one", "two")
    sweep = start(cluster, small_npz)
    sweep.wait_for("[3/10]")
    lost.cut()
    sweep.wait_for(" lost: ", 30)
    # The trial goes on there, and its result may still arrive.
    lost.restore()
    assert sweep.end() == 0, sweep.text
    finished = check_each_trial_ended_once(cluster)
    (attempt,) = killed(cluster)
    assert [host(run) for run in finished if number(run) == number(attempt)] == ["two"]
    cluster.end_ray(lost)
    cluster.join(lost)


def test_a_host_that_joins_during_a_sweep_is_used(cluster: RayCluster, small_npz: Path) -> None:
    cluster.add("one")
    sweep = start(cluster, small_npz)
    sweep.wait_for("[1/10]")
    cluster.add("two")
    assert sweep.end() == 0, sweep.text
    assert {host(run) for run in check_each_trial_ended_once(cluster)} == {"one", "two"}


def test_a_sweep_whose_head_was_lost_is_completed_by_another(cluster: RayCluster, small_npz: Path) -> None:
    cluster.add("one")
    sweep = start(cluster, small_npz)
    sweep.wait_for("[3/10]")
    cluster.kill_head()
    assert sweep.end(90) == 2, sweep.text
    assert "resume the sweep" in sweep.text.splitlines()[-1]
    assert "Traceback" not in sweep.text
    cluster.end_ray(cluster.head)
    cluster.start_head()
    cluster.add("two")
    resumed = start(cluster, small_npz, "--resume", "three-hosts")
    assert resumed.end() == 0, resumed.text
    assert {host(run) for run in check_each_trial_ended_once(cluster)} == {"one", "two"}


def test_a_node_with_another_version_of_the_project_is_left_out(
    cluster: RayCluster, small_npz: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other" / "mnist_search-0.0.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: mnist-search\nVersion: 0.0.1\n")
    cluster.add("old", environment={"PYTHONPATH": str(other.parent)}, readable=[other.parent])
    cluster.add("new")
    sweep = start(cluster, small_npz, "sweep.toml", "--trials", "4")
    assert sweep.end() == 0, sweep.text
    assert {host(run) for run in runs(cluster)} == {"new"}
    (line,) = [line for line in sweep.text.splitlines() if line.startswith("old is left out: ")]
    assert "mnist-search 0.0.1 there" in line


def test_a_missing_or_wrong_token_is_one_line(cluster: RayCluster, small_npz: Path) -> None:
    (cluster.driver / "wrong").write_text("a" * 64)
    settings: list[tuple[dict[str, str], list[str]]] = [
        ({}, ["RAY_AUTH_MODE"]),
        ({"RAY_AUTH_TOKEN_PATH": "nowhere"}, []),
        ({"RAY_AUTH_TOKEN_PATH": "wrong"}, []),
    ]
    for environment, without in settings:
        begun = time.monotonic()
        sweep = start(cluster, small_npz, environment=environment, without=without)
        assert sweep.end(60) == 2, sweep.text
        assert time.monotonic() - begun < 20
        (line,) = [line for line in sweep.text.splitlines() if "token" in line or "Traceback" in line]
        assert "ray get-auth-token" in line
