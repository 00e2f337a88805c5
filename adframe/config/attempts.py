"""The jobs of one command: each is attempted, and what stops one stops no other."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from adframe.config.messages import is_mendable, one_line
from adframe.errors import AdframeError
from adframe.io.files import write_json
from adframe.io.secrets import hidden_text

FAILED = "failed"  # folder in a sweep's: a file a job that failed

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


def failed_jobs(sweep: Path) -> list[dict[str, Any]]:
    """The jobs of a sweep that failed: `job` (its number), `overrides` and `error` (one line)."""
    notes = [_read(path) for path in (sweep / FAILED).glob("*.json")]
    return sorted(notes, key=lambda note: int(note["job"]))


def _read(file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        job, told, _ = int(found["job"]), list(found["overrides"]), str(found["error"])
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        raise AdframeError(f"cannot read {file}: {error!r}; delete it, and its job is tried again") from error
    return found | {"job": job, "overrides": told}


def note(sweep: Path, *, number: int, overrides: Sequence[str], error: str) -> None:
    """Enters a job that failed; `error` is one line."""
    entry = {"job": number, "overrides": list(overrides), "error": error}
    write_json(sweep / FAILED / f"{number}.json", entry)


def forget(sweep: Path, numbers: Iterable[int]) -> None:
    """Takes out the notes of jobs that are tried again."""
    for number in numbers:
        (sweep / FAILED / f"{number}.json").unlink(missing_ok=True)


def _note(error: Exception) -> None:
    if not is_mendable(error):
        traceback.print_exception(error)
    hydra = HydraConfig.get()
    given, number = [hidden_text(text) for text in hydra.overrides.task], int(hydra.job.num)
    note(Path(hydra.sweep.dir), number=number, overrides=given, error=one_line(error))
    if (folder := Path(hydra.runtime.output_dir)).is_dir() and not any(folder.iterdir()):
        folder.rmdir()  # Hydra makes it before the job
