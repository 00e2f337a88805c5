"""Inspects pictures of several requests together: one thread per model, and a queue with a bound."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from adframe.inference.images import InputImage
from adframe.inference.results import ImageResult
from adframe.serving.errors import RequestError

Observer = Callable[[int, float], None]  # number of pictures of a batch, and its seconds


class Detector(Protocol):
    """What the service needs of a model: `adframe.load` returns it."""

    def stream(self, images: Any, *, batch_size: int = 8, threads: int = 2) -> Iterator[ImageResult]:
        """Inspects images one batch after the other."""
        ...

    def warm_up(self) -> None:
        """Does once what makes a first image slow."""
        ...


@dataclass(slots=True)
class _Job:
    image: InputImage
    future: Future[ImageResult] = field(default_factory=Future)


class Batcher:
    """Passes pictures to a model in batches, in the order in which they came.

    The thread first warms the model up, and is not ready before; pictures that come earlier wait.

    A batch is what waits when the model is free, up to its size: a single picture is inspected at once, and
    under load batches fill while the model works.

    Args:
        detector: the model; only the thread of this object uses it.
        batch_size: largest number of pictures of a batch.
        most_waiting: largest number of pictures that wait.
        observe: called after every batch.
        take: called with every result, in order, before the request that waits for it goes on.
        fail: called with what went wrong while the model was warmed up; then it never becomes ready, but
            takes pictures, whose requests get their own errors.

    Example:
        >>> batcher = Batcher(detector, batch_size=8, most_waiting=64)  # doctest: +SKIP
        >>> [future] = batcher.submit([InputImage("a.png", pixels)])  # doctest: +SKIP
        >>> future.result().score  # doctest: +SKIP
    """

    def __init__(
        self,
        detector: Detector,
        *,
        batch_size: int,
        most_waiting: int,
        observe: Observer = lambda _count, _seconds: None,
        take: Callable[[ImageResult], None] = lambda _result: None,
        fail: Callable[[Exception], None] = lambda _error: None,
    ) -> None:
        self._detector, self._batch_size, self._most = detector, batch_size, most_waiting
        self._observe, self._take, self._fail = observe, take, fail
        self._is_warm = False
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._waiting, self._lock, self._closed = 0, threading.Lock(), False
        self._thread = threading.Thread(target=self._work, name="adframe-batches", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """The number of pictures that are not inspected yet."""
        return self._waiting

    @property
    def is_ready(self) -> bool:
        """Whether the model is warm and pictures are taken now."""
        return self._is_warm and self._thread.is_alive() and not self._closed and self._waiting < self._most

    def check_room(self, count: int) -> None:
        """Checks whether pictures would be taken now.

        Args:
            count: number of pictures.

        Raises:
            RequestError: 503, the queue is full or the service stops.
        """
        if self._closed:
            raise RequestError(503, "stopping", "the service is stopping")
        if self._waiting + count > self._most:
            raise RequestError(503, "busy", f"{self._waiting} pictures are waiting; try again later")

    def submit(self, images: Sequence[InputImage]) -> list[Future[ImageResult]]:
        """Puts pictures into the queue: all of them, or none.

        Args:
            images: decoded pictures.

        Returns:
            The future result of each.

        Raises:
            RequestError: 503, the queue is full or the service stops.
        """
        jobs = [_Job(image) for image in images]
        with self._lock:
            self.check_room(len(jobs))
            self._waiting += len(jobs)
            for job in jobs:
                self._jobs.put(job)
        return [job.future for job in jobs]

    def close(self) -> None:
        """Inspects what is in the queue, then ends the thread."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        try:
            self._detector.warm_up()
            self._is_warm = True
        except Exception as error:
            self._fail(error)
        while (first := self._jobs.get()) is not None:
            batch, ended = [first], False
            while len(batch) < self._batch_size and not ended:
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if job is None:
                    ended = True
                else:
                    batch.append(job)
            start = time.perf_counter()
            self._inspect(batch)
            self._observe(len(batch), time.perf_counter() - start)
            with self._lock:
                self._waiting -= len(batch)
            if ended:
                return

    def _inspect(self, batch: Sequence[_Job]) -> None:
        try:
            results = self._results([job.image for job in batch])
        except Exception as error:
            if len(batch) > 1:  # one picture must not cost the others their result
                for job in batch:
                    self._inspect([job])
                return
            batch[0].future.set_exception(error)
            return
        for job, result in zip(batch, results, strict=True):
            try:
                self._take(result)
            except Exception as error:
                job.future.set_exception(error)
            else:
                job.future.set_result(result)

    def _results(self, images: list[InputImage]) -> list[ImageResult]:
        results = list(self._detector.stream(images, batch_size=len(images), threads=1))
        if len(results) != len(images):
            raise RuntimeError(f"the model gave {len(results)} results for {len(images)} pictures")
        return results
