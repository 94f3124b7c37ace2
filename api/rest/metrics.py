"""`/metrics` for Prometheus: requests of this process, and what the whole installation has to do.

Counts of runs, boards and waiting events are made when they are asked for; every api process tells the same ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from api.rest.endpoint import Endpoint, peer
from api.rest.health import Dependencies
from api.services import Services
from api.settings import ApiSettings
from orchestrator.errors import Forbidden

#: Upper bounds of the histogram's buckets, seconds.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The metrics of one application."""

    def __init__(self, app: Flask, services: Services, dependencies: Dependencies) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Installation(services, dependencies))
        self._requests = Counter(
            "workty_http_requests_total",
            "Requests that were answered",
            ("method", "endpoint", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "workty_http_request_seconds",
            "How long answers took",
            ("method", "endpoint"),
            buckets=BUCKETS,
            registry=self._registry,
        )
        app.before_request(_begin)
        app.after_request(self._count)

    def text(self) -> bytes:
        """All metrics as Prometheus reads them."""
        return generate_latest(self._registry)

    def _count(self, response: Response) -> Response:
        # Paths that nobody serves would make a series each.
        rule = request.url_rule
        endpoint = "unknown" if rule is None else rule.rule
        method = request.method if request.method in _METHODS else "other"
        self._requests.labels(method, endpoint, str(response.status_code)).inc()
        self._seconds.labels(method, endpoint).observe(time.perf_counter() - g.pop("began", time.perf_counter()))
        return response


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})


def _begin() -> None:
    g.began = time.perf_counter()


class _Installation(Collector):
    """What the database and the broker know; what is away is left out, and said so."""

    def __init__(self, services: Services, dependencies: Dependencies) -> None:
        self._services = services
        self._dependencies = dependencies

    def describe(self) -> Iterable[Metric]:
        """Nothing: nobody is to be asked before the first scrape."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The present values."""
        present = self._dependencies.present()
        yield _gauge(
            "workty_dependency_up", "Whether it answers", "dependency", {k: int(v) for k, v in present.items()}
        )
        if present["database"]:
            yield _gauge("workty_runs", "Runs by state", "state", self._services.history.states())
            yield _gauge("workty_boards", "Boards by state", "state", self._services.board_states())
            yield from self._speed()
        if present["broker"]:
            waiting = self._services.broker.waiting()
            yield _gauge("workty_queue_messages", "Messages that wait to be read", "queue", waiting)

    def _speed(self) -> Iterator[Metric]:
        now = self._services.clock()
        steps = self._services.history.steps_per_second(now)
        yield GaugeMetricFamily("workty_steps_per_second", "Steps that ended in the last minute, a second", steps)
        lag = self._services.pulse.lag(now)
        if lag is not None:
            text = "Seconds since an orchestrator had read all events of boards"
            yield GaugeMetricFamily("workty_event_lag_seconds", text, lag)


def _gauge(name: str, text: str, label: str, values: Mapping[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


class MetricsPage(Endpoint):
    """`/metrics`: for this machine and for admins, unless a setting opens it to everybody."""

    def __init__(self, *args: Any, text: Callable[[], bytes], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._text = text

    def dispatch_request(self, **_path: str) -> Response:
        """The metrics. Raises `InvalidCredentials`, `Forbidden`."""
        if not (self.settings.metrics_public or peer().is_local) and not self.authenticate().is_admin:
            raise Forbidden
        return Response(self._text(), content_type=CONTENT_TYPE_LATEST)


def add_metrics(app: Flask, services: Services, settings: ApiSettings, dependencies: Dependencies) -> None:
    """Count the requests of an application, and add `/metrics` to it."""
    metrics = Metrics(app, services, dependencies)
    page = MetricsPage.as_view("metrics", services=services, settings=settings, text=metrics.text)
    app.add_url_rule("/metrics", view_func=page, methods=["GET"])
