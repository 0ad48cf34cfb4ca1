"""Curves of many runs, read in bulk."""

from __future__ import annotations

import json
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from experiments.tracking import curves, trial_results
from experiments.tracking.queries import find_sweep, read_recorded_spec, read_runs
from experiments.tracking.records import RunRecord
from experiments.tracking.store import Store
from mnist_core.metrics import Metric


@pytest.fixture
def runs(finished_store: Store) -> list[RunRecord]:
    return read_runs(finished_store, find_sweep(finished_store, "small"))


def one_by_one(store: Store, run: RunRecord, metric: Metric) -> list[float]:
    points = store.client.get_metric_history(run.run_id, metric.value)
    return [point.value for point in sorted(points, key=lambda point: point.step) if point.step > 0]


class Server:
    """A server's answers to requests for curves, from a store; it cuts them after some values."""

    def __init__(self, store: Store, max_values: int = 25_000, status: int = 200) -> None:
        self._store, self._max_values, self._status = store.client._tracking_client.store, max_values, status
        self.requests = 0

    def __call__(self, host: Any, endpoint: str, method: str, params: dict[str, Any]) -> Any:
        self.requests += 1
        found = self._store.get_metric_history_bulk(params["run_id"], params["metric_key"], self._max_values)
        text = json.dumps({"metrics": [metric.to_dict() for metric in found]})
        return SimpleNamespace(status_code=self._status, text=text, json=lambda: json.loads(text))


class RemoteClient:
    """The client of a store that is not a database of this process."""

    def __init__(self, store: Store) -> None:
        self._client = store.client
        self._tracking_client = SimpleNamespace(store=SimpleNamespace(get_host_creds=lambda: None))

    def get_metric_history(self, run_id: str, key: str) -> Any:
        return self._client.get_metric_history(run_id, key)


def remote(store: Store) -> Store:
    return Store("http://127.0.0.1:9", RemoteClient(store), store.experiment_id)  # type: ignore[arg-type]


def test_curves_in_bulk_are_those_of_each_run(finished_store: Store, runs: list[RunRecord]) -> None:
    found = curves.read_curves(finished_store, runs, Metric.VAL_ACCURACY)
    values = {run_id: [point.value for point in curve] for run_id, curve in found.items()}
    assert values == {run.run_id: one_by_one(finished_store, run, Metric.VAL_ACCURACY) for run in runs}
    assert all(values.values())


@pytest.mark.parametrize(("max_values", "status"), [(25_000, 200), (3, 200), (25_000, 404)])
def test_a_server_gives_the_same_curves_whole(
    finished_store: Store, runs: list[RunRecord], monkeypatch: pytest.MonkeyPatch, max_values: int, status: int
) -> None:
    server = Server(finished_store, max_values, status)
    monkeypatch.setattr("mlflow.utils.rest_utils.http_request", server)
    monkeypatch.setattr(curves, "MAX_VALUES", max_values)
    found = curves.read_curves(remote(finished_store), runs, Metric.LOSS)
    assert found == curves.read_curves(finished_store, runs, Metric.LOSS)
    assert server.requests > 0


def test_a_resumed_sweep_reads_its_curves_in_one_call_for_each_metric(
    finished_store: Store, runs: list[RunRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = read_recorded_spec(finished_store, find_sweep(finished_store, "small"))
    calls: Counter[str] = Counter()
    backend = finished_store.client._tracking_client.store
    for name in ("get_metric_history", "get_metric_history_bulk", "get_run"):
        read = getattr(backend, name)

        def counted(*args: Any, name: str = name, read: Any = read, **options: Any) -> Any:
            calls[name] += 1
            return read(*args, **options)

        monkeypatch.setattr(backend, name, counted)
    state = trial_results.read_resume_state(finished_store, runs, spec)
    assert calls == {"get_metric_history_bulk": len(Metric)}
    for one, run in zip(state.finished, runs, strict=True):
        assert [epoch.val_loss for epoch in one.result.history] == one_by_one(finished_store, run, Metric.VAL_LOSS)
