"""Load test of `adframe serve` on this machine, next to the bare model.

    python -m benchmarks.serve                                         # trains a model of toy images first
    python -m benchmarks.serve <run> --images <folder>                 # 2,000 requests of 16 clients
    python -m benchmarks.serve <run> --images <folder> --requests 200

The service runs in a process of its own. Of every 50 requests one is a broken picture, one a body that stops
half-way, and one is sent slowly, a tenth at a time. Every answer is compared with the result of the bare
model for the same file. Bare is `detector.stream` over the same files in one process, in batches of that
size. Clients take time of the processor too; on a machine with few cores the ratio is lower for it.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import adframe
from adframe.inference.images import input_images

BATCH = 8
GOOD, BROKEN, CUT, SLOW = "good", "broken", "cut", "slow"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, nargs="?", help="of one model; without it one is trained on toy")
    parser.add_argument("--images", type=Path, help="folder of PNG files")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=16)
    options = parser.parse_args()
    if (options.run is None) != (options.images is None):
        parser.error("give a run and its --images, or neither")
    with tempfile.TemporaryDirectory() as folder:
        run, images = options.run, options.images
        if run is None:
            run, images = Path(folder) / "run", Path(folder) / "toy" / "weave" / "test"
            adframe.train(
                "category=weave", f"dataset.root={Path(folder) / 'toy'}", f"paths.run={run}", "logger=none"
            )
        files = sorted(images.rglob("*.png"))
        found = measure(run, files, requests=options.requests, clients=options.clients)
    table = Table("what", "value", title=f"{options.requests} requests, {options.clients} clients")
    for name, value in found.items():
        table.add_row(name, f"{value:.3f}" if isinstance(value, float) else str(value))
    Console().print(table)
    if found["lost"] or found["wrong"]:
        raise SystemExit("answers are lost or wrong")


def measure(
    run: Path, files: Sequence[Path], *, requests: int, clients: int, repeats: int = 3
) -> dict[str, float | int | str]:
    """Measures the service and the bare model.

    Args:
        run: the folder of a run with one model.
        files: PNG files.
        requests: number of requests.
        clients: number of clients that ask at the same time.
        repeats: how often the bare model inspects the files, before and after the service.

    Returns:
        Counts, times and memory by name.
    """
    detector = adframe.load(run)
    expected = [result.score for result in detector.predict(list(files), batch_size=BATCH)]
    contents = [path.read_bytes() for path in files]
    before = bare_rate(detector, files, repeats=repeats)
    with Service(run) as service:
        load = Load(service.port, contents, expected)
        load.run(min(64, requests), clients=clients)  # warm
        memory = [service.memory()]
        load = Load(service.port, contents, expected)
        start = time.perf_counter()
        parts = 8
        for _ in range(parts):
            load.run(requests // parts, clients=clients)
            memory.append(service.memory())
        seconds = time.perf_counter() - start
        plain = Load(service.port, contents, expected, plain=True)
        start = time.perf_counter()
        plain.run(requests // 4, clients=clients)
        plain_rate = (requests // 4) / (time.perf_counter() - start)
    bare = (before + bare_rate(detector, files, repeats=repeats)) / 2
    milliseconds = 1000 * np.array(load.seconds)
    return {
        "answered as expected": load.counts["right"],
        "lost": load.counts["lost"],
        "wrong": load.counts["wrong"] + plain.counts["wrong"] + plain.counts["lost"],
        "broken pictures, refused": load.counts["refused"],
        "bodies that stop half-way": load.counts["cut"],
        "slow clients, answered": load.counts["slow"],
        "requests a second, all kinds": requests / seconds,
        "pictures a second, good requests alone": plain_rate,
        "pictures a second, bare model": bare,
        "ratio": plain_rate / bare,
        "p50, ms": float(np.quantile(milliseconds, 0.5)),
        "p95, ms": float(np.quantile(milliseconds, 0.95)),
        "resident memory, MiB": " ".join(f"{each:.0f}" for each in memory),
        "growth after the first eighth, MiB": memory[-1] - memory[1],
    }


def bare_rate(detector: adframe.TrainedDetector, files: Sequence[Path], *, repeats: int) -> float:
    """Returns the pictures that the model inspects in a second."""
    listed, _ = input_images(list(files))
    start = time.perf_counter()
    for _ in range(repeats):
        for result in detector.stream(listed, batch_size=BATCH):
            result.record()
    return repeats * len(files) / (time.perf_counter() - start)


class Service:
    """`adframe serve` in a process of its own, on a free port."""

    def __init__(self, run: Path) -> None:
        command = [sys.executable, "-m", "adframe", "serve", f"model={run}", "--port", "0", "--timeout", "5"]
        self._process = subprocess.Popen(
            [*command, "--batch-size", str(BATCH)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Service:
        assert self._process.stdout is not None
        found = re.search(r":(\d+);", self._process.stdout.readline())
        assert found is not None, "the service did not start"
        self.port = int(found[1])
        end = time.monotonic() + 60
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    return self
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.1)

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(60) == 0, "the service did not stop as it should"

    def memory(self) -> float:
        """Returns the resident memory in MiB."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


class Load:
    """Clients that ask at the same time, and compare what they get."""

    def __init__(
        self, port: int, contents: Sequence[bytes], expected: Sequence[float], *, plain: bool = False
    ) -> None:
        self._port, self._contents, self._expected, self._plain = port, contents, expected, plain
        self.counts: Counter[str] = Counter()
        self.seconds: list[float] = []
        self._lock, self._numbers = threading.Lock(), itertools.count()

    def run(self, requests: int, *, clients: int) -> None:
        """Sends requests and waits for all answers."""
        left = iter(range(requests))
        threads = [threading.Thread(target=self._client, args=(left,)) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _client(self, left: itertools.count[int]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        while True:
            with self._lock:
                if next(left, None) is None:
                    return
                number = next(self._numbers)
            kind = {7: BROKEN, 23: CUT, 41: SLOW}.get(number % 50, GOOD) if not self._plain else GOOD
            start = time.perf_counter()
            try:
                outcome = self._one(connection, number % len(self._contents), kind)
            except (OSError, http.client.HTTPException, ValueError, KeyError):
                outcome = "lost"
                connection.close()
            with self._lock:
                self.counts[outcome] += 1
                if kind == GOOD:
                    self.seconds.append(time.perf_counter() - start)

    def _one(self, connection: http.client.HTTPConnection, place: int, kind: str) -> str:
        content = self._contents[place]
        if kind == SLOW:
            return "slow" if self._slowly(content) == self._expected[place] else "wrong"
        if kind == CUT:
            with socket.create_connection(("127.0.0.1", self._port), timeout=60) as other:
                other.sendall(_head(len(content)) + content[: len(content) // 2])
            return "cut"  # nobody is left to take an answer
        body = content[: len(content) // 2] if kind == BROKEN else content
        connection.request(
            "POST", "/v1/models/model/predict", body, {"Content-Type": "application/octet-stream"}
        )
        answer = connection.getresponse()
        found = json.loads(answer.read())
        if kind == BROKEN:
            return "refused" if answer.status == 422 else "wrong"
        if answer.status != 200:
            return "lost"
        return "right" if found["results"][0]["score"] == self._expected[place] else "wrong"

    def _slowly(self, content: bytes) -> float:
        with socket.create_connection(("127.0.0.1", self._port), timeout=60) as other:
            other.sendall(_head(len(content)))
            for start in range(0, len(content), max(1, len(content) // 10)):
                other.sendall(content[start : start + max(1, len(content) // 10)])
                time.sleep(0.05)
            answer = http.client.HTTPResponse(other)
            answer.begin()
            return float(json.loads(answer.read())["results"][0]["score"])


def _head(length: int) -> bytes:
    return (
        "POST /v1/models/model/predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


if __name__ == "__main__":
    main()
