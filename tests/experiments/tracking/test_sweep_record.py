"""The record of a sweep in MLflow, read through MLflow's own client."""

from __future__ import annotations

import hashlib
import json
import socket
from itertools import pairwise
from pathlib import Path

import keras
import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Run

from experiments import SweepResult, parse_spec
from mnist_core.data.images import Split, split
from mnist_core.data.sources import DataSource, Origin
from search.trial import TrialState

CURVES = {"loss", "accuracy", "val_loss", "val_accuracy", "val_crossentropy"}
PARAMETERS = {
    "architecture",
    "hidden_layers",
    "hidden_size",
    "learning_rate",
    "dropout",
    "batch_normalization",
    "l2",
    "weight_decay",
    "max_norm",
    "label_smoothing",
    "batch_size",
    "epochs",
    "schedule",
    "warmup",
    "ema",
    "shift",
    "rotation",
    "zoom",
    "shear",
    "monitor",
    "patience",
    "min_delta",
    "seed",
}


@pytest.fixture(scope="module")
def client(finished_sweep: SweepResult) -> MlflowClient:
    return MlflowClient(finished_sweep.tracking_uri)


@pytest.fixture(scope="module")
def parent(client: MlflowClient, finished_sweep: SweepResult) -> Run:
    return client.get_run(finished_sweep.sweep.run_id)


@pytest.fixture(scope="module")
def children(client: MlflowClient, parent: Run) -> list[Run]:
    query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    return list(client.search_runs([parent.info.experiment_id], query))


def model_of(client: MlflowClient, run: Run) -> LoggedModel:
    (output,) = run.outputs.model_outputs
    return client.get_logged_model(output.model_id)


def test_the_parent_run_records_the_sweep_and_its_data(
    client: MlflowClient, parent: Run, small_npz: Path, tmp_path: Path
) -> None:
    digest = DataSource(Origin.GIVEN, small_npz).load_training().digest
    wanted = {
        "mlflow.runName": "small",
        "engine": "optuna",
        "sampler": "tpe",
        "pruner": "median",
        "objective": "val_accuracy",
        "seed": "1",
        "trials": "4",
        "dataset": "small",
        "dataset_digest": digest,
        "dataset_size": "1000",
        "dataset_origin": "given",
    }
    assert wanted.items() <= parent.data.tags.items()
    assert parent.data.tags["version.keras"] == keras.__version__
    assert parent.info.status == "FINISHED"
    text = Path(client.download_artifacts(parent.info.run_id, "sweep.toml", str(tmp_path))).read_text()
    assert parse_spec(text).name == "small"


def test_every_trial_has_a_child_run_with_the_same_flat_parameters(children: list[Run]) -> None:
    assert sorted(run.info.run_name for run in children) == [f"trial-{number:03d}" for number in range(4)]
    for run in children:
        assert set(run.data.params) == PARAMETERS
        assert 8 <= int(run.data.params["hidden_size"]) <= 32
        assert run.info.status == "FINISHED"


def test_every_trial_names_its_host_its_device_and_its_threads(children: list[Run]) -> None:
    for run in children:
        tags = run.data.tags
        assert tags["host"] == socket.gethostname()
        assert tags["device"]
        assert int(tags["threads"]) >= 1
        assert "version.keras" not in tags


def test_sweep_and_trials_name_the_data_as_mlflow_inputs(parent: Run, children: list[Run], small_npz: Path) -> None:
    for run in [parent, *children]:
        (given,) = run.inputs.dataset_inputs
        assert given.dataset.name == "small"
        assert run.data.tags["dataset_digest"].startswith(given.dataset.digest)
        assert json.loads(given.dataset.source)["uri"] == str(small_npz)
        assert [(tag.key, tag.value) for tag in given.tags] == [("mlflow.data.context", "training")]


def test_curves_have_a_point_for_each_epoch(client: MlflowClient, children: list[Run]) -> None:
    for run in children:
        epochs = int(run.data.metrics["epochs_run"])
        for name in CURVES:
            points = client.get_metric_history(run.info.run_id, name)
            assert sorted(point.step for point in points) == list(range(1, epochs + 1))


def test_metrics_of_the_best_epoch_are_logged_once_and_equal_its_point_on_the_curve(
    client: MlflowClient, children: list[Run]
) -> None:
    for run in children:
        curve = {p.step: p.value for p in client.get_metric_history(run.info.run_id, "val_accuracy")}
        losses = {p.step: p.value for p in client.get_metric_history(run.info.run_id, "val_loss")}
        best = int(run.data.metrics["best_epoch"])
        assert run.data.metrics["best_val_accuracy"] == max(curve.values()) == curve[best]
        assert run.data.metrics["best_val_loss"] == losses[best]
        entropies = {p.step: p.value for p in client.get_metric_history(run.info.run_id, "val_crossentropy")}
        assert run.data.metrics["best_val_crossentropy"] == entropies[best]
        assert len(client.get_metric_history(run.info.run_id, "best_val_accuracy")) == 1


def test_the_saved_model_has_the_metrics_of_its_run(
    client: MlflowClient, children: list[Run], small_npz: Path, tmp_path: Path
) -> None:
    held_out = split(DataSource(Origin.GIVEN, small_npz).load_training(), 200, seed=0).validation
    for run in children:
        model = load(client, run, tmp_path / run.info.run_name)
        loss, accuracy = model.evaluate(held_out.images, held_out.labels, verbose=0)
        # Accuracy is a count; the loss is summed in another order.
        assert accuracy == pytest.approx(run.data.metrics["best_val_accuracy"], abs=1e-6)
        assert loss == pytest.approx(run.data.metrics["best_val_loss"], rel=1e-4)
        assert model.count_params() == run.data.metrics["weights"]


def load(client: MlflowClient, run: Run, folder: Path) -> keras.Model:
    folder.mkdir()
    path = Path(mlflow.artifacts.download_artifacts(model_of(client, run).artifact_location, dst_path=str(folder)))
    return keras.saving.load_model(next(path.rglob("model.keras")), safe_mode=True)


def test_models_are_ready_and_have_a_signature_and_their_digest(
    client: MlflowClient, children: list[Run], tmp_path: Path
) -> None:
    for run in children:
        model = model_of(client, run)
        assert model.status.value == "READY"
        assert model.source_run_id == run.info.run_id
        assert model.params == run.data.params
        (tmp_path / model.name).mkdir()
        path = Path(mlflow.artifacts.download_artifacts(model.artifact_location, dst_path=str(tmp_path / model.name)))
        file = next(path.rglob("model.keras"))
        assert hashlib.sha256(file.read_bytes()).hexdigest() == run.data.tags["model_sha256"]
        assert model.tags["model_sha256"] == run.data.tags["model_sha256"]
        metrics = {metric.key: metric.value for metric in model.metrics}
        assert metrics["best_val_accuracy"] == run.data.metrics["best_val_accuracy"]
        requirements = (file.parent.parent / "requirements.txt").read_text().split()
        assert f"keras=={keras.__version__}" in requirements


def test_mlflow_loads_a_model_by_its_id_and_it_takes_raw_pixels(
    client: MlflowClient, finished_sweep: SweepResult, small_split: Split
) -> None:
    assert finished_sweep.best is not None
    mlflow.set_tracking_uri(finished_sweep.tracking_uri)
    try:
        model = mlflow.pyfunc.load_model(f"models:/{finished_sweep.best.model_id}")
    finally:
        mlflow.set_tracking_uri(None)
    probabilities = model.predict(small_split.validation.images[:5])
    assert probabilities.shape == (5, 10)
    # Softmax in single precision.
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_the_parent_names_the_best_run(parent: Run, children: list[Run], finished_sweep: SweepResult) -> None:
    complete = [run for run in children if run.data.tags["state"] == "complete"]
    first = min(
        complete, key=lambda run: (-run.data.metrics["best_val_accuracy"], run.data.metrics["best_val_crossentropy"])
    )
    winner = first.info.run_id
    assert parent.data.tags["best_run_id"] == winner
    assert finished_sweep.best is not None
    assert finished_sweep.best.run_id == winner


def test_the_result_is_a_table_with_the_best_on_top(finished_sweep: SweepResult) -> None:
    table = finished_sweep.trials
    assert len(table) == 4
    assert {"name", "state", "hidden_size", "learning_rate", "best_val_accuracy", "run_id", "model_id"} <= set(table)
    assert finished_sweep.best is not None
    assert table.iloc[0]["run_id"] == finished_sweep.best.run_id
    complete = table[table["state"] == TrialState.COMPLETE.value]["best_val_accuracy"]
    assert all(earlier >= later for earlier, later in pairwise(complete))
    assert table["hidden_size"].dtype.kind == "i"
    assert table["learning_rate"].dtype.kind == "f"
