"""The jobs of one command: each is attempted, and what stops one stops no other."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from adframe.config.messages import is_user_error, one_line
from adframe.io.secrets import hide_in_text
from adframe.results.sweep_folder import note_failure

kept: list[Exception] = []  # what stopped the command, for `guard`; Hydra would print it in its own way


def attempt(task: Callable[[], Any]) -> None:
    """Runs one job. A sweep's job may run in another process, so its error goes into a file."""
    try:
        task()
    except Exception as error:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            _note(error)
        else:
            kept.append(error)


def _note(error: Exception) -> None:
    if not is_user_error(error):
        traceback.print_exception(error)
    hydra = HydraConfig.get()
    given, number = [hide_in_text(text) for text in hydra.overrides.task], int(hydra.job.num)
    note_failure(Path(hydra.sweep.dir), number=number, overrides=given, error=one_line(error))
    if (folder := Path(hydra.runtime.output_dir)).is_dir() and not any(folder.iterdir()):
        folder.rmdir()  # Hydra makes it before the job
