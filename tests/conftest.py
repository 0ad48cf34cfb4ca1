"""What all tests share: a world without the user's own settings, small real data, one quiet TensorFlow."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

# Before TensorFlow is imported by any test. One thread: the suite may share its cores, and results repeat.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "ERROR"}

from mnist_core.data.images import LabelledImages, Split, split
from mnist_core.data.sources import DataSource, Origin

# No test is to find it by chance; under another name the processes of `pytest -n` get it from the one that starts them.
FULL_MNIST = os.environ.pop("MNIST_DATA", "") or os.environ.get("MNIST_DATA_OF_THE_TESTS", "")
os.environ["MNIST_DATA_OF_THE_TESTS"] = FULL_MNIST


@pytest.fixture(autouse=True)
def _a_world_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the user's store, cache or data, nor leaves anything behind in them."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MNIST_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


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
    """The same 1,000 digits as an archive with Keras's keys, whose test set is broken on purpose.

    A sweep that read it would fail.
    """
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
    """The same 1,000 digits to train on, with 250 others as a test set that can be read."""
    test = DataSource(Origin.SAMPLE).load_test()
    test = test.take(np.arange(0, len(test), 4))
    with np.load(small_npz) as archive:
        training = {key: archive[key] for key in ("x_train", "y_train")}
    path = tmp_path_factory.mktemp("data") / "whole.npz"
    np.savez_compressed(path, **training, x_test=test.images, y_test=test.labels)
    return path


@pytest.fixture(scope="session")
def full_mnist() -> Path:
    """A folder with all of MNIST, from the environment that the tests were started in."""
    if not FULL_MNIST:
        pytest.skip("needs all of MNIST: MNIST_DATA=FOLDER")
    return Path(FULL_MNIST)
