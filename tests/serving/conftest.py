"""Fixtures: a trained network in a file, a source of champions without MLflow, and a service that uses both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from starlette.testclient import TestClient

from mnist_core import runtime
from mnist_core.data.images import LabelledImages, split
from mnist_core.hyperparameters import Hyperparameters, TrainingConfig
from mnist_core.models.factory import build_model
from mnist_core.training.trainer import train
from serving.app import Settings, create_app
from serving.model_manager import ModelManager, load_predictor
from tests.helpers.picture_files import encode
from tests.helpers.serving_fakes import FolderModelSource


@pytest.fixture(scope="session")
def trained_file(sample: LabelledImages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of 64 units, trained for a few seconds on the embedded sample."""
    runtime.reset(seed=0)
    model = build_model(Hyperparameters(hidden_size=64))
    train(model, split(sample, 400, seed=0), TrainingConfig(epochs=8, batch_size=32), seed=0)
    path = tmp_path_factory.mktemp("trained") / "model.keras"
    model.save(path)
    return path


@pytest.fixture
def source(trained_file: Path, tmp_path: Path) -> FolderModelSource:
    """A source in which the trained network is version 1 and the champion."""
    source = FolderModelSource(tmp_path / "models")
    source.put("1", trained_file.read_bytes())
    source.champion = "1"
    return source


@pytest.fixture
def manager(source: FolderModelSource) -> ModelManager:
    """A manager that has loaded version 1."""
    manager = ModelManager(source, load_predictor)
    manager.check()
    return manager


@pytest.fixture
def client(manager: ModelManager, tmp_path: Path) -> Iterator[TestClient]:
    """A client of a service that collects feedback."""
    with TestClient(
        create_app(manager, Settings(collect=tmp_path / "feedback")), base_url="http://127.0.0.1"
    ) as client:
        yield client


@pytest.fixture(scope="session")
def digits(sample: LabelledImages) -> npt.NDArray[np.uint8]:
    """Forty digits, four of each class."""
    return sample.images[::100]


@pytest.fixture(scope="session")
def png(digits: npt.NDArray[np.uint8]) -> bytes:
    """The first digit as a PNG file."""
    return encode(digits[0])
