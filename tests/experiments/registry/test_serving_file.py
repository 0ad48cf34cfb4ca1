"""The LiteRT file of a version: made at the promotion, checked, and served, or Keras in its place."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from experiments.registry import serving_file
from experiments.registry.model_source import RegistryModelSource
from experiments.registry.versions import read_version
from experiments.tracking.artifacts import sha256_of
from experiments.tracking.queries import find_sweep, read_runs
from experiments.tracking.records import VersionRecord
from experiments.tracking.store import Store
from mnist_core.hyperparameters import Hyperparameters
from mnist_core.models.export_formats import ExportFormat
from mnist_core.models.factory import build_model
from serving.model_manager import ModelManager, load_predictor
from tests.helpers.stores import copy_store
from tests.helpers.sweeps import Run

pytest.importorskip("ai_edge_litert", reason="needs the extra export-litert")

NAME = "mnist-classifier"
PROMOTE = ("promote", "mixed", "--floor", "0", "--yes", "--no-explain")


@pytest.fixture
def promoted_store(promoted: Callable[..., Path], tmp_path: Path) -> Store:
    return copy_store(promoted("mixed/1"), tmp_path / "mlruns")


def file_of(store: Store, version: VersionRecord) -> Path:
    place = Path(store.client.get_logged_model(version.tags["model_id"]).artifact_location.removeprefix("file://"))
    return place / "serving" / f"{version.tags['litert_sha256']}.tflite"


def served(store: Store) -> tuple[ModelManager, ExportFormat]:
    manager = ModelManager(RegistryModelSource(store.uri), load_predictor)
    manager.check()
    manager.check()
    assert manager.problem is None
    assert manager.champion is not None
    return manager, manager.champion.predictor.runtime


def test_a_promotion_records_the_file_with_its_digest_and_its_agreement(promoted_store: Store) -> None:
    version = read_version(promoted_store, NAME, 1)
    file = file_of(promoted_store, version)
    assert sha256_of(file) == version.tags["litert_sha256"]
    start = f"{file.stat().st_size:,} bytes, same prediction for 100.00% of "
    assert version.tags["litert"].startswith(start)
    assert " images, largest difference " in version.tags["litert"]


def test_the_champion_is_served_by_its_file(promoted_store: Store, caplog: pytest.LogCaptureFixture) -> None:
    assert served(promoted_store)[1] is ExportFormat.LITERT
    assert caplog.records == []


@pytest.mark.parametrize("change", ["altered", "missing"])
def test_keras_serves_where_the_file_is_not_the_recorded_one_and_it_is_said_once(
    change: str, promoted_store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    file = file_of(promoted_store, read_version(promoted_store, NAME, 1))
    content = file.read_bytes()
    file.unlink()
    if change == "altered":
        file.write_bytes(content + b"x")
    assert served(promoted_store)[1] is ExportFormat.KERAS
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"the champion is served by Keras, not by LiteRT: {NAME} version 1: its LiteRT file ")
    assert change in line


@pytest.mark.parametrize("change", ["altered", "missing"])
def test_promoting_again_makes_a_file_that_is_not_the_recorded_one(
    change: str, command: Run, promoted_store: Store
) -> None:
    file = file_of(promoted_store, read_version(promoted_store, NAME, 1))
    file.unlink()
    if change == "altered":
        file.write_bytes(b"x")
    assert command("promote", "mixed/1", "--floor", "0", "--yes", "--no-explain")[0] == 0
    assert served(promoted_store)[1] is ExportFormat.LITERT


def test_a_file_that_the_service_would_refuse_is_not_made(evaluated_store: Store, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    build_model(Hyperparameters(hidden_layers=0), input_shape=(6, 5)).save(path)
    run = read_runs(evaluated_store, find_sweep(evaluated_store, "mixed"))[0]
    tags = serving_file.make_serving_file(evaluated_store, run, path, np.zeros((3, 6, 5), np.uint8))
    assert tags["litert_sha256"] == ""
    assert tags["litert"].startswith("not made: LiteRT file: expected shapes (28, 28) to (10,), received (6, 5) to ")


def test_a_version_of_an_earlier_release_is_served_by_keras(
    promoted_store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    for tag in ("litert", "litert_sha256"):
        promoted_store.client.delete_model_version_tag(NAME, "1", tag)
    assert served(promoted_store)[1] is ExportFormat.KERAS
    assert caplog.records == []


def test_promoting_a_champion_of_an_earlier_release_again_makes_its_file_once(
    command: Run, promoted_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = read_version(promoted_store, NAME, 1).tags
    for tag in ("litert", "litert_sha256"):
        promoted_store.client.delete_model_version_tag(NAME, "1", tag)
    again = ("promote", "mixed/1", "--floor", "0", "--yes", "--no-explain")
    assert command(*again)[0] == 0
    assert read_version(promoted_store, NAME, 1).tags == recorded
    monkeypatch.setattr(serving_file, "_export", pytest.fail)
    assert command(*again)[0] == 0
    assert read_version(promoted_store, NAME, 1).tags == recorded


def test_a_model_that_cannot_be_converted_is_promoted_and_served_by_keras(
    command: Run, evaluated_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> str:
        raise ValueError("no such\noperation")

    monkeypatch.setattr(serving_file, "_export", fail)
    code, out, err = command(*PROMOTE)
    assert (code, err) == (0, "")
    line = f"{NAME} version 1 has no LiteRT file, so Keras would serve it; not made: no such operation"
    assert out.count("LiteRT") == out.count(line) == 1
    tags = read_version(evaluated_store, NAME, 1).tags
    assert (tags["litert_sha256"], tags["litert"]) == ("", "not made: no such operation")
    assert served(evaluated_store)[1] is ExportFormat.KERAS


def test_the_service_needs_neither_tensorflow_nor_pandas(promoted_store: Store) -> None:
    code = f"""
import sys
import experiments.api.service
from experiments.tracking.store import import_mlflow_without_pandas
import_mlflow_without_pandas()
from experiments.registry.model_source import RegistryModelSource
import serving.app, serving.server
from serving.model_manager import ModelManager, load_predictor
manager = ModelManager(RegistryModelSource({promoted_store.uri!r}), load_predictor)
manager.check()
print(manager.problem, manager.champion.predictor.runtime.value)
print(*sorted({{"tensorflow", "keras", "pandas", "pyarrow", "sklearn", "matplotlib"}} & set(sys.modules)))
import pandas
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "None litert\n\n"
