"""Servers that do not accept a client, or cannot use their own store: one line each, exit code 2."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.servers import RunningServer, make_certificate, team_server
from tests.helpers.sweeps import Run
from tools.postgresql import Owner, find_programs

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that asks for a password and speaks TLS with a self-signed certificate."""
    folder = tmp_path_factory.mktemp("secured")
    certificate, key = make_certificate(folder / "tls")
    words = ("--store", "sqlite", "--auth", "--certificate", str(certificate), "--key", str(key))
    with team_server(folder, *words) as server:
        yield server


def refused(command: Run, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> str:
    """The one line that a command prints where the environment names a server that cannot be used."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    code, out, err = command("sweeps")
    assert (code, len(err.splitlines())) == (2, 1), (code, out, err)
    for name, value in environment.items():
        assert not (value and name.endswith("PASSWORD")) or value not in err
    return err


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"MLFLOW_TRACKING_PASSWORD": "not-this-one"}, r"does not accept this user name.*MLFLOW_TRACKING_PASSWORD"),
        (
            {"MLFLOW_TRACKING_USERNAME": "", "MLFLOW_TRACKING_PASSWORD": ""},
            "asks for a password; set MLFLOW_TRACKING_USERNAME",
        ),
        ({"MLFLOW_TRACKING_SERVER_CERT_PATH": ""}, "not trusted here; set MLFLOW_TRACKING_SERVER_CERT_PATH"),
        ({"MLFLOW_TRACKING_SERVER_CERT_PATH": "nowhere.pem"}, "CERT_PATH=nowhere.pem: there is no such file"),
    ],
    ids=["wrong password", "no password", "unknown certificate", "no file"],
)
def test_a_client_that_is_not_accepted_is_told_what_to_set(
    secured: RunningServer,
    command: Run,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, str],
    expected: str,
) -> None:
    assert re.search(expected, refused(command, monkeypatch, {**secured.environment, **change}))


def test_the_scheme_of_the_other_kind_of_server_is_named(
    secured: RunningServer, server: str, command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = {**secured.environment, "MLFLOW_TRACKING_URI": secured.uri.replace("https", "http")}
    assert "has an address with https://" in refused(command, monkeypatch, plain)
    tls = {"MLFLOW_TRACKING_URI": server.replace("http", "https")}
    assert "does not speak TLS; expected an address with http://" in refused(command, monkeypatch, tls)


def test_a_certificate_that_is_not_verified_on_request_is_accepted(
    secured: RunningServer, command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    unverified = {**secured.environment, "MLFLOW_TRACKING_INSECURE_TLS": "true"}
    del unverified["MLFLOW_TRACKING_SERVER_CERT_PATH"]
    for name, value in unverified.items():
        monkeypatch.setenv(name, value)
    assert command("sweeps")[0] == 0


@pytest.fixture
def on_postgresql(tmp_path: Path) -> Iterator[RunningServer]:
    """A server on PostgreSQL."""
    with team_server(tmp_path / "team") as server:
        yield server


def test_a_refused_host_name_and_a_database_that_is_down_are_named(
    on_postgresql: RunningServer, command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_name = {"MLFLOW_TRACKING_URI": on_postgresql.uri.replace("127.0.0.1", "127.1")}
    assert "refuses this host name; start it with --allowed-hosts" in refused(command, monkeypatch, other_name)

    monkeypatch.setenv("MLFLOW_TRACKING_URI", on_postgresql.uri)
    assert command("sweeps")[0] == 0
    data = on_postgresql.database_folder / "data"
    assert Owner.find().run(find_programs() / "pg_ctl", "stop", "-D", data, "-m", "fast").returncode == 0
    line = refused(command, monkeypatch, {"MLFLOW_TRACKING_URI": on_postgresql.uri})
    assert "the server cannot use its own store (HTTP" in line
    assert "look into its log" in line
