"""A service in this process with a model that only looks at the mean of a picture, and plain clients."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from adframe.contracts import Decision
from adframe.inference.images import InputImage
from adframe.inference.results import ImageResult
from adframe.serving.app import create_app
from adframe.serving.log import ServiceLog
from adframe.serving.metrics import ServiceMetrics
from adframe.serving.models import DriftState, ServedModel
from adframe.serving.server import create_server, open_socket
from adframe.serving.settings import ServiceSettings

THRESHOLD = 100.0


class MeanDetector:
    """Scores a picture by its mean; the heatmap is its first channel."""

    category, threshold = "mean", THRESHOLD
    calibration = SimpleNamespace(map_median=0.0, map_max=255.0)

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.may_work = threading.Event()
        self.may_work.set()

    def warm_up(self) -> None:
        self.may_work.wait(30)
        self.warmed_up = True

    def pixels(self, image: InputImage) -> np.ndarray:
        return image.pixels()

    def stream(self, images: Any, *, batch_size: int = 8, threads: int = 2) -> Iterator[ImageResult]:
        self.may_work.wait(30)
        listed = list(images)
        self.batches.append(len(listed))
        for image in listed:
            pixels = self.pixels(image)
            if pixels.dtype == np.uint16:
                pixels = pixels / 257
            if pixels[0, 0, 0] == 13 and pixels.shape[0] == 13:
                raise RuntimeError("a picture that breaks the model, /secret/path")
            heatmap = pixels[:, :, 0].astype(np.float32)
            decision = Decision(score=float(pixels.mean()), threshold=THRESHOLD)
            yield ImageResult(
                image.name, decision, heatmap, threshold_map=lambda h: h > THRESHOLD, milliseconds=1
            )


@dataclass
class Running:
    """A running service."""

    port: int
    detector: MeanDetector
    log: io.StringIO

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def predict(self, body: bytes, **headers: str) -> tuple[int, Any]:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        status, _, content = self.ask("POST", "/v1/models/mean/predict", body, named)
        return status, json.loads(content)

    def raw(self, data: bytes, *, seconds: float = 10) -> bytes:
        """Sends bytes that need not be HTTP, and returns what comes back until the other side closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            connection.sendall(data)
            found = b""
            with contextlib.suppress(OSError):
                while part := connection.recv(65536):
                    found += part
            return found

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


@contextlib.contextmanager
def running(*, drift: DriftState | None = None, **limits: Any) -> Iterator[Running]:
    """Runs a service on a free port until the block ends."""
    settings = ServiceSettings(port=0, **limits)
    detector, log, metrics = MeanDetector(), io.StringIO(), ServiceMetrics()
    model = ServedModel("mean", detector, settings=settings, metrics=metrics, drift=drift)
    app = create_app([model], settings, metrics=metrics, log=ServiceLog(log))
    server, listening = create_server(app, settings), open_socket(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    end = time.monotonic() + 30
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < end
        time.sleep(0.01)
    try:
        yield Running(listening.getsockname()[1], detector, log)
    finally:
        detector.may_work.set()
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


def picture(value: int, *, size: tuple[int, int] = (6, 4), kind: str = "PNG") -> bytes:
    """A picture of one grey value."""
    out = io.BytesIO()
    Image.fromarray(np.full((size[1], size[0], 3), value, np.uint8)).save(out, kind)
    return out.getvalue()


def multipart(parts: list[tuple[str, bytes]], *, boundary: str = "b0undary") -> tuple[bytes, str]:
    body = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="pictures"; filename="{name}"\r\n'
        f"Content-Type: image/png\r\n\r\n".encode()
        + content
        + b"\r\n"
        for name, content in parts
    )
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"
