"""Metrics of the service in Prometheus's format."""

from __future__ import annotations

import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.model_manager import ModelManager
from serving.recognition import Recognition

SECONDS_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5)


class ServiceMetrics:
    """Metrics of one application. Several applications can live in a process.

    Args:
        manager: holds the champion and counts its swaps.
    """

    def __init__(self, manager: ModelManager) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_ChampionCollector(manager))
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "mnist_requests", "Requests answered.", ["route", "method", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "mnist_request_seconds", "Time to answer.", ["route"], buckets=SECONDS_BUCKETS, registry=self._registry
        )
        self._digits = Counter("mnist_digits", "Digits recognised.", ["digit", "sure"], registry=self._registry)

    def count_digits(self, recognitions: Iterable[Recognition]) -> None:
        """Count the recognised digits; an empty picture counts as digit ``none``."""
        for recognition in recognitions:
            digit = "none" if recognition.digit is None else str(recognition.digit)
            self._digits.labels(digit, str(recognition.sure).lower()).inc()

    def count_request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one request and the seconds that it took."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def render(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return generate_latest(self._registry)


class RequestMetrics:
    """Counts and times every request by its route, since paths are without end."""

    def __init__(self, app: ASGIApp, metrics: ServiceMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, started = 500, time.perf_counter()

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            route = getattr(scope.get("route"), "path", "") or "other"
            self._metrics.count_request(route, _known_method(scope["method"]), status, time.perf_counter() - started)


class _ChampionCollector(Collector):
    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager

    def collect(self) -> Iterable[CounterMetricFamily | InfoMetricFamily]:
        swaps = self._manager.swaps
        yield CounterMetricFamily("mnist_champion_swaps", "Champions replaced by another.", value=swaps)
        family = InfoMetricFamily("mnist_champion", "The champion that is served.")
        if champion := self._manager.champion:
            family.add_metric([], {"version": champion.info.version, "sha256": champion.info.sha256})
        yield family
        runtime = InfoMetricFamily("mnist_runtime", "The runtime that predicts.")
        if champion:
            runtime.add_metric([], {"runtime": champion.predictor.runtime.value})
        yield runtime


def _known_method(method: str) -> str:
    return method if method in ("GET", "HEAD", "POST") else "other"
