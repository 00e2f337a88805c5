"""Where the jobs of a sweep run: in this process, or in several of this machine; clusters are next door.

Each is the `_target_` of a file in `conf/launcher/`. A worker that dies takes no other job with it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from functools import cache

from adframe.errors import AdframeError
from adframe.sweeps.launcher import Job, needed

Ended = tuple[Job, str | None]
SAFE = "PYTHONSAFEPATH"  # of Python 3.11
DIED = "its process ended without a word; was the memory full? lower launcher.workers or batch_size"


def cores() -> int:
    """Of this machine, as far as this process may use them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Local:
    """One job after the other in this process."""

    lead = False  # each sees what those before it have stored

    def check(self) -> None:
        """Nothing is needed."""

    def at_once(self, count: int) -> int:
        del count
        return 1

    def run(self, jobs: Sequence[Job]) -> Iterator[Ended]:
        """Runs them in order, with the threads that this process has."""
        for job in jobs:
            yield job, job.from_hydra()


class Joblib:
    """Processes of this machine.

    Args:
        workers: how many at a time; None: as many as there are cores, or jobs.
        threads: of each; None: the cores divided between the workers.
        lead: whether the first run goes ahead with all cores where runs share features.
    """

    def __init__(self, *, workers: int | None = None, threads: int | None = None, lead: bool = True) -> None:
        self.lead = lead
        self.workers, self.threads = counted("workers", workers), counted("threads", threads)

    def check(self) -> None:
        """joblib has to be there."""
        needed("joblib", group="launcher", option="joblib", extra="joblib")

    def at_once(self, count: int) -> int:
        return max(1, min(self.workers or cores(), count))

    def run(self, jobs: Sequence[Job]) -> Iterator[Ended]:
        """Side by side; where a process dies, each job that had begun gets one to itself."""
        waiting = list(jobs)
        while waiting:
            ended: set[int] = set()
            for job, error in self._pool(waiting):
                ended.add(job.number)
                yield job, error
            left = [job for job in waiting if job.number not in ended]
            begun = [job for job in left if job.folder.exists()] or left
            for job in begun:
                yield next(self._pool([job]), (job, DIED))
            waiting = [job for job in left if job not in begun]

    def _pool(self, jobs: Sequence[Job]) -> Iterator[Ended]:
        """Each job that ended; breaks off where a process died."""
        import joblib
        from joblib.externals.loky.process_executor import BrokenProcessPool

        workers = self.at_once(len(jobs))
        threads = self.threads or max(1, cores() // workers)
        calls = (joblib.delayed(_numbered)(job, threads) for job in jobs)
        by_number = {job.number: job for job in jobs}
        with (
            _own_imports(),
            warnings.catch_warnings(),
            joblib.parallel_config(backend="loky", inner_max_num_threads=threads),
        ):
            warnings.filterwarnings("ignore", message="A worker stopped while some jobs")  # it was idle
            parallel = joblib.Parallel(
                n_jobs=max(2, workers),  # one would be this process itself
                return_as="generator_unordered",
                batch_size=1,
                pre_dispatch=workers,  # and so many at a time it is
            )
            try:
                for number, error in parallel(calls):
                    yield by_number[number], error
            except BrokenProcessPool:
                return


@contextlib.contextmanager
def _own_imports() -> Iterator[None]:
    """Processes that begin now look for no module in the working folder, which a sweep's book may name."""
    before = os.environ.get(SAFE)
    os.environ[SAFE] = "1"
    try:
        yield
    finally:
        os.environ.pop(SAFE)
        if before is not None:
            os.environ[SAFE] = before


def _numbered(job: Job, threads: int) -> tuple[int, str | None]:
    _end_with_parent()
    return job.number, job.apart(threads)


@cache
def _end_with_parent() -> None:
    """Ends this process when the one that began it is gone, however it went; once a process."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)  # nobody is left to be told; the sweep can be resumed

    threading.Thread(target=watch, daemon=True, name="parent").start()


def counted(name: str, value: int | None) -> int | None:
    """A number that was typed, or an error where it is none."""
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise AdframeError(f"launcher.{name}={value} is not possible; it must be a whole number above 0")
    return value
