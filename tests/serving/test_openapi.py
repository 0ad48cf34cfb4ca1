"""Tests of the service against its OpenAPI description, with generated requests."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from starlette.testclient import TestClient

HOST = {"Host": "127.0.0.1"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/predict"),
        ("POST", "/explain"),
        ("POST", "/feedback"),
        ("GET", "/model"),
        ("GET", "/health"),
        ("GET", "/metrics"),
    ],
)
def test_every_response_conforms_to_the_description(client: TestClient, method: str, path: str) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", client.app, headers=HOST)

    # Arrays of 784 pixels are slow to generate, and larger than Hypothesis recommends.
    @settings(max_examples=20, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=schema[path][method].as_strategy())
    def check_response(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=HOST)

    check_response()


def test_the_description_names_every_route(client: TestClient) -> None:
    described = set(client.get("/openapi.json").json()["paths"])
    assert described == {"/predict", "/explain", "/feedback", "/model", "/health", "/metrics"}


def test_the_documentation_loads_nothing_from_other_sites(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert "http" not in page.text
