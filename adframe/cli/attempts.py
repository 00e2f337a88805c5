"""Runs the jobs of one command; a job that fails does not stop the others."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from adframe.config.messages import is_user_error, one_line
from adframe.io.secrets import hide_in_text

# Errors that stopped the command; `guard` reports them, because Hydra would print them in its own way.
stopping_errors: list[Exception] = []


def attempt(task: Callable[[], Any]) -> None:
    """Runs one job and catches its error.

    The error of a sweep's job is written to a file, because the job may run in another process; any other
    error is kept in `stopping_errors`.

    Args:
        task: the job.
    """
    try:
        task()
    except Exception as error:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            _record_job_failure(error)
        else:
            stopping_errors.append(error)


def _record_job_failure(error: Exception) -> None:
    from adframe.results.sweep_folder import record_failure  # imports scipy, which --help does not need

    if not is_user_error(error):
        traceback.print_exception(error)
    hydra = HydraConfig.get()
    overrides, number = [hide_in_text(text) for text in hydra.overrides.task], int(hydra.job.num)
    record_failure(Path(hydra.sweep.dir), number=number, overrides=overrides, error=one_line(error))
    if (folder := Path(hydra.runtime.output_dir)).is_dir() and not any(folder.iterdir()):
        folder.rmdir()  # Hydra creates it before the job
