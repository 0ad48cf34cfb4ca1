"""Fixtures of the tests of sweeps: finished sweeps in stores of their own, the command line, a tracking server."""

from __future__ import annotations

import gc
import importlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from experiments import LaunchOptions, SweepResult, parse_spec, run_sweep
from experiments.candidates import Candidate
from experiments.cli import main
from experiments.evaluation import TestSet, evaluate_run
from experiments.registry import serving_file
from experiments.registry.gate import Verdict
from experiments.registry.promotion import PromotionPolicy, promote_run
from experiments.tracking.artifacts import sha256_of
from experiments.tracking.queries import find_run
from experiments.tracking.store import Store
from mnist_core.arrays import Images
from mnist_core.data.sources import DataSource, Origin
from tests.helpers.stores import copy_store, folder_of
from tests.helpers.sweep_texts import MIXED, SMALL
from tests.helpers.sweeps import Run, in_process

# The floor of the gate is for models that were trained on all of MNIST.
LOW_FLOOR = PromotionPolicy(floor=0)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs mnist-search with the given words and returns its exit code, output and errors."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mnist-search", *words])
        code = 0
        try:
            main.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        out, err = capsys.readouterr()
        return code, out, err

    return run


_CONVERTED: dict[str, tuple[bytes, str]] = {}


@pytest.fixture(autouse=True)
def convert_each_model_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convert a model to LiteRT at its first promotion only: many tests promote the same few models."""
    convert = serving_file._export

    def convert_once(model: Path, target: Path, check_on: Images) -> str:
        digest = sha256_of(model)
        if digest not in _CONVERTED:
            agreement = convert(model, target, check_on)
            _CONVERTED[digest] = target.read_bytes(), agreement
        content, agreement = _CONVERTED[digest]
        target.write_bytes(content)
        return agreement

    monkeypatch.setattr(serving_file, "_export", convert_once)


@pytest.fixture(scope="session")
def mixed_sweep(new_store: Callable[[], str], whole_npz: Path) -> SweepResult:
    """A finished sweep that was not evaluated: two accurate models, one that learned nothing, and a failed trial."""
    return run_sweep(parse_spec(MIXED), in_process(whole_npz, tracking_uri=new_store()))


@pytest.fixture(scope="session")
def evaluated_sweep(mixed_sweep: SweepResult, whole_npz: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a store with the same sweep, its three models evaluated on the test set."""
    folder = tmp_path_factory.mktemp("evaluated_sweep") / "mlruns"
    store, test = copy_store(folder_of(mixed_sweep), folder), TestSet.load(DataSource(Origin.GIVEN, whole_npz))
    for run in mixed_sweep.ranked:
        evaluate_run(store, run, test)
    return folder


@pytest.fixture
def mixed_store(mixed_sweep: SweepResult, tmp_path: Path) -> Store:
    """A copy of the store of ``mixed_sweep`` for this test alone, where the commands look by default."""
    return copy_store(folder_of(mixed_sweep), tmp_path / "mlruns")


@pytest.fixture
def evaluated_store(evaluated_sweep: Path, tmp_path: Path) -> Store:
    """The same, of ``evaluated_sweep``."""
    return copy_store(evaluated_sweep, tmp_path / "mlruns")


@pytest.fixture(scope="session")
def promoted(evaluated_sweep: Path, whole_npz: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes the folder of a store like ``evaluated_sweep`` in which the named runs were promoted, in order."""
    folders: dict[tuple[str, ...], Path] = {(): evaluated_sweep}
    test = TestSet.load(DataSource(Origin.GIVEN, whole_npz))

    def folder_with(*names: str) -> Path:
        if names not in folders:
            folder = tmp_path_factory.mktemp("promoted") / "mlruns"
            store = copy_store(folder_with(*names[:-1]), folder)
            done = promote_run(store, Candidate(find_run(store, names[-1]), "named by the user"), test, LOW_FLOOR)
            assert done.verdict is Verdict.PASSED
            folders[names] = folder
        return folders[names]

    return folder_with


@pytest.fixture
def whole_test(whole_npz: Path) -> TestSet:
    """The test set of ``mixed_sweep``."""
    return TestSet.load(DataSource(Origin.GIVEN, whole_npz))


@pytest.fixture(scope="session")
def finished_sweep(new_store: Callable[[], str], small_npz: Path) -> SweepResult:
    """A finished Bayesian sweep whose trials ran in worker processes."""
    quiet = LaunchOptions(
        data=small_npz, workers=2, tracking_uri=new_store(), on_message=lambda line: None, report=False
    )
    return run_sweep(parse_spec(SMALL), quiet)


@pytest.fixture
def finished_uri(finished_sweep: SweepResult, monkeypatch: pytest.MonkeyPatch) -> str:
    """URI of the store of ``finished_sweep``, set in the environment."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", finished_sweep.tracking_uri)
    return os.environ["MLFLOW_TRACKING_URI"]


@pytest.fixture
def finished_store(finished_sweep: SweepResult, tmp_path: Path) -> Store:
    """A copy of the store of ``finished_sweep`` for this test alone, where the commands look by default."""
    return copy_store(folder_of(finished_sweep), tmp_path / "mlruns")


@pytest.fixture
def other_npz(small_npz: Path, tmp_path: Path) -> Path:
    """The data of ``small_npz`` with one pixel changed."""
    with np.load(small_npz) as archive:
        arrays = dict(archive)
    arrays["x_train"][0, 0, 0] ^= 1
    np.savez_compressed(tmp_path / "other.npz", **arrays)
    return tmp_path / "other.npz"


@pytest.fixture
def other_test_npz(whole_npz: Path, tmp_path: Path) -> Path:
    """The same training images as ``whole_npz``, with one pixel of the test images changed."""
    with np.load(whole_npz) as archive:
        arrays = dict(archive)
    arrays["x_test"][0, 0, 0] ^= 1
    np.savez_compressed(tmp_path / "other_test.npz", **arrays)
    return tmp_path / "other_test.npz"


@pytest.fixture(scope="session", autouse=True)
def _libraries_frozen() -> None:
    """Keep the garbage collector from searching the libraries, as Keras makes it do before each small model."""
    importlib.import_module("mlflow.tensorflow")
    importlib.import_module("keras_tuner")
    gc.freeze()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URI of a tracking server on this machine."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    stores = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files")]
    # Else it starts seven processes for jobs that nobody asks for, and takes long to end.
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, *stores], cwd=folder, env=environment, stdout=log, stderr=log)
    uri = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{uri}/health", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.25)
        else:
            pytest.fail(f"the server did not start: {(folder / 'log').read_text()}")
        yield uri
    finally:
        process.terminate()
        process.wait()
