"""One small sweep in a store of its own, which the tests of what reads it share."""

from __future__ import annotations

import gc
import importlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from small_sweeps import SMALL

from experiments import Launch, SweepResult, cli, parse_spec, run_sweep


@pytest.fixture(scope="session")
def swept(tmp_path_factory: pytest.TempPathFactory, small_npz: Path) -> SweepResult:
    """A finished Bayesian sweep, trained by real worker processes, in a folder of its own."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('swept')}/mlruns/mlflow.db"
    launch = Launch(data=small_npz, workers=2, tracking_uri=uri, say=lambda line: None, report=False)
    return run_sweep(parse_spec(SMALL), launch)


@pytest.fixture
def swept_uri(swept: SweepResult, monkeypatch: pytest.MonkeyPatch) -> str:
    """URI of the store of ``swept``, in the environment."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", swept.tracking_uri)
    return os.environ["MLFLOW_TRACKING_URI"]


@pytest.fixture
def other_npz(small_npz: Path, tmp_path: Path) -> Path:
    """The small data with one pixel changed."""
    with np.load(small_npz) as archive:
        arrays = dict(archive)
    arrays["x_train"][0, 0, 0] ^= 1
    np.savez_compressed(tmp_path / "other.npz", **arrays)
    return tmp_path / "other.npz"


@pytest.fixture(scope="session", autouse=True)
def _libraries_are_no_garbage() -> None:
    """What is loaded by now stays: Keras would look it through before each of the many small models here."""
    importlib.import_module("mlflow.tensorflow")
    importlib.import_module("keras_tuner")
    gc.freeze()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store's database before its first sweep: MLflow takes seconds to make one."""
    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store_at_hand(empty_database: Path, tmp_path: Path) -> None:
    """The default store of this test's working directory, made already."""
    (tmp_path / "mlruns").mkdir()
    shutil.copy(empty_database, tmp_path / "mlruns" / "mlflow.db")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs mnist-search with the given words; its exit code, output and errors."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mnist-search", *words])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        out, err = capsys.readouterr()
        return code, out, err

    return run
