"""Checks of a server before it is used: MLflow would try again for a minute or more, and name no remedy."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from experiments.tracking.redaction import redact
from mnist_core.errors import StoreError

if TYPE_CHECKING:
    from requests import Response

SERVER_TIMEOUT = 5.0
"""Seconds for the connection, and as many for the response."""
ACCESS_TIMEOUT = 15.0
"""The same for a request that reads the server's database."""
DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
CERTIFICATE = "MLFLOW_TRACKING_SERVER_CERT_PATH"
CLIENT_CERTIFICATE = "MLFLOW_TRACKING_CLIENT_CERT_PATH"
INSECURE = "MLFLOW_TRACKING_INSECURE_TLS"


def is_server(uri: str) -> bool:
    """True if a URI names a tracking server."""
    return uri.startswith(("http://", "https://"))


def check_server(uri: str) -> None:
    """Check that a tracking server responds, or that a database server takes connections, before anything is begun.

    Raises:
        StoreError: it does not, within ``SERVER_TIMEOUT`` seconds for the connection and as much for the response, or
            its certificate is not trusted.
    """
    if not is_server(uri):
        _check_database_server(uri)
        return
    import requests

    for name in (CERTIFICATE, CLIENT_CERTIFICATE):
        if (path := os.environ.get(name)) and not Path(path).exists():
            raise StoreError(f"{name}={path}: there is no such file; expected a certificate in PEM format")
    # As MLflow reads them.
    verified = os.environ.get(INSECURE, "").lower() not in ("true", "1")
    verify = (os.environ.get(CERTIFICATE) or True) if verified else False
    try:
        requests.get(
            f"{uri.rstrip('/')}/health",
            timeout=SERVER_TIMEOUT,
            verify=verify,
            cert=os.environ.get(CLIENT_CERTIFICATE) or None,
        )
    except requests.exceptions.SSLError as error:
        raise StoreError(f"{redact(uri)}: {_tls_problem(str(error))}") from error
    except (requests.RequestException, OSError) as error:
        raise StoreError(
            f"{redact(uri)}: no tracking server answers there ({type(error).__name__}). Start it, or unset "
            "MLFLOW_TRACKING_URI to use mlruns/mlflow.db; a server that speaks TLS has an address with https://"
        ) from error


def _tls_problem(text: str) -> str:
    if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER_FAILURE" in text:
        return "the server does not speak TLS; expected an address with http://"
    if "mismatch" in text.lower() or "doesn't match" in text:
        return "its certificate is for another name; use one of the names in it, or set another MLFLOW_TRACKING_URI"
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return f"its certificate is not trusted here; set {CERTIFICATE} to the file of the certificate or of its issuer"
    return f"no connection by TLS: {text}"


def check_access(uri: str) -> None:
    """Check by one request that a tracking server accepts this client, and can read its own database.

    Raises:
        StoreError: it does not.
    """
    if not is_server(uri):
        return
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    credentials = get_default_host_creds(uri)  # type: ignore[no-untyped-call]
    response: Response = http_request(  # type: ignore[no-untyped-call]
        credentials,
        "/api/2.0/mlflow/experiments/search",
        "POST",
        json={"max_results": 1},
        max_retries=0,
        timeout=ACCESS_TIMEOUT,
        raise_on_status=False,
    )
    if response.status_code >= 400:
        raise StoreError(f"{redact(uri)}: {_refusal(response, bool(credentials.username or credentials.token))}")


def _refusal(response: Response, names_a_user: bool) -> str:
    status, body = response.status_code, response.text
    text = " ".join(redact(body).split())[:200]
    if status == 401:
        problem = "does not accept this user name and password" if names_a_user else "asks for a password"
        return (
            f"the server {problem}; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (or "
            "MLFLOW_TRACKING_TOKEN) to those of your account"
        )
    if status == 403 and "Host header" in body:
        return "the server refuses this host name; start it with --allowed-hosts that has it, or use a name that it has"
    if status == 403:
        return f"the server does not permit this user to read: {text}"
    if status >= 500:
        return f"the server cannot use its own store (HTTP {status}); look into its log. It says: {text}"
    return f"expected an MLflow server there, received HTTP {status}: {text}"


def _check_database_server(uri: str) -> None:
    """Connect to the port of a database server; MLflow itself would try again for more than a minute.

    Raises:
        StoreError: nothing listens there.
    """
    dialect, _, _ = uri.partition("+" if "+" in uri.partition(":")[0] else ":")
    if dialect not in DATABASE_PORTS:
        return
    try:
        address = urlsplit(uri)
        host, port = address.hostname, address.port or DATABASE_PORTS[dialect]
    except ValueError:  # not an address; opening the store says so
        return
    if not host:  # a socket of this machine, or a host in the query
        return
    try:
        socket.create_connection((host, port), timeout=SERVER_TIMEOUT).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(
            f"{redact(uri)}: no database server answers there ({reason}). Start it, or correct MLFLOW_TRACKING_URI"
        ) from error
