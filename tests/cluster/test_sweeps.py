"""Sweeps on Ray over several hosts that fail: every trial ends once, as MLflow shows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from mlflow.entities import Run

from tests.helpers.cluster_sweeps import TRIALS, runs, start
from tests.helpers.ray_cluster import RayCluster

pytestmark = pytest.mark.cluster


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


OWN_PARTS = """
import keras
import numpy as np


def softmax(units, input_shape=(28, 28)):
    model = keras.Sequential([
        keras.Input(input_shape), keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(units),
        keras.layers.Dense(10, activation="softmax"),
    ])
    model.compile("adam", loss="sparse_categorical_crossentropy")
    return model


def stripes():
    labels = np.arange(400) % 10
    images = np.zeros((400, 28, 28), np.uint8)
    images[np.arange(400), labels * 2] = 255
    return images[:300], labels[:300], images[300:], labels[300:]
"""
OWN_SWEEP = """
name = "own-parts"
sampler = "grid"
model = "own_parts:softmax"
data = "own_parts:stripes"
training = { epochs = 2 }
space = { units = [4, 8, 16, 32] }
"""


def test_custom_code_of_the_head_is_run_on_hosts_that_do_not_have_it(cluster: RayCluster, small_npz: Path) -> None:
    cluster.add("one", "two")
    (cluster.driver / "own_parts.py").write_text(OWN_PARTS)
    (cluster.driver / "own.toml").write_text(OWN_SWEEP)
    where = ("--executor", "ray", "--address", cluster.address)
    sweep = cluster.sweep("own.toml", *where, "--no-report")
    assert sweep.end() == 0, sweep.text
    assert [run.info.status for run in runs(cluster)] == ["FINISHED"] * 4
