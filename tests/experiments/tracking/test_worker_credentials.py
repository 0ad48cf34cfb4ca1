"""Environment variables with credentials of the store, and their absence in workers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments import LaunchOptions, parse_spec, run_sweep
from experiments.tracking.credentials import credential_variables

PASSWORDS = {
    "MLFLOW_TRACKING_USERNAME": "ada",
    "MLFLOW_TRACKING_PASSWORD": "lovelace",
    "MLFLOW_TRACKING_TOKEN": "a-token",
    "AWS_ACCESS_KEY_ID": "AKIA",
    "AWS_SECRET_ACCESS_KEY": "a-key",
    "AWS_SESSION_TOKEN": "another-token",
}


@pytest.mark.parametrize(
    "name",
    [
        *PASSWORDS,
        "MLFLOW_TRACKING_AUTH",
        "MLFLOW_TRACKING_AWS_SIGV4",
        "MLFLOW_TRACKING_CLIENT_CERT_PATH",
        "MLFLOW_FLASK_SERVER_SECRET_KEY",
        "DATABRICKS_TOKEN",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AZURE_STORAGE_CONNECTION_STRING",
        "AZURE_CLIENT_SECRET",
        "GOOGLE_APPLICATION_CREDENTIALS",
    ],
)
def test_a_variable_with_credentials_is_recognised_by_its_name(name: str) -> None:
    assert credential_variables({name: "x"}) == (name,)


@pytest.mark.parametrize(
    "uri",
    [
        "https://ada:lovelace@mlflow.example.org/x",
        "postgresql+psycopg2://ada@db/mlflow",
        "postgresql://db/mlflow?user=ada&password=lovelace",
    ],
)
def test_a_variable_with_credentials_is_recognised_by_a_url_with_a_user_or_a_password(uri: str) -> None:
    assert credential_variables({"MLFLOW_TRACKING_URI": uri}) == ("MLFLOW_TRACKING_URI",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MLFLOW_TRACKING_URI", "https://mlflow.example.org/of@home"),
        ("MLFLOW_TRACKING_URI", "sqlite:///a@b.db"),
        ("MLFLOW_TRACKING_SERVER_CERT_PATH", "/etc/ssl/server.pem"),
        ("MLFLOW_LOGGING_LEVEL", "ERROR"),
        ("AWS_REGION", "eu-central-1"),
        ("HTTPS_PROXY", "http://ada:lovelace@proxy.example.org"),
        ("MY_OWN_TOKEN", "x"),
        ("PATH", "/bin"),
    ],
)
def test_workers_keep_all_other_variables(name: str, value: str) -> None:
    assert credential_variables({name: value}) == ()


SWEEP = """
name = "recording"
engine = "optuna"
sampler = "grid"
model = "tests.helpers.custom_parts:recording_its_environment"
data = "tests.helpers.custom_parts:stripes"
training = { epochs = 1 }
space = { units = [4] }
"""


def test_a_worker_has_no_credentials(
    new_store: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in PASSWORDS.items():
        monkeypatch.setenv(name, value)
    options = LaunchOptions(workers=1, tracking_uri=new_store(), report=False, on_message=lambda line: None)
    result = run_sweep(parse_spec(SWEEP), options)
    assert result.best is not None
    environment = json.loads((tmp_path / "environment.json").read_text(encoding="utf-8"))
    assert "PATH" in environment
    assert [name for name in PASSWORDS if name in environment] == []
