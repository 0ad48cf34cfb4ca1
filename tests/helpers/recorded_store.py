"""Stores that earlier versions of the project recorded, restored from JSON."""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import keras

from experiments.tracking.artifacts import MODEL_FILE
from mnist_core.hyperparameters import Hyperparameters
from mnist_core.models.factory import build_model

FIXTURES = Path(__file__).parent.parent / "fixtures"
SHA256 = "model_sha256"
BYTES = "model_bytes"


def make_store(dumped: Path, folder: Path) -> None:
    """Fill a store from a dump of ``fixtures/dump_store.py``.

    The dump holds no model files. Each model is built from the parameters of its run, untrained, and its digest is
    recorded.

    Args:
        dumped: JSON file of the dump.
        folder: folder with an empty ``mlflow.db`` of the installed MLflow.
    """
    text = dumped.read_text(encoding="utf-8")
    content = json.loads(text.replace("{STORE}", str(folder)).replace("{PARENT}", str(folder.parent)))
    for name, data in content["files"].items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else base64.b64decode(data["base64"]))
    database = sqlite3.connect(folder / "mlflow.db")
    with database:
        for name, table in content["tables"].items():
            columns, marks = ", ".join(table["columns"]), ", ".join("?" for _ in table["columns"])
            database.executemany(f"INSERT OR REPLACE INTO {name} ({columns}) VALUES ({marks})", table["rows"])
        models = database.execute("SELECT model_id, source_run_id, artifact_location FROM logged_models").fetchall()
        for model_id, run_id, location in models:
            _build(database, model_id, run_id, Path(location.removeprefix("file://")))
    database.close()


def _build(database: sqlite3.Connection, model_id: str, run_id: str, folder: Path) -> None:
    params = dict(database.execute("SELECT key, value FROM params WHERE run_uuid = ?", [run_id]).fetchall())
    keras.utils.set_random_seed(0)
    model = build_model(_hyperparameters(params))
    model.save(folder / MODEL_FILE)
    content = (folder / MODEL_FILE).read_bytes()
    for key, value in ((SHA256, hashlib.sha256(content).hexdigest()), (BYTES, str(len(content)))):
        database.execute("UPDATE tags SET value = ? WHERE run_uuid = ? AND key = ?", [value, run_id, key])
        logged = "UPDATE logged_model_tags SET tag_value = ? WHERE model_id = ? AND tag_key = ?"
        database.execute(logged, [value, model_id, key])
        version = "(SELECT version FROM model_versions WHERE run_id = ?)"
        registered = f"UPDATE model_version_tags SET value = ? WHERE key = ? AND version = {version}"
        database.execute(registered, [value, key, run_id])


def _hyperparameters(params: dict[str, str]) -> Hyperparameters:
    kinds = {"hidden_size": int, "hidden_layers": int}
    values: dict[str, Any] = {name: kind(params[name]) for name, kind in kinds.items()}
    rates = ("dropout", "learning_rate", "label_smoothing")
    return Hyperparameters(**values, **{name: float(params[name]) for name in rates})
