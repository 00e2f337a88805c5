"""Runs the jobs of a sweep with Ray or SLURM, on a cluster or, to try them, on this machine."""

from __future__ import annotations

import re
import shutil
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from adframe.errors import AdframeError
from adframe.io.packages import require_package
from adframe.io.ray_session import ray_session
from adframe.sweeps.launcher import Job
from adframe.sweeps.local import CRASH_MESSAGE, FinishedJob, available_cores, check_count


class Ray:
    """Runs jobs with Ray, on this machine or on a cluster that has the same folders.

    Args:
        address: of a cluster; None starts Ray on this machine.
        workers: number of jobs at the same time on this machine; None for the number of cores, or of jobs if
            that is smaller.
        threads: cores per job; None divides the cores of this machine, on a cluster it stands for 1.
        gpus: per job; a fraction shares a GPU.
        lead: whether the first run goes ahead alone where runs share stored features.

    Raises:
        AdframeError: a number is not a whole number above 0.

    Example:
        >>> Ray(workers=2).at_once(5)
        2
    """

    def __init__(
        self,
        *,
        address: str | None = None,
        workers: int | None = None,
        threads: int | None = None,
        gpus: float = 0,
        lead: bool = True,
    ) -> None:
        self.lead = lead
        self.workers, self.threads = check_count("workers", workers), check_count("threads", threads)
        self.address, self.gpus = address, gpus

    def check(self) -> None:
        """Checks that Ray is installed."""
        require_package("ray", group="launcher", option="ray", extra="ray")

    def at_once(self, count: int) -> int:
        """Returns how many jobs run at the same time.

        Args:
            count: number of jobs.

        Returns:
            At least 1; on a cluster all of them, because Ray decides.
        """
        return count if self.address else max(1, min(self.workers or available_cores(), count))

    def run(self, jobs: Sequence[Job]) -> Iterator[FinishedJob]:
        """Runs jobs side by side; Ray is stopped at the end, also after an error.

        Args:
            jobs: the jobs.

        Yields:
            Each job when it has ended.

        Raises:
            AdframeError: the cluster cannot be reached.
        """
        if not jobs:
            return
        import ray

        workers = self.at_once(len(jobs))
        threads = self.threads or (1 if self.address else max(1, available_cores() // workers))
        with ray_session(self.address, option="launcher.address", cores=workers * threads):
            work = ray.remote(num_cpus=threads, num_gpus=self.gpus, max_retries=0)(_run_protected)
            tasks = {work.remote(job, threads): job for job in jobs}
            while tasks:
                for task in ray.wait(list(tasks), num_returns=1)[0]:
                    try:
                        error = ray.get(task)
                    except ray.exceptions.RayError as lost:
                        crashed = isinstance(lost, ray.exceptions.WorkerCrashedError)
                        # Below its first line, the error of a lost machine has the log of that machine.
                        error = CRASH_MESSAGE if crashed else str(lost).strip().splitlines()[0]
                    yield tasks.pop(task), error


class Slurm:
    """Submits jobs to SLURM with submitit; this process waits for them.

    Args:
        cluster: `slurm`, or `local` for processes of this machine.
        workers: number of jobs at the same time.
        threads: cores per job.
        minutes: time limit of a job; SLURM then queues it again, and it resumes.
        memory_gb: per job.
        gpus: per job.
        partition: of the cluster; None for its default.
        extra: other options of sbatch.

    Raises:
        AdframeError: the cluster is unknown, or a number is not a whole number above 0.

    Example:
        >>> Slurm(cluster="local", workers=2).at_once(5)
        2
    """

    lead = False  # the first run may wait in the queue for a long time

    def __init__(
        self,
        *,
        cluster: str = "slurm",
        workers: int = 32,
        threads: int = 4,
        minutes: int = 240,
        memory_gb: float = 16,
        gpus: int = 0,
        partition: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        if cluster not in ("slurm", "local"):
            raise AdframeError(f"launcher.cluster={cluster} is not possible; it must be slurm or local")
        check_count("workers", workers), check_count("threads", threads), check_count("minutes", minutes)
        self.cluster, self.workers, self.threads = cluster, workers, threads
        self.resources = {"timeout_min": minutes, "cpus_per_task": threads, "mem_gb": memory_gb}
        self.resources |= {"gpus_per_node": gpus} if gpus else {}
        own = {"slurm_array_parallelism": workers, "slurm_additional_parameters": dict(extra or {})}
        self.slurm_options = own | ({"slurm_partition": partition} if partition else {})

    def check(self) -> None:
        """Checks that submitit is installed and that SLURM's commands exist."""
        require_package("submitit", group="launcher", option="slurm", extra="slurm")
        if self.cluster == "slurm" and not shutil.which("sbatch"):
            raise AdframeError(
                "launcher=slurm finds no sbatch here: run it on a login node, "
                "or try it on this machine with launcher.cluster=local"
            )

    def at_once(self, count: int) -> int:
        """Returns how many jobs run at the same time.

        Args:
            count: number of jobs.

        Returns:
            At least 1.
        """
        return max(1, min(self.workers, count))

    def run(self, jobs: Sequence[Job]) -> Iterator[FinishedJob]:
        """Submits jobs and waits for them; those that are still running when it is stopped are cancelled.

        Args:
            jobs: the jobs.

        Yields:
            Each job when it has ended.
        """
        if not jobs:
            return
        import submitit

        executor = submitit.AutoExecutor(folder=jobs[0].sweep.absolute() / "submitit", cluster=self.cluster)
        executor.update_parameters(
            **self.resources, **(self.slurm_options if self.cluster == "slurm" else {})
        )
        # SLURM limits the number of running jobs itself; for local processes it is limited here.
        limit, pause = (len(jobs), 5.0) if self.cluster == "slurm" else (self.workers, 0.1)
        waiting, running = deque(jobs), dict[Any, Job]()
        try:
            while waiting or running:
                if fresh := [waiting.popleft() for _ in range(min(limit - len(running), len(waiting)))]:
                    with executor.batch():  # one array of jobs
                        handles = [executor.submit(_Requeued(), job, self.threads) for job in fresh]
                    running |= dict(zip(handles, fresh, strict=True))
                for handle in [handle for handle in running if handle.done()]:
                    yield running.pop(handle), _slurm_error(handle)
                time.sleep(pause)
        finally:
            for handle in running:
                handle.cancel()


class _Requeued:
    """The work of one job; when SLURM ends it before its time, it is queued again and resumes."""

    def __call__(self, job: Job, threads: int) -> str | None:
        return job.run_in_worker(threads)

    def checkpoint(self, job: Job, threads: int) -> Any:
        import submitit

        return submitit.helpers.DelayedSubmission(self, job, threads)


def _slurm_error(handle: Any) -> str | None:
    """Returns the error of a job as one line; None without one."""
    lost = handle.exception()
    if lost is None:
        found: str | None = handle.result()
        return found
    if state := re.search(r"\(state: (\w+)\)", str(lost)):  # such as OUT_OF_MEMORY or TIMEOUT
        return f"{CRASH_MESSAGE} ({state[1]})"
    return str(lost).strip().rpartition("\n")[2]


def _run_protected(job: Job, threads: int) -> str | None:
    return job.run_protected(threads)
