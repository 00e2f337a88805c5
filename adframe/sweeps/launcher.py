"""Runs the jobs of a sweep in workers, and records which of them failed.

Hydra's own launcher plugins are not used: those for joblib and submitit were last released in 2022, the one
for
Ray cannot be installed next to cloudpickle 3; and none of them knows which jobs of a stopped sweep are done.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from hydra.utils import instantiate
from omegaconf import DictConfig, open_dict

from adframe.config.messages import is_user_error, one_line
from adframe.config.trust import resolve_trusted
from adframe.io.program import typed_command
from adframe.results.run_files import recorded_overrides
from adframe.results.sweep_folder import forget_failures, is_finished, record_failure
from adframe.sweeps.state import overrides_of_job, record_jobs

LOGS = "logs"  # folder below that of the sweep: one file per run with what the run printed


@dataclass(frozen=True, slots=True)
class Job:
    """One job of a sweep; it can be sent to another process.

    Attributes:
        number: of the job, which is also the name of its folder.
        overrides: of the job, without secrets.
        config: the whole configuration of the job.
        task: the main function of the script.
        context: of Hydra.
        sweep: the folder of the sweep.
        script: the script that was typed.
        place: the folder in which it was typed.

    Example:
        >>> job = Job(3, ("seed=3",), DictConfig({}), print, None, Path("sweep"), "sweep.py", ".")
        >>> job.folder.as_posix()
        'sweep/3'
    """

    number: int
    overrides: tuple[str, ...]
    config: DictConfig
    task: TaskFunction
    context: HydraContext
    sweep: Path
    script: str
    place: str

    @property
    def folder(self) -> Path:
        """The folder of the run; it is made when the job starts."""
        return self.sweep / str(self.number)

    def run_here(self) -> str | None:
        """Runs the job in this process.

        Returns:
            An error that the task itself did not record, as one line; None without one.
        """
        try:
            result = run_job(
                self.task,
                self.config,
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
                hydra_context=self.context,
            )
            if result.status == JobStatus.FAILED:
                raise result._return_value  # the public property would also print the error
        except Exception as error:
            if not is_user_error(error):
                traceback.print_exception(error)
            return one_line(error)
        return None

    def run_in_worker(self, threads: int) -> str | None:
        """Runs the job in a worker process; its output goes to a file in the folder of the sweep.

        Args:
            threads: number of threads of the worker.

        Returns:
            As `run_here`.
        """
        os.chdir(self.place)
        sys.argv[:1] = [self.script]
        # Workers of a pool inherit its start method, with which DataLoader workers cannot start.
        multiprocessing.set_start_method(multiprocessing.get_all_start_methods()[0], force=True)
        setup_globals()
        log = self.sweep / LOGS / f"{self.number}.txt"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
            limit_threads(threads)
            if not any(text.startswith("num_workers=") for text in self.overrides):
                self.config.num_workers = min(
                    self.config.num_workers, threads
                )  # more would compete for the cores
            return self.run_here()

    def run_protected(self, threads: int) -> str | None:
        """Runs the job in a worker process that ignores Ctrl-C, because the sweep itself ends its workers.

        Args:
            threads: number of threads of the worker.

        Returns:
            As `run_here`.
        """
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return self.run_in_worker(threads)


class Workers(Protocol):
    """Runs jobs; `launcher=` names an implementation.

    Attributes:
        lead: whether the first run goes ahead alone where runs share stored features, so that no two runs
            compute the same.

    Example:
        >>> from adframe.sweeps.local import Local
        >>> workers: Workers = Local()
        >>> workers.at_once(8)
        1
    """

    lead: bool

    def check(self) -> None:
        """Checks that the workers can be used here.

        Raises:
            AdframeError: a package or a command is missing.
        """

    def at_once(self, count: int) -> int:
        """Returns how many jobs run at the same time.

        Args:
            count: number of jobs.

        Returns:
            At least 1.
        """

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, str | None]]:
        """Runs jobs.

        Args:
            jobs: the jobs.

        Yields:
            Each job when it has ended, with an error that the job itself did not record, or None.
        """


def limit_threads(count: int) -> None:
    """Limits the threads of this process, in every library that has its own pool of threads.

    Args:
        count: number of threads.
    """
    import cv2
    import torch
    from threadpoolctl import threadpool_limits

    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
        os.environ[name] = str(count)  # for child processes
    torch.set_num_threads(count)
    threadpool_limits(count)
    cv2.setNumThreads(count)


class SweepLauncher(Launcher):
    """The launcher plugin that Hydra calls with the jobs of a sweep, or several times with those of a search.

    Example:
        >>> from hydra.utils import instantiate
        >>> isinstance(instantiate({"_target_": "adframe.sweeps.launcher.SweepLauncher"}), Launcher)
        True
    """

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Stores the parts of the jobs and builds the workers; Hydra calls it once.

        Args:
            hydra_context: of Hydra.
            task_function: the main function of the script.
            config: the whole configuration.

        Raises:
            AdframeError: the workers cannot be used here.
        """
        self.context, self.task, self.config = hydra_context, task_function, config
        self.workers: Workers = build_group(config, "launcher")
        self.workers.check()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Runs the jobs that are not finished yet.

        Args:
            job_overrides: the overrides of each job.
            initial_job_idx: number of the first job.

        Returns:
            One entry per job, all of them `COMPLETED`: failed jobs are recorded in files.
        """
        setup_globals()
        folder = Path(str(self.config.hydra.sweep.dir))
        overrides = [overrides_of_job(one) for one in job_overrides]
        record_jobs(folder, first=initial_job_idx, jobs=[recorded_overrides(one) for one in overrides])
        todo = [
            self._make_job(number, one, folder)
            for number, one in enumerate(overrides, initial_job_idx)
            if not is_finished(folder / str(number))
        ]
        if len(todo) < len(overrides) > 1:
            print(f"{len(overrides) - len(todo)} of {len(overrides)} runs are done already", flush=True)
        self._run(todo, folder, total=initial_job_idx + len(overrides))
        return [JobReturn(overrides=one, status=JobStatus.COMPLETED) for one in overrides]

    def _run(self, todo: Sequence[Job], folder: Path, *, total: int) -> None:
        forget_failures(folder, [job.number for job in todo])
        common = (
            set[str]().union(*(job.overrides for job in todo)).intersection(*(job.overrides for job in todo))
        )
        start = time.monotonic()
        try:
            for count, (job, error) in enumerate(self._finished_jobs(todo, first=len(todo) == total), 1):
                if error is not None:
                    record_failure(folder, number=job.number, overrides=job.overrides, error=error)
                if self.workers.at_once(len(todo)) > 1:
                    state = "done" if is_finished(job.folder) else "failed"
                    differing = " ".join(text for text in job.overrides if text not in common)
                    spent = time.monotonic() - start
                    print(
                        f"{count} of {len(todo)} after {spent:.0f} s: run {job.number} {state}, {differing}",
                        flush=True,
                    )
        except BaseException as error:
            error.__notes__ = []  # they say how to resume the run, but the sweep resumes it
            done = sum(is_finished(folder / str(number)) for number in range(total))
            error.add_note(
                f"{done} of {total} runs done; go on with: {' '.join(typed_command())} resume={folder}"
            )
            raise

    def _finished_jobs(self, todo: Sequence[Job], *, first: bool) -> Iterator[tuple[Job, str | None]]:
        """Yields each job when it has ended; `first` says that no job of the sweep has run before."""
        ahead = 1 if first and self.workers.lead and self.config.get("store") else 0
        for part in (todo[:ahead], todo[ahead:]):
            yield from self.workers.run(part)

    def _make_job(self, number: int, overrides: Sequence[str], folder: Path) -> Job:
        config = self.context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = number
            config.hydra.job.num = number
        return Job(
            number=number,
            overrides=tuple(recorded_overrides(overrides)),
            config=config,
            task=self.task,
            context=self.context,
            sweep=folder,
            script=sys.argv[0],
            place=str(Path.cwd()),
        )


def build_group(config: DictConfig, group: str) -> Any:
    """Builds the object of a group of the sweep.

    Args:
        config: the whole configuration.
        group: `launcher`, `search` or `study`.

    Returns:
        The object; None where the group is empty.

    Raises:
        AdframeError: it cannot be built.
    """
    options = config.get(group)
    if not options:
        return None
    try:
        return instantiate(resolve_trusted(config, group))
    except Exception as error:
        cause = error.__cause__ or error  # Hydra wraps the errors of constructors
        raise (cause if is_user_error(cause) else error) from None
