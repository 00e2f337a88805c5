"""Runs the jobs of a sweep on this machine, in this process or in several; `cluster` runs them elsewhere.

Each class is the `_target_` of a file in `conf/launcher/`. A worker that crashes stops no other job.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence

from adframe.errors import AdframeError
from adframe.io.child_processes import end_with_parent, environment_variables
from adframe.io.packages import require_package
from adframe.sweeps.launcher import Job

FinishedJob = tuple[Job, str | None]  # with an error that the job itself did not record
_SAFE_PATH = "PYTHONSAFEPATH"  # since Python 3.11
CRASH_MESSAGE = (
    "its process ended without an error message; was the memory full? lower launcher.workers or batch_size"
)


def available_cores() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Local:
    """Runs one job after the other in this process.

    Example:
        >>> list(Local().run([]))
        []
    """

    lead = False  # each run finds what earlier ones have stored

    def check(self) -> None:
        """Checks nothing: no package is needed."""

    def at_once(self, count: int) -> int:
        """Returns how many jobs run at the same time.

        Args:
            count: number of jobs.

        Returns:
            1.
        """
        del count
        return 1

    def run(self, jobs: Sequence[Job]) -> Iterator[FinishedJob]:
        """Runs jobs in order, with the threads of this process.

        Args:
            jobs: the jobs.

        Yields:
            Each job when it has ended.
        """
        for job in jobs:
            yield job, job.run_here()


class Joblib:
    """Runs jobs in several processes of this machine, with joblib.

    Args:
        workers: number of processes; None for the number of cores, or of jobs if that is smaller.
        threads: of each process; None divides the cores between them.
        lead: whether the first run goes ahead alone, with all cores, where runs share stored features.

    Raises:
        AdframeError: a number is not a whole number above 0.

    Example:
        >>> Joblib(workers=4).at_once(3)
        3
    """

    def __init__(self, *, workers: int | None = None, threads: int | None = None, lead: bool = True) -> None:
        self.lead = lead
        self.workers, self.threads = check_count("workers", workers), check_count("threads", threads)

    def check(self) -> None:
        """Checks that joblib is installed."""
        require_package("joblib", group="launcher", option="joblib", extra="joblib")

    def at_once(self, count: int) -> int:
        """Returns how many jobs run at the same time.

        Args:
            count: number of jobs.

        Returns:
            At least 1.
        """
        return max(1, min(self.workers or available_cores(), count))

    def run(self, jobs: Sequence[Job]) -> Iterator[FinishedJob]:
        """Runs jobs side by side; after a crash, each job that had started is run again alone.

        Args:
            jobs: the jobs.

        Yields:
            Each job when it has ended.
        """
        waiting = list(jobs)
        while waiting:
            ended: set[int] = set()
            for job, error in self._pool(waiting):
                ended.add(job.number)
                yield job, error
            remaining = [job for job in waiting if job.number not in ended]
            started = [job for job in remaining if job.folder.exists()] or remaining
            for job in started:
                yield next(self._pool([job]), (job, CRASH_MESSAGE))
            waiting = [job for job in remaining if job not in started]

    def _pool(self, jobs: Sequence[Job]) -> Iterator[FinishedJob]:
        """Yields each job that has ended; stops after a crash of a process."""
        import joblib
        from joblib.externals.loky.process_executor import BrokenProcessPool

        workers = self.at_once(len(jobs))
        threads = self.threads or max(1, available_cores() // workers)
        calls = (joblib.delayed(_run_numbered)(job, threads) for job in jobs)
        by_number = {job.number: job for job in jobs}
        with (
            # New processes import no module from the working folder, which a sweep's file may name.
            environment_variables({_SAFE_PATH: "1"}),
            warnings.catch_warnings(),
            joblib.parallel_config(backend="loky", inner_max_num_threads=threads),
        ):
            warnings.filterwarnings(
                "ignore", message="A worker stopped while some jobs"
            )  # because it was idle
            parallel = joblib.Parallel(
                n_jobs=max(2, workers),  # with one, joblib would use this process
                return_as="generator_unordered",
                batch_size=1,
                pre_dispatch=workers,  # this limits the number of jobs at the same time
            )
            try:
                for number, error in parallel(calls):
                    yield by_number[number], error
            except BrokenProcessPool:
                return


def _run_numbered(job: Job, threads: int) -> tuple[int, str | None]:
    end_with_parent()  # the sweep can be resumed
    return job.number, job.run_protected(threads)


def check_count(name: str, value: int | None) -> int | None:
    """Checks a number of the configuration.

    Args:
        name: its key below `launcher`.
        value: the number; None is allowed.

    Returns:
        The number.

    Raises:
        AdframeError: it is not a whole number above 0.
    """
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise AdframeError(f"launcher.{name}={value} is not possible; it must be a whole number above 0")
    return value
