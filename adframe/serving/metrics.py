"""What a service measures about itself, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class ServiceMetrics:
    """Counters, gauges and histograms of one service; two services in one process do not share them.

    Attributes:
        requests: answered requests by route and status.
        seconds: time of requests by route.
        pictures: inspected pictures by model and decision.
        batch: number of pictures of a batch by model.
        batch_seconds: time of a batch by model.
        rejected: requests that were refused, by the code of their error.

    Example:
        >>> metrics = ServiceMetrics()
        >>> metrics.pictures.labels("screw", "normal").inc()
        >>> b'adframe_pictures_total{decision="normal",model="screw"} 1.0' in metrics.text()
        True
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "adframe_requests", "Answered requests.", ("route", "status"), registry=registry
        )
        self.seconds = Histogram(
            "adframe_request_seconds", "Time of a request.", ("route",), buckets=_SECONDS, registry=registry
        )
        self.pictures = Counter(
            "adframe_pictures", "Inspected pictures.", ("model", "decision"), registry=registry
        )
        self.batch = Histogram(
            "adframe_batch_pictures", "Pictures inspected together.", ("model",),
            buckets=(1, 2, 4, 8, 16, 32, 64), registry=registry,
        )  # fmt: skip
        self.batch_seconds = Histogram(
            "adframe_batch_seconds", "Time of a batch.", ("model",), buckets=_SECONDS, registry=registry
        )
        self.rejected = Counter(
            "adframe_rejected", "Requests that were refused.", ("code",), registry=registry
        )
        self._live: dict[str, Gauge] = {}

    def follow(self, name: str, help_text: str, *, model: str, value: Callable[[], float]) -> None:
        """Adds a number that is read whenever Prometheus asks.

        Args:
            name: of the metric.
            help_text: what it is.
            model: name of the model.
            value: returns the number.
        """
        if name not in self._live:
            self._live[name] = Gauge(name, help_text, ("model",), registry=self._registry)
        self._live[name].labels(model).set_function(value)

    def text(self) -> bytes:
        """Returns all of them in the text format of Prometheus."""
        return generate_latest(self._registry)
