"""Checks of a server before it is used: MLflow would try again for a minute or more, and name no remedy."""

from __future__ import annotations

import os
import re
import socket
import ssl
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

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
TOKEN = "MLFLOW_TRACKING_TOKEN"
AUTH = "MLFLOW_TRACKING_AUTH"


def is_server(uri: str) -> bool:
    """True if a URI names a tracking server."""
    return uri.startswith(("http://", "https://"))


def check_server(uri: str) -> None:
    """Check that a tracking server responds, or that a database server takes connections, before anything is begun.

    Raises:
        StoreError: it does not, within ``SERVER_TIMEOUT`` seconds for the connection and as much for the response, or
            its certificate is not trusted; or a variable for the connection cannot be used.
    """
    if not is_server(uri):
        _check_database_server(uri)
        return
    _check_certificates()
    _check_token()
    verify = (os.environ.get(CERTIFICATE) or True) if _is_verified() else False
    import requests

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


def _is_verified() -> bool:
    """False where the certificate of the server is not to be verified; read as MLflow reads it.

    Raises:
        StoreError: the variable has none of the values that MLflow knows.
    """
    value = os.environ.get(INSECURE, "false")
    if value.lower() not in ("true", "false", "1", "0"):
        raise StoreError(f"{INSECURE}: expected true, false, 1 or 0, received {value!r}")
    return value.lower() in ("false", "0")


def _check_certificates() -> None:
    """Check the files of the certificates.

    Raises:
        StoreError: one is missing, or holds something else.
    """
    for name in (CERTIFICATE, CLIENT_CERTIFICATE):
        path = os.environ.get(name, "")
        if not path:
            continue
        if not Path(path).exists():
            raise StoreError(f"{name}={path}: there is no such file; expected a certificate in PEM format")
        try:
            if name == CLIENT_CERTIFICATE:
                # With a password, since OpenSSL would ask for that of an encrypted key at the terminal.
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(path, password="-")
            elif Path(path).is_file():
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
        except OSError as error:  # also those of OpenSSL
            raise StoreError(f"{name}={path}: {_certificate_problem(name, error)}") from error


def _certificate_problem(name: str, error: OSError) -> str:
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return "the key in it is not that of the certificate in it"
    what = "a certificate and its key without a password" if name == CLIENT_CERTIFICATE else "certificates"
    return f"cannot be read ({error.strerror or error}); expected a file with {what}, in PEM format"


def _check_token() -> None:
    """Check that the token can be sent; the error of the library would show it.

    Raises:
        StoreError: it has characters that no header of HTTP may have.
    """
    if not re.fullmatch(r"[ -~]*", os.environ.get(TOKEN, "")):
        raise StoreError(f"{TOKEN}: expected printable ASCII characters only")


def _tls_problem(text: str) -> str:
    if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER_FAILURE" in text:
        return "the server does not speak TLS; expected an address with http://"
    if "certificate is not valid for" in text or "doesn't match" in text:
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
    _check_plugin(credentials.auth)
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


def _check_plugin(name: str | None) -> None:
    """Check that MLflow finds the plugin that authenticates its requests; it would go on without.

    Raises:
        StoreError: it does not.
    """
    from mlflow.tracking.request_auth.registry import fetch_auth

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name and fetch_auth(name) is None:  # type: ignore[no-untyped-call]
            raise StoreError(f"{AUTH}: expected the name of an installed plugin of MLflow, received {name!r}")


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
        StoreError: nothing listens there, or it is no address.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    if re.split(r"[:+]", uri, maxsplit=1)[0] not in DATABASE_PORTS:
        return
    try:
        # As MLflow reads it: a password may have / : and #.
        url = make_url(uri)
        if not url.host:  # a socket of this machine, or a host in the query
            return
        address = url.host, url.port or DATABASE_PORTS[url.get_backend_name()]
        socket.create_connection(address, timeout=SERVER_TIMEOUT).close()
    except (ArgumentError, ValueError) as error:
        raise StoreError(
            f"{redact(uri)}: not the address of a database; expected such as postgresql://user:password@host:5432/name"
        ) from error
    except OSError as error:
        reason = error.strerror or str(error)
        at_sign = "; an @ in the password is written %40" if "@" in address[0] else ""
        raise StoreError(
            f"{redact(uri)}: no database server answers there ({reason}). Start it, or correct MLFLOW_TRACKING_URI"
            f"{at_sign}"
        ) from error
