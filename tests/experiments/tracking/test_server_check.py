"""Settings of a connection that cannot be used: one line each, before MLflow tries for a minute."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.tracking.server_check import check_access, check_server
from experiments.tracking.store import Store
from mnist_core.errors import MissingLibraryError, StoreError
from tests.helpers.servers import make_certificate
from tests.helpers.sweeps import Run

ANY_SERVER = "https://127.0.0.1:1"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files that are no certificate with its key."""
    folder = tmp_path_factory.mktemp("certificates")
    certificate, _ = make_certificate(folder / "one")
    _, key = make_certificate(folder / "another")
    (folder / "mixed.pem").write_text(certificate.read_text() + key.read_text())
    (folder / "keyless.pem").write_text(certificate.read_text())
    (folder / "text.pem").write_text("no certificate\n")
    return folder


@pytest.mark.parametrize(
    ("variable", "file", "expected"),
    [
        ("MLFLOW_TRACKING_CLIENT_CERT_PATH", "mixed.pem", "the key in it is not that of the certificate in it"),
        ("MLFLOW_TRACKING_CLIENT_CERT_PATH", "keyless.pem", r"cannot be read .*a certificate and its key"),
        ("MLFLOW_TRACKING_CLIENT_CERT_PATH", ".", r"cannot be read \(Is a directory\)"),
        ("MLFLOW_TRACKING_SERVER_CERT_PATH", "text.pem", r"cannot be read .*expected a file with certificates, in PEM"),
    ],
)
def test_a_file_without_the_certificate_that_it_is_named_for_is_refused(
    certificates: Path, monkeypatch: pytest.MonkeyPatch, variable: str, file: str, expected: str
) -> None:
    monkeypatch.setenv(variable, str(certificates / file))
    with pytest.raises(StoreError, match=f"^{variable}=.*{file}: {expected}"):
        check_server(ANY_SERVER)


@pytest.mark.parametrize("value", ["yes", ""])
def test_a_setting_of_tls_that_mlflow_does_not_know_is_one_line(
    value: str, command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", ANY_SERVER)
    monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", value)
    code, _, err = command("sweeps")
    assert code == 2
    assert err == f"mnist-search: MLFLOW_TRACKING_INSECURE_TLS: expected true, false, 1 or 0, received {value!r}\n"


def test_a_token_that_cannot_be_sent_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "first line\nsecond line")
    with pytest.raises(StoreError, match=r"^MLFLOW_TRACKING_TOKEN: expected printable ASCII characters only$"):
        check_server(ANY_SERVER)


def test_a_plugin_that_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_AUTH", "nowhere")
    with pytest.raises(StoreError, match=r"^MLFLOW_TRACKING_AUTH: expected the name of an installed plugin.*'nowhere'"):
        check_access(ANY_SERVER)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("MLFLOW_TRACKING_AWS_SIGV4", "on", "MLFLOW_TRACKING_AWS_SIGV4 value must be one of"),
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", "soon", "for MLFLOW_HTTP_REQUEST_TIMEOUT: invalid literal"),
    ],
)
def test_another_setting_that_mlflow_cannot_read_is_an_error_of_the_store(
    variable: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(ANY_SERVER)
    monkeypatch.setenv(variable, value)
    with pytest.raises(StoreError, match=expected), Store(ANY_SERVER, client, "1").errors("reading"):
        client.search_experiments()


def test_what_signs_requests_to_aws_is_named_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_AWS_SIGV4", "true")
    client = MlflowClient(ANY_SERVER)
    with (
        pytest.raises(MissingLibraryError, match="pip install 'requests-auth-aws-sigv4'"),
        Store(ANY_SERVER, client, "1").errors("reading"),
    ):
        client.search_experiments()


@pytest.fixture
def listening_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("password", ["a/b", "a:b", "a#b", "a?b", "a%40b", "/"])
def test_the_host_of_a_database_is_found_behind_any_password(password: str, listening_port: int) -> None:
    check_server(f"postgresql://mlflow:{password}@127.0.0.1:{listening_port}/mlflow")
    with pytest.raises(StoreError, match=r"^postgresql://127.0.0.1:1/mlflow: no database server answers there \("):
        check_server(f"postgresql://mlflow:{password}@127.0.0.1:1/mlflow")


def test_a_password_with_an_at_sign_is_told_how_it_is_written() -> None:
    with pytest.raises(StoreError, match="an @ in the password is written %40") as refused:
        check_server("postgresql://mlflow:secret@word@127.0.0.1:1/mlflow")
    assert not re.search("secret|word@", str(refused.value))


@pytest.mark.parametrize("place", ["127.0.0.1:port", "[::1"])
def test_what_is_no_address_of_a_database_is_refused(place: str) -> None:
    with pytest.raises(StoreError, match="not the address of a database; expected such as postgresql://"):
        check_server(f"postgresql+psycopg://mlflow:secret@{place}/mlflow")
