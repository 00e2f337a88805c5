"""Jobs of a sweep by Ray or SLURM, on a cluster or, to try them, on this machine."""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from adframe.errors import AdframeError
from adframe.sweeps.launcher import Job, needed
from adframe.sweeps.local import DIED, Ended, cores, counted


class Ray:
    """Ray's workers, on this machine or on a cluster that sees the same folders.

    Args:
        address: of a cluster; None starts Ray here.
        workers: how many at a time here; None: as many as there are cores, or jobs.
        threads: cores of a job; None: here the cores divided between the workers, on a cluster one.
        gpus: of a job.
        lead: whether the first run goes ahead by itself where runs share features.
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
        self.workers, self.threads = counted("workers", workers), counted("threads", threads)
        self.address, self.gpus = address, gpus

    def check(self) -> None:
        """Ray has to be there."""
        needed("ray", group="launcher", option="ray", extra="ray")

    def at_once(self, count: int) -> int:
        return count if self.address else max(1, min(self.workers or cores(), count))

    def run(self, jobs: Sequence[Job]) -> Iterator[Ended]:
        """Side by side; Ray is stopped in the end, whatever happens."""
        if not jobs:
            return
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # says nothing to anybody
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # leaves a machine's GPUs visible
        import ray

        workers = self.at_once(len(jobs))
        threads = self.threads or (1 if self.address else max(1, cores() // workers))
        try:
            ray.init(
                address=self.address or "local",
                num_cpus=None if self.address else workers * threads,
                include_dashboard=None if self.address else False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
            work = ray.remote(num_cpus=threads, num_gpus=self.gpus, max_retries=0)(_apart)
            tasks = {work.remote(job, threads): job for job in jobs}
            while tasks:
                for task in ray.wait(list(tasks), num_returns=1)[0]:
                    try:
                        error = ray.get(task)
                    except ray.exceptions.RayError as lost:
                        error = DIED if isinstance(lost, ray.exceptions.WorkerCrashedError) else str(lost)
                    yield tasks.pop(task), error
        except ConnectionError as error:
            raise AdframeError(f"launcher.address={self.address}: {error}") from error
        finally:
            ray.shutdown()


class Slurm:
    """Jobs of SLURM's, sent by submitit; this process waits for them.

    Args:
        cluster: `slurm`, or `local`: processes of this machine.
        workers: how many at a time.
        threads: cores of a job.
        minutes: until a job is ended; SLURM then queues it again, and it goes on where it was.
        memory_gb: of a job.
        gpus: of a job.
        partition: where they go.
        extra: other options of sbatch.
    """

    lead = False  # it might wait in the queue for long

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
        counted("workers", workers), counted("threads", threads), counted("minutes", minutes)
        self.cluster, self.workers, self.threads = cluster, workers, threads
        self.asked = {"timeout_min": minutes, "cpus_per_task": threads, "mem_gb": memory_gb}
        self.asked |= {"gpus_per_node": gpus} if gpus else {}
        own = {"slurm_array_parallelism": workers, "slurm_additional_parameters": dict(extra or {})}
        self.of_slurm = own | ({"slurm_partition": partition} if partition else {})

    def check(self) -> None:
        """submitit has to be there, and SLURM's commands."""
        needed("submitit", group="launcher", option="slurm", extra="slurm")
        if self.cluster == "slurm" and not shutil.which("sbatch"):
            raise AdframeError(
                "launcher=slurm finds no sbatch here: type it on a login node, "
                "or launcher.cluster=local tries it on this machine"
            )

    def at_once(self, count: int) -> int:
        return max(1, min(self.workers, count))

    def run(self, jobs: Sequence[Job]) -> Iterator[Ended]:
        """Sends them, waits, and takes those back that have not ended when it is stopped."""
        if not jobs:
            return
        import submitit

        executor = submitit.AutoExecutor(folder=jobs[0].sweep.absolute() / "submitit", cluster=self.cluster)
        executor.update_parameters(**self.asked, **(self.of_slurm if self.cluster == "slurm" else {}))
        # SLURM itself keeps to the number at a time, processes of this machine do not.
        limit, pause = (len(jobs), 5.0) if self.cluster == "slurm" else (self.workers, 0.1)
        waiting, sent = deque(jobs), dict[Any, Job]()
        try:
            while waiting or sent:
                if fresh := [waiting.popleft() for _ in range(min(limit - len(sent), len(waiting)))]:
                    with executor.batch():  # one array of jobs
                        handles = [executor.submit(_Requeued(), job, self.threads) for job in fresh]
                    sent |= dict(zip(handles, fresh, strict=True))
                for handle in [handle for handle in sent if handle.done()]:
                    yield sent.pop(handle), _outcome(handle)
                time.sleep(pause)
        finally:
            for handle in sent:
                handle.cancel()


class _Requeued:
    """The work of one job; when SLURM ends it before its time, it is queued again and goes on."""

    def __call__(self, job: Job, threads: int) -> str | None:
        return job.away(threads)

    def checkpoint(self, job: Job, threads: int) -> Any:
        import submitit

        return submitit.helpers.DelayedSubmission(self, job, threads)


def _outcome(handle: Any) -> str | None:
    lost = handle.exception()
    if lost is None:
        found: str | None = handle.result()
        return found
    if state := re.search(r"\(state: (\w+)\)", str(lost)):  # such as OUT_OF_MEMORY or TIMEOUT
        return f"{DIED} ({state[1]})"
    return str(lost).strip().rpartition("\n")[2]


def _apart(job: Job, threads: int) -> str | None:
    return job.apart(threads)
