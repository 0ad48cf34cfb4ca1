"""A store with a sweep of many trials that never ran, to measure how long it takes to read.

    python benchmarks/synthetic_store.py FOLDER --trials 10000

The rows are written into MLflow's SQLite file directly, as the recorder would leave them.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from experiments.tracking.lease import FIRST_GENERATION, claim, release
from experiments.tracking.records import RunKind, Tag
from experiments.tracking.store import open_store
from search.spec_file import parse_spec, to_toml

SWEEP = "synthetic"
SPEC = """
name = "{name}"
trials = {trials}
sampler = "tpe"
pruner = "hyperband"
[training]
epochs = {epochs}
[space]
hidden_size = {{ low = 8, high = 512, log = true }}
learning_rate = {{ low = 1e-4, high = 1e-2, log = true }}
dropout = {{ low = 0.0, high = 0.5 }}
"""
# Of the whole of MNIST, wherever it lies; commands that read images need the tags of a data set that is there.
MNIST_TAGS = {
    Tag.DATASET: "mnist", Tag.DATASET_DIGEST: "0" * 64, Tag.DATASET_SIZE: "60000", Tag.VALIDATION: "10000",
    Tag.DATASET_ORIGIN: "named", Tag.DATASET_LOCATION: "mnist.npz", Tag.SPLIT_SEED: "0",
}  # fmt: skip
CURVES = ("loss", "accuracy", "val_loss", "val_accuracy", "val_crossentropy")
STATES, SHARES = ("complete", "pruned", "failed", "killed"), (0.6, 0.36, 0.02, 0.02)
STATUS = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED", "killed": "KILLED"}


def insert(database: sqlite3.Connection, table: str, rows: list[dict[str, object]]) -> None:
    """Insert rows of equal columns."""
    names = ", ".join(rows[0])
    marks = ", ".join("?" for _ in rows[0])
    database.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", [tuple(row.values()) for row in rows])


def fill(folder: Path, trials: int, epochs: int, sweep: str = SWEEP, data: Mapping[str, str] = MNIST_TAGS) -> None:
    """Write a sweep of so many trials of up to so many epochs into a store.

    Args:
        folder: of the store, which is made where it is missing.
        trials: of the sweep.
        epochs: of a trial that is not pruned.
        sweep: its name.
        data: tags of its data set.
    """
    folder.mkdir(parents=True, exist_ok=True)
    store = open_store(f"sqlite:///{folder.absolute()}/mlflow.db", create=True)
    spec = parse_spec(SPEC.format(name=sweep, trials=trials, epochs=epochs))
    rng, start = random.Random(0), int(time.time() * 1000)
    tables: dict[str, list[dict[str, object]]] = {
        name: []
        for name in ("runs", "tags", "params", "metrics", "latest_metrics", "logged_models", "logged_model_tags")
    }

    def run(name: str, status: str, began: int, tags: dict[str, str]) -> str:
        id = uuid4().hex
        tables["runs"].append(
            {"run_uuid": id, "name": name, "source_type": "UNKNOWN", "source_name": "", "entry_point_name": "",
             "user_id": "benchmark", "status": status, "start_time": began, "end_time": began + 9000,
             "source_version": "", "lifecycle_stage": "active", "experiment_id": int(store.experiment_id),
             "artifact_uri": f"{folder.absolute().as_uri()}/artifacts/{id}/artifacts"}
        )  # fmt: skip
        for key, value in {"mlflow.runName": name, **tags}.items():
            tables["tags"].append({"key": key, "value": value, "run_uuid": id})
        return id

    def metric(id: str, name: str, value: float, step: int, moment: int) -> None:
        row: dict[str, object] = {
            "key": name, "value": value, "timestamp": moment, "run_uuid": id, "step": step, "is_nan": False
        }  # fmt: skip
        tables["metrics"].append(row)
        if step in (0, epochs):
            tables["latest_metrics"].append(row)

    parent = run(
        sweep, "FINISHED", start,
        {Tag.KIND: RunKind.SWEEP, Tag.SWEEP: sweep, Tag.SPEC: to_toml(spec), Tag.OBJECTIVE: spec.objective,
         Tag.ENGINE: "optuna", Tag.SAMPLER: "tpe", Tag.PRUNER: spec.pruner, Tag.WORKERS: "100",
         Tag.TARGET: str(trials), **data},
    )  # fmt: skip
    for number in range(trials):
        state = rng.choices(STATES, SHARES)[0]
        began = start + 100 * number
        point = {
            "hidden_size": int(2 ** rng.uniform(3, 9)),
            "learning_rate": 10 ** rng.uniform(-4, -2),
            "dropout": rng.uniform(0, 0.5),
        }
        tags = {
            "mlflow.parentRunId": parent, Tag.KIND: RunKind.TRIAL, Tag.SWEEP: sweep,
            Tag.TRIAL_UID: f"{parent}/{number}/1", Tag.TRIAL_NUMBER: str(number), Tag.ATTEMPT: "1",
            Tag.POINT: json.dumps(point), Tag.STATE: state, **data,
        }  # fmt: skip
        if state in ("complete", "pruned"):
            tags |= {Tag.MODEL_ID: f"m-{uuid4().hex}", Tag.STOP_REASON: "pruned" if state == "pruned" else "last epoch"}
        id = run(f"trial-{number:03d}", STATUS[state], began, tags)
        for key, value in {**point, "batch_size": 128, "epochs": epochs, "seed": 0}.items():
            tables["params"].append({"key": key, "value": str(value), "run_uuid": id})
        length = epochs if state == "complete" else rng.randint(1, epochs - 1)
        top = 0.9 + 0.08 * rng.random()
        for step in range(1, length + 1):
            for name in CURVES:
                value = top - 0.1 / step if "accuracy" in name else 1 - top + 0.3 / step
                metric(id, name, round(value, 4), step, began + 100 * step)
        if Tag.MODEL_ID in tags:
            at = {"best_epoch": length, "best_val_accuracy": round(top - 0.1 / length, 4), "seconds": 9.0,
                  "best_val_loss": round(1 - top + 0.3 / length, 4), "weights": 795 * point["hidden_size"],
                  "best_val_crossentropy": round(1 - top + 0.3 / length, 4), "epochs_run": length,
                  "training_seconds": 8.0, "saving_seconds": 0.5}  # fmt: skip
            for name, value in at.items():
                metric(id, name, float(value), 0, began + 9000)
            model = tags[Tag.MODEL_ID]
            tables["logged_models"].append(
                {"model_id": model, "experiment_id": int(store.experiment_id), "name": f"trial-{number:03d}",
                 "artifact_location": f"{folder.absolute().as_uri()}/artifacts/models/{model}",
                 "creation_timestamp_ms": began, "last_updated_timestamp_ms": began, "status": 2,
                 "lifecycle_stage": "active", "source_run_id": id}
            )  # fmt: skip
            tables["logged_model_tags"].append(
                {"model_id": model, "experiment_id": int(store.experiment_id), "tag_key": Tag.SWEEP_RUN_ID,
                 "tag_value": parent}
            )  # fmt: skip
    database = sqlite3.connect(folder / "mlflow.db")
    with database:
        for name, rows in tables.items():
            insert(database, name, rows)
    database.close()
    release(store, claim(store, parent, FIRST_GENERATION))  # by a driver that ended


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()
    fill(arguments.folder, arguments.trials, arguments.epochs)
