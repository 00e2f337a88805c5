"""One served model: its batches, its log and its drift."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import asdict
from typing import Any

from adframe.inference.drift_reference import DriftReference
from adframe.inference.drift_report import alarm_rate
from adframe.inference.images import InputImage
from adframe.inference.prediction_log import PredictionLog
from adframe.inference.results import ImageResult
from adframe.serving.batching import Batcher, Detector
from adframe.serving.log import ServiceLog
from adframe.serving.metrics import ServiceMetrics
from adframe.serving.settings import ServiceSettings
from adframe.stats.drift_monitor import DriftMonitor, DriftSettings


class DriftState:
    """The drift of one model since the service was started.

    Args:
        reference: scores of normal images.
        settings: what is looked for.

    Example:
        >>> import numpy as np
        >>> state = DriftState(DriftReference("m", np.arange(50.0), "50 normal images"), DriftSettings())
        >>> state.add(3.0, anomalous=False)
        >>> state.record()["images"], state.record()["drift"]
        (1, False)
    """

    def __init__(self, reference: DriftReference, settings: DriftSettings) -> None:
        self._reference = reference
        self._monitor = DriftMonitor(reference.scores, settings)
        self._alarms, self._lock = 0, threading.Lock()

    def add(self, score: float, *, anomalous: bool) -> None:
        """Takes the next picture.

        Args:
            score: its raw score.
            anomalous: the decision.
        """
        with self._lock:
            self._monitor.update(score)
            self._alarms += anomalous

    @property
    def log_capital(self) -> float:
        """The natural logarithm of the capital against `nothing has changed`."""
        return self._monitor.log_capital

    @property
    def is_found(self) -> bool:
        """Whether drift was found since the start."""
        return self._monitor.alarm_at is not None

    def record(self) -> dict[str, Any]:
        """Returns the state as plain data for JSON."""
        with self._lock:
            monitor = self._monitor
            rate = None
            if monitor.seen:
                rate = asdict(
                    alarm_rate(
                        self._alarms, monitor.seen, guaranteed=self._reference.rate, settings=monitor.settings
                    )
                )
            return {
                "images": monitor.seen,
                "drift": self.is_found,
                "alarm_at": monitor.alarm_at,
                "anytime_p": monitor.anytime_p,
                "log_capital": {"last": monitor.log_capital, "limit": monitor.log_limit},
                "alarm_rate": rate,
                "settings": asdict(monitor.settings),
                "reference": {"images": len(self._reference.scores), "source": self._reference.source},
            }


class ServedModel:
    """A model with a name.

    Args:
        name: in the addresses of the service.
        detector: the model.
        settings: of the service.
        metrics: of the service.
        drift: its drift; None where it is not followed.
        log: where a failed warm-up is written; None for standard error.

    Attributes:
        name: as given.
        detector: as given; only `Batcher` inspects pictures with it.
        drift: as given.
    """

    def __init__(
        self,
        name: str,
        detector: Detector,
        *,
        settings: ServiceSettings,
        metrics: ServiceMetrics,
        drift: DriftState | None = None,
        log: ServiceLog | None = None,
    ) -> None:
        self.name, self.detector, self.drift = name, detector, drift
        self._metrics, self._events = metrics, log or ServiceLog()
        self._log = None
        if settings.log is not None:
            self._log = PredictionLog(settings.log, model=name, parquet=settings.log_parquet)
        self._batcher = Batcher(
            detector,
            batch_size=settings.batch_size,
            most_waiting=settings.queue,
            observe=self._observe,
            take=self._take,
            fail=self._report_failed_warm_up,
        )
        metrics.follow(
            "adframe_waiting_pictures", "Pictures that wait for a model.", model=name,
            value=lambda: self._batcher.waiting,
        )  # fmt: skip
        if drift is not None:
            metrics.follow(
                "adframe_drift_log_capital", "Logarithm of the capital against `nothing has changed`.",
                model=name, value=lambda: drift.log_capital,
            )  # fmt: skip
            metrics.follow(
                "adframe_drift_found", "1 if drift was found since the start.", model=name,
                value=lambda: float(drift.is_found),
            )  # fmt: skip

    @property
    def is_ready(self) -> bool:
        """Whether the model is warm and pictures are taken now."""
        return self._batcher.is_ready

    def check_room(self, count: int) -> None:
        """Checks whether pictures would be taken now.

        Args:
            count: number of pictures.

        Raises:
            RequestError: 503, the queue is full or the service stops.
        """
        self._batcher.check_room(count)

    def submit(self, images: Sequence[InputImage]) -> list[Future[ImageResult]]:
        """Puts pictures into the queue, as `Batcher.submit`.

        Args:
            images: decoded pictures.

        Returns:
            The future result of each.

        Raises:
            RequestError: 503, the queue is full or the service stops.
        """
        return self._batcher.submit(images)

    def close(self) -> None:
        """Inspects what waits, and finishes the log."""
        self._batcher.close()
        if self._log is not None:
            self._log.close()

    def _report_failed_warm_up(self, error: Exception) -> None:
        facts = {"kind": type(error).__name__, "text": f"{self.name} could not be warmed up: {error}"}
        self._events.write("error", facts)

    def _observe(self, count: int, seconds: float) -> None:
        self._metrics.batch.labels(self.name).observe(count)
        self._metrics.batch_seconds.labels(self.name).observe(seconds)

    def _take(self, result: ImageResult) -> None:
        row = result.row()
        self._metrics.pictures.labels(self.name, row["decision"]).inc()
        if self._log is not None:
            self._log.add(row)
        if self.drift is not None and result.error is None:
            self.drift.add(result.score, anomalous=result.anomalous)
