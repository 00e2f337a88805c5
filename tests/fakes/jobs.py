"""A job of a sweep that does nothing but note when and where it ran, or dies."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class FakeJob:
    """Job `deadly` kills its process as the system does where memory is short."""

    number: int
    sweep: Path
    deadly: int | None = None

    @property
    def folder(self) -> Path:
        return self.sweep / str(self.number)

    def run_in_worker(self, threads: int) -> str | None:
        self.folder.mkdir(parents=True, exist_ok=True)
        start = time.time()
        time.sleep(0.3)
        if self.number == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        noted = {"process": os.getpid(), "threads": threads, "start": start, "end": time.time()}
        (self.folder / "noted.json").write_text(json.dumps(noted))
        return None

    run_protected = run_in_worker


def noted(sweep: Path) -> dict[str, dict[str, Any]]:
    """What each job noted, by number."""
    return {path.parent.name: json.loads(path.read_text()) for path in sorted(sweep.glob("*/noted.json"))}


@dataclass(frozen=True)
class WaitingJob(FakeJob):
    """One that ends once so many of them have begun: workers may take long to start on a busy machine."""

    together: int = 1

    def run_protected(self, threads: int) -> str | None:
        self.sweep.joinpath(f"{self.number}.begun").touch()
        end = time.monotonic() + 120
        while len(list(self.sweep.glob("*.begun"))) < self.together and time.monotonic() < end:
            time.sleep(0.05)
        return self.run_in_worker(threads)


@dataclass(frozen=True)
class SleepingJob(FakeJob):
    """One that says which process has it, and does not end by itself in any time that a test takes."""

    def run_protected(self, threads: int) -> str | None:
        del threads
        (self.sweep / f"{self.number}.pid").write_text(str(os.getpid()))
        time.sleep(300)
        return None
