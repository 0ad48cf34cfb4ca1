"""Fixtures of all tests: an environment without the user's settings, small real data, and TensorFlow on one thread."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

# Before TensorFlow is imported by any test. One thread: the suite may share its cores, and results repeat.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "ERROR"}

from mnist_core.data.images import LabelledImages, Split, split
from mnist_core.data.sources import DataSource, Origin

# Hidden from the code under test; the processes of `pytest -n` inherit it under another name.
FULL_MNIST = os.environ.pop("MNIST_DATA", "") or os.environ.get("MNIST_DATA_OF_THE_TESTS", "")
os.environ["MNIST_DATA_OF_THE_TESTS"] = FULL_MNIST


# Fixtures that take 10 seconds or more, and those that ask for one by its name while they run. `pytest -n` gives all
# tests of one group to one process, so that each of these is made once; the others are grouped by file.
GROUPS = {
    "team_store": "team_store",
    "server": "server",
    "any_store": "server",
    "mixed_sweep": "mixed_sweep",
    "finished_sweep": "finished_sweep",
}
# Groups start in this order, the longest first, so that the processes end at about the same time.
LONGEST_FIRST = (
    *("team_store", "server", "finished_sweep", "mixed_sweep", "tests/experiments", "tests/search/executors"),
    *("tests/mnist_core", "tests/test_docs", "tests/serving"),
)


def group_of(item: pytest.Item) -> str:
    """Name of the tests that are to run in one process with this one."""
    fixtures = getattr(item, "fixturenames", ())
    return next((group for name, group in GROUPS.items() if name in fixtures), item.nodeid.partition("::")[0])


def position(group: str) -> int:
    """Place of a group in the order of their start."""
    return next((index for index, start in enumerate(LONGEST_FIRST) if group.startswith(start)), len(LONGEST_FIRST))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Group and order the tests for ``pytest -n N --dist loadgroup --no-loadscope-reorder``."""
    if not config.getoption("loadgroup", default=False):
        return
    for item in items:
        group = group_of(item)
        item.add_marker(pytest.mark.xdist_group(group))
        # xdist 3.8 writes the group to `_nodeid`, which pytest 9.2 no longer reads: each test would be its own group.
        if hasattr(item, "_id"):
            item._id = type(item._id).parse(f"{item.nodeid}@{group}")
    items.sort(key=lambda item: position(group_of(item)))


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the user's store, cache and data from the test, and give it a working directory of its own."""
    tracking = [name for name in os.environ if name.startswith("MLFLOW_TRACKING_")]
    for name in ("MLFLOW_EXPERIMENT_NAME", "MNIST_DATA", *tracking):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module", autouse=True)
def _frozen() -> None:
    """Exempt all that exists from garbage collection: Keras collects before each model, for most of a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def sample() -> LabelledImages:
    """The training part of the embedded sample: 4,000 real digits."""
    return DataSource(Origin.SAMPLE).load_training()


@pytest.fixture(scope="session")
def small_split(sample: LabelledImages) -> Split:
    """1,000 real digits, 200 of them for validation."""
    return split(sample.take(np.arange(0, 4000, 4)), 200, seed=0)


@pytest.fixture(scope="session")
def small_npz(small_split: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same 1,000 digits as an archive with the keys of Keras. Its test set cannot be read: no sweep may need it."""
    path = tmp_path_factory.mktemp("data") / "small.npz"
    parts = (small_split.train, small_split.validation)
    np.savez_compressed(
        path,
        x_train=np.concatenate([part.images for part in parts]),
        y_train=np.concatenate([part.labels for part in parts]),
        x_test=np.zeros(0),
        y_test=np.zeros(0),
    )
    return path


@pytest.fixture(scope="session")
def whole_npz(small_npz: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same 1,000 digits for training, and a readable test set of 250 others."""
    test = DataSource(Origin.SAMPLE).load_test()
    test = test.take(np.arange(0, len(test), 4))
    with np.load(small_npz) as archive:
        training = {key: archive[key] for key in ("x_train", "y_train")}
    path = tmp_path_factory.mktemp("data") / "whole.npz"
    np.savez_compressed(path, **training, x_test=test.images, y_test=test.labels)
    return path


@pytest.fixture(scope="session")
def full_mnist() -> Path:
    """Folder with all of MNIST, named by ``MNIST_DATA`` where the tests were started."""
    if not FULL_MNIST:
        pytest.skip("needs all of MNIST: MNIST_DATA=FOLDER")
    return Path(FULL_MNIST)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store's database before its first sweep. MLflow takes seconds to make one."""
    from mlflow import MlflowClient  # late: most tests need no store

    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(scope="session")
def new_store(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """Makes an empty store in a folder of its own and returns its URI."""

    def make() -> str:
        folder = tmp_path_factory.mktemp("store") / "mlruns"
        folder.mkdir()
        shutil.copy(empty_database, folder)
        return f"sqlite:///{folder}/mlflow.db"

    return make


@pytest.fixture
def store_at_hand(empty_database: Path, tmp_path: Path) -> None:
    """An empty default store in the working directory of the test."""
    (tmp_path / "mlruns").mkdir()
    shutil.copy(empty_database, tmp_path / "mlruns" / "mlflow.db")
