"""Figures of the service, as Prometheus reads them."""

from __future__ import annotations

import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.model_manager import ModelManager
from serving.recognition import Recognition

BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5)


class Metrics:
    """One application's figures; several can live in a process.

    Args:
        throne: whose champion and swaps are shown.
    """

    def __init__(self, manager: ModelManager) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_ChampionCollector(manager))
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "mnist_requests", "Requests answered.", ["route", "method", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "mnist_request_seconds", "Time to answer.", ["route"], buckets=BUCKETS, registry=self._registry
        )
        self._digits = Counter("mnist_digits", "Digits recognised.", ["digit", "sure"], registry=self._registry)

    def count(self, recognitions: Iterable[Recognition]) -> None:
        """Note what was recognised; an empty picture counts as digit ``none``."""
        for one in recognitions:
            digit = "none" if one.digit is None else str(one.digit)
            self._digits.labels(digit, str(one.sure).lower()).inc()

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Note one request."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """All figures in Prometheus's text format."""
        return generate_latest(self._registry)


class CountRequests:
    """Times every request; by its route, since paths are without end."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and note it."""
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
            self._metrics.answered(route, _known_method(scope["method"]), status, time.perf_counter() - started)


class _ChampionCollector(Collector):
    def __init__(self, manager: ModelManager) -> None:
        self._throne = manager

    def collect(self) -> Iterable[CounterMetricFamily | InfoMetricFamily]:
        yield CounterMetricFamily("mnist_champion_swaps", "Champions replaced by another.", value=self._throne.swaps)
        info = InfoMetricFamily("mnist_champion", "The model that answers.")
        if champion := self._throne.champion:
            info.add_metric([], {"version": champion.facts.version, "sha256": champion.facts.sha256})
        yield info


def _known_method(method: str) -> str:
    return method if method in ("GET", "HEAD", "POST") else "other"
