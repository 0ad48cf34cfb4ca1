"""The way from a sweep to the served champion, on each kind of store that a team may have."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import requests
from starlette.testclient import TestClient

from experiments import LaunchOptions, parse_spec, resume_sweep, run_sweep
from experiments.cli import main
from experiments.confirmation import confirm_sweep
from experiments.registry.model_source import RegistryModelSource
from experiments.tracking.records import REGISTERED_MODEL, Alias, SweepState, Tag
from experiments.tracking.store import open_store, tracking_uri
from search.sweep import EndReason
from serving.app import create_app
from serving.model_manager import ModelManager, load_predictor
from tests.helpers.servers import S3_CREDENTIALS, RunningServer, make_certificate, s3_store, team_server
from tests.helpers.stores import aliases_of
from tests.helpers.sweep_texts import SMALL, SMALL_GRID
from tests.helpers.sweeps import EVERY_GRID_POINT_ONCE, Run, in_process, points, stored_sweep

pytestmark = pytest.mark.server

BUCKET = "models"


class Stores:
    """Stores that are started when a test first asks for them, and stopped together.

    Args:
        folder: of their data.
        embedded: makes the URI of a new embedded store.
    """

    def __init__(self, folder: Path, embedded: Callable[[], str]) -> None:
        self._folder, self._embedded = folder, embedded
        self._stack = ExitStack()
        self._environments: dict[str, dict[str, str]] = {}
        self.servers: dict[str, RunningServer] = {}

    def environment(self, kind: str) -> dict[str, str]:
        """Variables by which clients find the store of a kind."""
        if kind not in self._environments:
            self._environments[kind] = getattr(self, f"_{kind}")()
        return self._environments[kind]

    def close(self) -> None:
        self._stack.close()

    def _start(self, kind: str, *words: str, environment: dict[str, str] | None = None) -> dict[str, str]:
        server = team_server(self._folder / kind, *words, environment=environment)
        self.servers[kind] = self._stack.enter_context(server)
        return dict(self.servers[kind].environment)

    def _sqlite(self) -> dict[str, str]:
        return {"MLFLOW_TRACKING_URI": self._embedded()}

    def _server_on_sqlite(self) -> dict[str, str]:
        return self._start("server_on_sqlite", "--store", "sqlite")

    def _server_on_postgresql(self) -> dict[str, str]:
        return self._start("server_on_postgresql")

    def _password_and_tls(self) -> dict[str, str]:
        certificate, key = make_certificate(self._folder / "tls")
        tls = ("--certificate", str(certificate), "--key", str(key))
        return as_another_user(self._start("password_and_tls", "--store", "sqlite", "--auth", *tls))

    def _artifacts_in_s3(self) -> dict[str, str]:
        s3 = self._stack.enter_context(s3_store(self._folder / "s3", BUCKET))
        return self._start("artifacts_in_s3", "--store", "sqlite", "--artifacts", f"s3://{BUCKET}", environment=s3)

    def _clients_write_to_s3(self) -> dict[str, str]:
        s3 = self._stack.enter_context(s3_store(self._folder / "s3-direct", BUCKET))
        direct = ("--", "--no-serve-artifacts", "--default-artifact-root", f"s3://{BUCKET}/artifacts")
        return self._start("clients_write_to_s3", "--store", "sqlite", *direct, environment=s3) | s3


def as_another_user(admin: dict[str, str]) -> dict[str, str]:
    """The same server for an account without the rights of its admin."""
    account = {"username": "ada", "password": "long-enough-for-mlflow"}
    requests.post(
        f"{admin['MLFLOW_TRACKING_URI']}/api/2.0/mlflow/users/create",
        json=account,
        auth=(admin["MLFLOW_TRACKING_USERNAME"], admin["MLFLOW_TRACKING_PASSWORD"]),
        verify=admin["MLFLOW_TRACKING_SERVER_CERT_PATH"],
        timeout=60,
    ).raise_for_status()
    return admin | {f"MLFLOW_TRACKING_{name.upper()}": value for name, value in account.items()}


@pytest.fixture(scope="module")
def stores(new_store: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    running = Stores(tmp_path_factory.mktemp("stores"), new_store)
    yield running
    running.close()


KINDS = (
    *("sqlite", "server_on_sqlite", "server_on_postgresql"),
    *("password_and_tls", "artifacts_in_s3", "clients_write_to_s3"),
)


@pytest.fixture(params=KINDS)
def team_store(request: pytest.FixtureRequest, stores: Stores, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store of each kind, named by the environment; its kind."""
    for name, value in stores.environment(request.param).items():
        monkeypatch.setenv(name, value)
    return str(request.param)


def test_a_killed_sweep_is_resumed_confirmed_promoted_rolled_back_and_served(
    team_store: str, command: Run, whole_npz: Path, tmp_path: Path
) -> None:
    (tmp_path / "grid.toml").write_text(SMALL_GRID)
    kill_after_two_trials(tmp_path, whole_npz)
    sweep, left = stored_sweep("small-grid")
    assert sweep.state is SweepState.RUNNING
    done = {run.run_id for run in left if run.state.is_finished}

    resumed = resume_sweep("small-grid", in_process(whole_npz))
    assert resumed.ending is EndReason.DONE
    assert points(resumed.runs) == EVERY_GRID_POINT_ONCE
    assert done <= {run.run_id for run in resumed.ranked}

    confirmed = confirm_sweep("small-grid", top=2, seeds=2, options=in_process(whole_npz))
    assert len(confirmed.ranked) == 4

    promote = ["promote", "--yes", "--no-explain", "--floor", "0", "--margin", "1"]
    assert command(*promote, "small-grid")[0] == 0
    assert command(*promote, "small-grid-confirmation")[0] == 0
    store = open_store(tracking_uri())
    assert aliases_of(store) == {Alias.CHAMPION: 2, Alias.PREVIOUS: 1}
    assert served_sha256(whole_npz) == version_sha256(2)
    assert command("rollback", "--reason", "to see it")[0] == 0
    assert aliases_of(store)[Alias.CHAMPION] == 1
    assert served_sha256(whole_npz) == version_sha256(1)


def kill_after_two_trials(folder: Path, data: Path) -> None:
    """Start the sweep in a process of its own, and kill that when two of its trials are recorded."""
    words = ["sweep", "grid.toml", "--data", str(data), "--workers", "1", "--no-report"]
    driver = subprocess.Popen(
        [sys.executable, "-m", "experiments", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert driver.stdout is not None
    printed = []
    for line in driver.stdout:
        printed.append(line)
        if "[2/6]" in line:
            break
    else:
        raise AssertionError("".join(printed))
    driver.kill()
    driver.wait()
    driver.stdout.close()


def served_sha256(data: Path) -> str:
    """SHA-256 of the model that the service has loaded, after it recognised a test image by HTTP."""
    manager = ModelManager(RegistryModelSource(tracking_uri()), load_predictor)
    manager.check()
    with np.load(data) as archive:
        image = archive["x_test"][0].tolist()
    with TestClient(create_app(manager), base_url="http://127.0.0.1") as client:
        response = client.post("/predict", json=image)
    assert response.status_code == 200, response.text
    assert manager.champion is not None
    return manager.champion.info.sha256


def version_sha256(version: int) -> str:
    client = open_store(tracking_uri()).client
    run = client.get_run(client.get_model_version(REGISTERED_MODEL, str(version)).run_id)
    return str(run.data.tags[Tag.MODEL_SHA256])


COMMANDS = (
    ["data"],
    ["sweep", "small.toml", "--trials", "2", "--workers", "1", "--no-report"],
    ["sweep", "--resume", "every", "--trials", "3", "--workers", "1", "--no-report"],
    ["sweeps"],
    ["runs", "every"],
    ["report", "every"],
    ["best", "every"],
    ["confirm", "every", "--top", "2", "--seeds", "2", "--workers", "1", "--no-report"],
    ["compare", "every", "every-confirmation"],
    ["evaluate", "every/0"],
    ["explain", "every/0"],
    ["reproduce", "every/0"],
    ["ensemble", "every", "--top", "2", "--register"],
    ["promote", "every/0", "--yes", "--no-explain", "--floor", "0", "--as", "every"],
    ["promote", "every/1", "--yes", "--no-explain", "--floor", "0", "--margin", "1", "--as", "every"],
    ["rollback", "--as", "every"],
    ["registry", "--as", "every"],
    ["export", "--format", "keras", "--output", "champion", "--as", "every"],
    ["ui"],
)
OF_A_SERVICE = {"serve"}  # runs until it is ended


def test_every_command_works_on_a_server_with_a_password_and_a_certificate_of_its_own(
    stores: Stores, command: Run, whole_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = stores.environment("password_and_tls")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MNIST_DATA", str(whole_npz))
    (tmp_path / "small.toml").write_text(SMALL.replace('"small"', '"every"').replace("epochs = 3", "epochs = 1"))
    assert {words[0] for words in COMMANDS} | OF_A_SERVICE == {function.__name__ for function in main.COMMANDS}
    for words in COMMANDS:
        code, out, err = command(*words)
        assert code == 0, (words, out, err)
        assert environment["MLFLOW_TRACKING_PASSWORD"] not in out + err
    assert "UI" in out
    service = subprocess.Popen(
        [sys.executable, "-m", "experiments", "serve", "--port", "0", "--as", "every"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert service.stdout is not None
    assert service.stdout.readline().startswith("champion   every version 1")
    service.terminate()
    service.communicate()


def test_workers_get_no_credentials_of_an_s3_store_that_their_driver_writes_to(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = stores.environment("clients_write_to_s3")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    options = LaunchOptions(workers=1, report=False, on_message=lambda line: None)
    result = run_sweep(parse_spec(RECORDING), options)
    assert result.best is not None
    assert result.best.model_id is not None
    location = open_store(tracking_uri()).client.get_logged_model(result.best.model_id).artifact_location
    assert location.startswith(f"s3://{BUCKET}/")
    seen = json.loads((tmp_path / "environment.json").read_text(encoding="utf-8"))
    assert "MLFLOW_S3_ENDPOINT_URL" in seen
    assert {name for name in S3_CREDENTIALS if name in seen} == set()


RECORDING = """
name = "recording"
engine = "optuna"
sampler = "grid"
model = "tests.helpers.custom_parts:recording_its_environment"
data = "tests.helpers.custom_parts:stripes"
training = { epochs = 1 }
space = { units = [4] }
"""
