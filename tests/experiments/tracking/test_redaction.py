"""Credentials in the address of a store: no command, service, record or error shows them."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from starlette.testclient import TestClient

from experiments import parse_spec, run_sweep
from experiments.registry.model_source import RegistryModelSource
from experiments.registry.versions import read_versions
from experiments.tracking.queries import find_sweep, read_runs
from experiments.tracking.redaction import redact, redact_of
from experiments.tracking.store import Store, open_store
from serving.app import create_app
from serving.model_manager import ModelManager, load_predictor
from tests.helpers.sweep_texts import MIXED
from tests.helpers.sweeps import Run, in_process

SECRET = "hunter2-of-the-store"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://user:{}@host:5000/path", "http://host:5000/path"),
        ("https://{}@host", "https://host"),
        ("http://user:@{}@host/@here", "http://host/@here"),
        ("postgresql://user:1/2?{}#x@host/db", "postgresql://host/db"),
        ("mysql+pymysql://user:{}@host/db?charset=utf8", "mysql+pymysql://host/db?charset=utf8"),
        ("postgresql://host/db?user=me&password={}&sslmode=on", "postgresql://host/db?user=me&password=***&sslmode=on"),
        ("https://host/data.npz?X-Amz-Signature={}", "https://host/data.npz?X-Amz-Signature=***"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("sqlite:////home/a@b/mlruns/mlflow.db", "sqlite:////home/a@b/mlruns/mlflow.db"),
    ],
)
def test_an_address_is_shown_without_its_secrets(address: str, shown: str) -> None:
    assert redact(address.format(SECRET)) == shown
    assert redact(f"no answer from '{address.format(SECRET)}' (twice)") == f"no answer from '{shown}' (twice)"


def test_a_password_alone_or_decoded_is_removed_from_a_message() -> None:
    messages = redact_of("bad port 'p@ss', bad password 'p%40ss'", "postgresql://user:p%40ss@host/db")
    assert messages == "bad port '***', bad password '***'"


def test_the_repr_of_a_store_shows_no_credentials() -> None:
    store = Store(f"http://user:{SECRET}@host:5000", MlflowClient("http://127.0.0.1:1"), "1")
    assert repr(store) == "<Store 'http://host:5000'>"


@pytest.mark.parametrize("scheme", ["http", "https", "postgresql", "mysql", "postgresql+psycopg2", "nonsense", "file"])
def test_no_error_shows_credentials(command: Run, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{scheme}://user:{SECRET}@127.0.0.1:1/db?token={SECRET}")
    for words in (["sweeps"], ["runs", "small"], ["ui"], ["sweep", "quick"], ["registry"]):
        code, out, err = command(*words)
        assert code == 2
        assert SECRET not in out + err


def test_a_database_server_that_does_not_answer_is_one_line_within_seconds(
    command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"postgresql+psycopg://user:{SECRET}@127.0.0.1:1/db")
    code, _, err = command("runs", "small")
    assert code == 2
    assert err.splitlines() == [
        "mnist-search: postgresql+psycopg://127.0.0.1:1/db: no database server answers there (Connection refused). "
        "Start it, or correct MLFLOW_TRACKING_URI"
    ]


@pytest.mark.parametrize(
    ("scheme", "driver", "package"),
    [("postgresql+psycopg2", "psycopg2", "psycopg2-binary"), ("mysql", "MySQLdb", "mysqlclient")],
)
def test_a_database_without_its_driver_is_one_line_with_what_to_install(
    command: Run, monkeypatch: pytest.MonkeyPatch, scheme: str, driver: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, driver, None)  # as if it were not installed, where it is
    with socket.create_server(("127.0.0.1", 0)) as listening:
        place = f"127.0.0.1:{listening.getsockname()[1]}/db"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{scheme}://user:{SECRET}@{place}")
        code, _, err = command("runs", "small")
    assert code == 2
    assert err.splitlines() == [
        f"mnist-search: {scheme}://{place}: opening the store: needs the library {driver}, not installed here: "
        f"pip install '{package}'"
    ]


def test_the_service_does_not_show_credentials_while_the_store_is_unreachable() -> None:
    manager = ModelManager(RegistryModelSource(f"http://user:{SECRET}@127.0.0.1:1"), load_predictor)
    manager.check()
    with TestClient(create_app(manager), base_url="http://127.0.0.1") as client:
        answers = [client.get(path) for path in ("/health", "/model", "/metrics")]
    assert "no tracking server answers there" in answers[0].text
    assert SECRET not in "".join(answer.text for answer in answers)


def everything_recorded(store: Store, folder: Path) -> str:
    """Tags and parameters of the sweep, its runs and versions, and the text of its files."""
    sweep = find_sweep(store, "mixed")
    store.client.download_artifacts(sweep.run_id, "", str(folder))
    files = [path.read_bytes().decode(errors="replace") for path in folder.rglob("*") if path.is_file()]
    described = [repr(version) for version in read_versions(store, "mnist-classifier")]
    return "".join([repr(sweep), *map(repr, read_runs(store, sweep)), *described, *files])


@pytest.mark.server
def test_neither_commands_nor_records_nor_the_service_show_credentials_of_a_server(
    server: str,
    whole_npz: Path,
    command: Run,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    uri = server.replace("://", f"://user:{SECRET}@")
    messages: list[str] = []
    run_sweep(parse_spec(MIXED), in_process(whole_npz, tracking_uri=uri, on_message=messages.append))
    printed = "".join([*messages, *capsys.readouterr()])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    for code, *words in (
        (0, "sweeps"),
        (0, "runs", "mixed"),
        (0, "promote", "mixed", "--yes", "--no-explain", "--floor", "0"),
        (0, "report", "mixed"),
        (0, "ui"),
        (2, "runs", "mixde"),
        (2, "evaluate", "abcdef012345"),
        (2, "export", "99"),
        (2, "registry", "--as", "nobody"),
    ):
        ended, out, err = command(*words)
        assert ended == code, err
        printed += out + err
    assert server in printed
    assert SECRET not in printed
    manager = ModelManager(RegistryModelSource(uri), load_predictor)
    manager.check()
    with TestClient(create_app(manager), base_url="http://127.0.0.1") as client:
        answers = [client.get(path).text for path in ("/model", "/health", "/metrics", "/openapi.json")]
    assert server in answers[0]
    assert SECRET not in "".join(answers)
    assert SECRET not in everything_recorded(open_store(uri), tmp_path)
