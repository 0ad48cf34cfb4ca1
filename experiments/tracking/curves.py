"""Curves of many runs, read in bulk: a call for many runs instead of one for each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from experiments.tracking.queries import utc_time
from experiments.tracking.records import CurvePoint, RunRecord
from experiments.tracking.store import Store
from mnist_core.metrics import MONITORED, EpochMetrics, Metric

if TYPE_CHECKING:
    from mlflow.entities import Metric as Point

# A database binds a variable for each run: some take no more than 999.
RUNS_OF_DATABASE = 500
# A server takes 100 runs in a request, Gunicorn a first line of 4,094 bytes, of which a run needs 40.
RUNS_OF_SERVER = 80
# A server returns no more values than that, and does not say that there are more.
MAX_VALUES = 25_000
ENDPOINT = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"


def read_curves(store: Store, runs: Iterable[RunRecord], metric: Metric) -> dict[str, tuple[CurvePoint, ...]]:
    """Read one metric of many runs, epoch by epoch, by run id; a run without it has an empty curve."""
    ids = [run.run_id for run in runs]
    with store.errors(f"reading {metric.value} of {len(ids):,} runs"):
        found = _read(store, ids, metric.value)
    return {run_id: _curve(found.get(run_id, ())) for run_id in ids}


def read_epochs_of(store: Store, runs: Sequence[RunRecord]) -> dict[str, tuple[EpochMetrics, ...]]:
    """Read every epoch of many runs, by run id; runs of versions without a curve of a metric have None for it."""
    curves: dict[str, dict[str, list[float]]] = {run.run_id: {} for run in runs}
    for metric in Metric:
        having = [run for run in runs if metric in MONITORED or metric.value in run.metrics]
        for run_id, curve in read_curves(store, having, metric).items():
            curves[run_id][metric.value] = [point.value for point in curve]
    return {
        run_id: tuple(
            EpochMetrics(**dict(zip(named, values, strict=True))) for values in zip(*named.values(), strict=False)
        )
        for run_id, named in curves.items()
    }


def _curve(points: Iterable[Point]) -> tuple[CurvePoint, ...]:
    # Step 0 is no epoch: an earlier version recorded evaluations on data called "val" there.
    ordered = sorted((point for point in points if point.step > 0), key=lambda point: point.step)
    return tuple(CurvePoint(point.value, utc_time(point.timestamp)) for point in ordered)


def _read(store: Store, ids: Sequence[str], name: str) -> Mapping[str, list[Point]]:
    found: dict[str, list[Point]] = defaultdict(list)
    # Private, but the client has a call for one run only.
    backend = store.client._tracking_client.store
    if hasattr(backend, "get_metric_history_bulk"):
        for some in _batches(ids, RUNS_OF_DATABASE):
            for point in backend.get_metric_history_bulk(some, name, None):
                found[point.run_id].append(point)
    elif hasattr(backend, "get_host_creds"):
        for some in _batches(ids, RUNS_OF_SERVER):
            _request(store, backend, some, name, found)
    else:
        _read_each(store, ids, name, found)
    return found


def _batches(ids: Sequence[str], size: int) -> Iterable[list[str]]:
    return (list(ids[start : start + size]) for start in range(0, len(ids), size))


def _request(store: Store, backend: Any, ids: list[str], name: str, found: dict[str, list[Point]]) -> None:
    """Read curves from a server; one by one where it does not know the request, in halves where it cuts the reply."""
    from mlflow.entities import Metric as Point
    from mlflow.utils.rest_utils import http_request, verify_rest_response

    if len(ids) == 1:
        _read_each(store, ids, name, found)
        return
    response = http_request(  # type: ignore[no-untyped-call]
        backend.get_host_creds(), ENDPOINT, "GET", params={"run_id": ids, "metric_key": name, "max_results": MAX_VALUES}
    )
    if response.status_code == 404:
        _read_each(store, ids, name, found)
        return
    points = verify_rest_response(response, ENDPOINT).json()["metrics"]
    if len(points) >= MAX_VALUES:
        middle = len(ids) // 2
        _request(store, backend, ids[:middle], name, found)
        _request(store, backend, ids[middle:], name, found)
        return
    for point in points:
        found[point["run_id"]].append(Point(name, float(point["value"]), point["timestamp"], point["step"]))


def _read_each(store: Store, ids: Sequence[str], name: str, found: dict[str, list[Point]]) -> None:
    for run_id in ids:
        found[run_id] = list(store.client.get_metric_history(run_id, name))
