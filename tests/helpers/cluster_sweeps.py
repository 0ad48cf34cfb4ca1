"""A sweep on the hosts of a cluster, and its runs in MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from tests.helpers.ray_cluster import Program, RayCluster

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


def start(cluster: RayCluster, data: Path, *words: str, address: str = "", **environment: Any) -> Program:
    """Start a sweep on the head's host: ``words``, or the sweep file ``sweep.toml``, which holds ``SWEEP``."""
    (cluster.driver / "sweep.toml").write_text(SWEEP, encoding="utf-8")
    where = ("--executor", "ray", "--address", address or cluster.address)
    return cluster.sweep(*(words or ("sweep.toml",)), *where, "--data", str(data), "--no-report", **environment)


def runs(cluster: RayCluster) -> list[Run]:
    """All attempts at trials, from MLflow directly."""
    client = MlflowClient(f"sqlite:///{cluster.driver}/mlruns/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(experiments, "tags.kind = 'trial'"))
