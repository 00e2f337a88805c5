"""Hands the jobs of a sweep to workers, a book beside them, and brings home what became of them.

Hydra's own launcher plugins are not used: joblib's and submitit's were last released in 2022, Ray's cannot be
installed beside cloudpickle 3; and none of them knows which jobs of a stopped sweep are done.
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
from adframe.errors import AdframeError
from adframe.results.run_files import recorded_overrides
from adframe.results.sweep_folder import forget_failures, is_finished, record_failure
from adframe.sweeps.state import enter, own_overrides

LOGS = "logs"  # folder in a sweep's: what runs side by side would have printed, a file each


@dataclass(frozen=True, slots=True)
class Job:
    """One job, ready to travel to another process."""

    number: int
    overrides: tuple[str, ...]
    config: DictConfig
    task: TaskFunction
    context: HydraContext
    sweep: Path
    script: str  # the command that was typed
    place: str  # the folder in which it was typed

    @property
    def folder(self) -> Path:
        """Of the run; made when the job begins."""
        return self.sweep / str(self.number)

    def from_hydra(self) -> str | None:
        """Runs in this process; what its task did not see to itself comes back as one line."""
        try:
            found = run_job(
                self.task,
                self.config,
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
                hydra_context=self.context,
            )
            if found.status == JobStatus.FAILED:
                raise found._return_value  # the property would print it as well
        except Exception as error:
            if not is_user_error(error):
                traceback.print_exception(error)
            return one_line(error)
        return None

    def away(self, threads: int) -> str | None:
        """`here`, in a worker with so many threads, and what is printed goes into a file."""
        os.chdir(self.place)
        sys.argv[:1] = [self.script]
        # A pool's processes begin others in the pool's way, in which loading processes do not begin at all.
        multiprocessing.set_start_method(multiprocessing.get_all_start_methods()[0], force=True)
        setup_globals()
        log = self.sweep / LOGS / f"{self.number}.txt"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
            limit_threads(threads)
            if not any(text.startswith("num_workers=") for text in self.overrides):
                self.config.num_workers = min(self.config.num_workers, threads)  # or they fight over cores
            return self.from_hydra()

    def apart(self, threads: int) -> str | None:
        """`away`, in a process that Ctrl-C reaches too, but which is for the sweep to end."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return self.away(threads)


class Workers(Protocol):
    """What `launcher=` names.

    Attributes:
        lead: whether the first run goes ahead by itself where runs share features, so that no two
            compute the same.
    """

    lead: bool

    def check(self) -> None:
        """Raises AdframeError where it cannot run here."""

    def at_once(self, count: int) -> int:
        """How many of so many jobs run at a time."""

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, str | None]]:
        """Each job when it has ended, with what went wrong outside of it."""


def limit_threads(count: int) -> None:
    """Gives this process so many threads, in every library that has a pool of its own."""
    import cv2
    import torch
    from threadpoolctl import threadpool_limits

    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
        os.environ[name] = str(count)  # for the processes that this one starts
    torch.set_num_threads(count)
    threadpool_limits(count)
    cv2.setNumThreads(count)


class SweepLauncher(Launcher):
    """Hydra calls it with the jobs of a sweep, once or, where a search asks bit by bit, many times."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Takes what the jobs are made of; refuses workers that cannot be had."""
        self.context, self.task, self.config = hydra_context, task_function, config
        self.workers: Workers = made(config, "launcher")
        self.workers.check()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Runs what is not finished yet."""
        setup_globals()
        folder = Path(str(self.config.hydra.sweep.dir))
        overrides = [own_overrides(one) for one in job_overrides]
        enter(folder, first=initial_job_idx, jobs=[recorded_overrides(one) for one in overrides])
        todo = [
            self._job(number, one, folder)
            for number, one in enumerate(overrides, initial_job_idx)
            if not is_finished(folder / str(number))
        ]
        if len(todo) < len(overrides) > 1:
            _say(f"{len(overrides) - len(todo)} of {len(overrides)} runs are done already")
        self._run(todo, folder, total=initial_job_idx + len(overrides))
        return [JobReturn(overrides=one, status=JobStatus.COMPLETED) for one in overrides]

    def _run(self, todo: Sequence[Job], folder: Path, *, total: int) -> None:
        forget_failures(folder, [job.number for job in todo])
        common = (
            set[str]().union(*(job.overrides for job in todo)).intersection(*(job.overrides for job in todo))
        )
        start = time.monotonic()
        try:
            for ended, (job, error) in enumerate(self._ended(todo, first=len(todo) == total), 1):
                if error is not None:
                    record_failure(folder, number=job.number, overrides=job.overrides, error=error)
                if self.workers.at_once(len(todo)) > 1:
                    state = "done" if is_finished(job.folder) else "failed"
                    told = " ".join(text for text in job.overrides if text not in common)
                    spent = time.monotonic() - start
                    _say(f"{ended} of {len(todo)} after {spent:.0f} s: run {job.number} {state}, {told}")
        except BaseException as error:
            error.__notes__ = []  # the run that was stopped goes on with the sweep
            done = sum(is_finished(folder / str(number)) for number in range(total))
            error.add_note(f"{done} of {total} runs done; go on with: python {_script()} resume={folder}")
            raise

    def _ended(self, todo: Sequence[Job], *, first: bool) -> Iterator[tuple[Job, str | None]]:
        """Each job when it has ended; `first`: none of the sweep has run before."""
        ahead = 1 if first and self.workers.lead and self.config.get("store") else 0
        for part in (todo[:ahead], todo[ahead:]):
            yield from self.workers.run(part)

    def _job(self, number: int, overrides: Sequence[str], folder: Path) -> Job:
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


def made(config: DictConfig, group: str) -> Any:
    """What a group of the sweep's names, or nothing where it names nothing."""
    options = config.get(group)
    if not options:
        return None
    try:
        return instantiate(resolve_trusted(config, group))
    except Exception as error:
        cause = error.__cause__ or error  # Hydra wraps what a constructor says
        raise (cause if is_user_error(cause) else error) from None


def needed(module: str, *, group: str, option: str, extra: str) -> None:
    """Raises AdframeError where a package that an option needs is not installed."""
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise AdframeError(
            f"{group}={option} needs {module}, which is not installed: pip install 'adframe[{extra}]'"
        )


def _script() -> str:
    return Path(sys.argv[0]).name


def _say(text: str) -> None:
    print(text, flush=True)
