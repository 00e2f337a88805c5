"""The file of a sweep, sweep.json: its jobs, and how a stopped sweep is resumed."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adframe.errors import AdframeError
from adframe.io.files import write_json
from adframe.io.program import CONF, command_of
from adframe.io.secrets import PLACEHOLDER, hide_in_text
from adframe.results.run_files import UNRECORDED_OVERRIDES
from adframe.results.sweep_folder import SWEEP_FILE

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

SWEEP_KEYS = ("launcher", "search", "study")  # keys of the sweep, not of its jobs
_MULTIRUN_OPTIONS = ("-m", "--multirun")
_CHANGEABLE_KEYS = ("launcher", "trusted")  # may have other values when a sweep is resumed
_HARMLESS_HYDRA_KEYS = ("hydra.sweep.dir", "hydra.verbose")  # other keys of Hydra can name code that is run


def record_jobs(folder: Path, *, first: int, jobs: Sequence[Sequence[str]]) -> None:
    """Writes jobs to the sweep's file before they run.

    Args:
        folder: the folder of the sweep.
        first: number of the first of the jobs.
        jobs: the overrides of each.

    Raises:
        AdframeError: another job had one of the numbers when the sweep was started.
    """
    if (folder / SWEEP_FILE).is_file():
        state = _read_state(folder)
    else:
        arguments = [hide_in_text(text) for text in sys.argv[1:] if _key_of(text) != "resume"]
        state = {"arguments": arguments, "folder": str(Path.cwd()), "jobs": []}
    recorded: list[list[str]] = state["jobs"]
    for number, job in enumerate(map(list, jobs), first):
        if number < len(recorded) and recorded[number] != job:
            raise AdframeError(
                f"run {number} of {folder} was {' '.join(recorded[number])} and would now be "
                f"{' '.join(job)}: the swept values have changed; start a new sweep"
            )
    # Jobs beyond the given ones stay: a sweep may be resumed with fewer jobs.
    state["jobs"] = [*recorded[:first], *map(list, jobs), *recorded[first + len(jobs) :]]
    write_json(folder / SWEEP_FILE, state)


def recorded_jobs(folder: Path) -> list[list[str]]:
    """Reads the jobs of a sweep.

    Args:
        folder: the folder of the sweep.

    Returns:
        The overrides of every job, by number.

    Raises:
        AdframeError: the folder is no sweep's folder, or its file is damaged.
    """
    jobs: list[list[str]] = _read_state(folder)["jobs"]
    return jobs


def resumable(main: Callable[[], Any]) -> Callable[[], Any]:
    """Makes a script's main function accept `resume=<folder of a sweep>`.

    Args:
        main: the main function; it reads `sys.argv`.

    Returns:
        A function that first replaces `resume=` by the arguments that started the sweep.
    """

    def run() -> Any:
        if any(_key_of(text) == "resume" for text in sys.argv[1:]):
            sys.argv[1:] = _resumed_arguments(sys.argv[1:])
        return main()

    return run


def overrides_of_job(overrides: Sequence[str]) -> list[str]:
    """Removes the overrides that configure the sweep instead of its jobs.

    Args:
        overrides: the overrides of a job.

    Returns:
        The others.

    Example:
        >>> overrides_of_job(["seed=1", "launcher=joblib", "launcher.workers=2"])
        ['seed=1']
    """
    return [text for text in overrides if _key_of(text).partition(".")[0] not in SWEEP_KEYS]


def override_text(override: Override) -> str:
    """Writes a parsed override as text.

    Args:
        override: an override, as Hydra parses it.

    Returns:
        `key=value`.
    """
    return f"{override.get_key_element()}={override.get_value_element_as_str()}"


def _resumed_arguments(arguments: Sequence[str]) -> list[str]:
    """Returns the arguments of a resumed sweep, and changes to the folder in which it was started.

    The file may come from a stranger: nothing is downloaded, and trusted packages have to be typed again.
    """
    folder = Path(next(text for text in arguments if _key_of(text) == "resume").partition("=")[2]).absolute()
    typed = [text for text in arguments if _key_of(text) != "resume" and text not in _MULTIRUN_OPTIONS]
    state = _read_state(folder)
    secret = {_key_of(text) for text in state["arguments"] if PLACEHOLDER in text}
    retyped = {_key_of(text) for text in typed}
    if other := [
        text
        for text in typed
        if _key_of(text).partition(".")[0] not in _CHANGEABLE_KEYS and _key_of(text) not in secret
    ]:
        raise AdframeError(f"resume goes on with the sweep's own configuration; remove {' '.join(other)}")
    if missing := sorted(secret - retyped):
        again = " ".join(f"{key}=..." for key in missing)
        raise AdframeError(f"{folder / SWEEP_FILE} does not contain the secrets; type them again: {again}")
    if Path(state["folder"]).is_dir():  # relative paths refer to it
        os.chdir(state["folder"])
    _check_arguments(folder, state["arguments"])
    # Secrets come from the command line, because the file has them hidden.
    left_out = ["hydra.sweep.dir", *UNRECORDED_OVERRIDES, *secret]
    kept = [text for text in state["arguments"] if _key_of(text) not in left_out]
    if any(_key_of(text).partition(".")[0] == "launcher" and _key_of(text) not in secret for text in typed):
        kept = [text for text in kept if _key_of(text).partition(".")[0] != "launcher"]
    quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    return [*kept, *typed, "fetch=false", f"hydra.sweep.dir='{quoted}'"]


def _check_arguments(folder: Path, arguments: Sequence[str]) -> None:
    """Refuses arguments that make Hydra run code, or read configurations from other folders."""
    for text in arguments:
        key, _, value = text.strip().lstrip("+~ \t").partition("=")
        group = key.partition("@")[0]
        names_hydra = "hydra" in re.split(r"[./@:]", key) and key not in _HARMLESS_HYDRA_KEYS
        elsewhere = ("/" in group or (CONF / group).is_dir()) and (".." in text or "/" in value)
        if names_hydra or elsewhere or (text.startswith("-") and text not in _MULTIRUN_OPTIONS):
            raise AdframeError(
                f"{folder / SWEEP_FILE} has the argument {text}, which may run code that is not adframe's; "
                "remove it from the file, or start the sweep again"
            )


def _read_state(folder: Path) -> dict[str, Any]:
    file = folder / SWEEP_FILE
    if not file.is_file():
        is_run = (folder / "config.yaml").is_file()
        hint = f"; it is one run: {command_of('train')} resume={folder}" if is_run else ""
        raise AdframeError(f"{folder} is no sweep's folder: it has no {SWEEP_FILE}{hint}")
    try:
        state: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        _check_shape(state)
    except (OSError, ValueError, RecursionError) as error:
        raise AdframeError(f"cannot read {file}: {error}; the sweep is damaged, start it again") from error
    return state


def _check_shape(state: Any) -> None:
    """Raises a ValueError where the file is valid JSON of another shape."""

    def are_texts(value: Any) -> bool:
        return isinstance(value, list) and all(isinstance(text, str) for text in value)

    fits = (
        isinstance(state, dict) and are_texts(state.get("arguments")) and isinstance(state.get("folder"), str)
    )
    if not fits or not isinstance(state.get("jobs"), list) or not all(map(are_texts, state["jobs"])):
        raise ValueError("it does not hold arguments, folder and jobs as texts")


def _key_of(text: str) -> str:
    return text.lstrip("+~").partition("=")[0]
