"""The book of a sweep: its jobs, which of them are done, and how a stopped sweep goes on."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from adframe.config.messages import CONF
from adframe.errors import AdframeError
from adframe.io.files import write_json
from adframe.io.secrets import PLACEHOLDER, hide_in_text
from adframe.results.run_files import ASIDE
from adframe.results.sweep_folder import BOOK

OWN = ("launcher", "search", "study")  # of the sweep, not of its jobs
DASH_M = ("-m", "--multirun")
GIVEN_ANEW = ("launcher", "trusted")  # may be another where a sweep goes on
HARMLESS = ("hydra.sweep.dir", "hydra.verbose")  # of Hydra's own keys, which also name code that runs


def enter(folder: Path, *, first: int, jobs: Sequence[Sequence[str]]) -> None:
    """Notes jobs before they run.

    Args:
        folder: the sweep's.
        first: number of the first of them.
        jobs: the overrides of each.

    Raises:
        AdframeError: another job had one of the numbers when the sweep was begun.
    """
    book = _read(folder) if (folder / BOOK).is_file() else _new()
    known: list[list[str]] = book["jobs"]
    for number, job in enumerate(map(list, jobs), first):
        if number < len(known) and known[number] != job:
            raise AdframeError(
                f"run {number} of {folder} was {' '.join(known[number])} and would now be {' '.join(job)}: "
                "what is swept has changed since; start a new sweep"
            )
    # A sweep with fewer jobs than were noted has not lost the others.
    book["jobs"] = [*known[:first], *map(list, jobs), *known[first + len(jobs) :]]
    write_json(folder / BOOK, book)


def jobs_of(folder: Path) -> list[list[str]]:
    """The overrides of every job, by number."""
    jobs: list[list[str]] = _read(folder)["jobs"]
    return jobs


def resumable(main: Callable[[], Any]) -> Callable[[], Any]:
    """A script's main function that understands `resume=<sweep's folder>`."""

    def run() -> Any:
        if any(_key(text) == "resume" for text in sys.argv[1:]):
            sys.argv[1:] = _taken_up(sys.argv[1:])
        return main()

    return run


def own_overrides(overrides: Sequence[str]) -> list[str]:
    """A job's overrides without those that tell the sweep how to run it."""
    return [text for text in overrides if _key(text).partition(".")[0] not in OWN]


def _taken_up(arguments: Sequence[str]) -> list[str]:
    """The arguments of a sweep that goes on: those that began it, in the folder where it was begun.

    The book may come from a stranger: nothing is downloaded, and what is trusted is typed again.
    """
    folder = Path(next(text for text in arguments if _key(text) == "resume").partition("=")[2]).absolute()
    given = [text for text in arguments if _key(text) != "resume" and text not in DASH_M]
    book = _read(folder)
    secret = {_key(text) for text in book["arguments"] if PLACEHOLDER in text}
    retyped = {_key(text) for text in given}
    if other := [
        text for text in given if _key(text).partition(".")[0] not in GIVEN_ANEW and _key(text) not in secret
    ]:
        raise AdframeError(f"resume goes on with the sweep's own configuration; remove {' '.join(other)}")
    if missing := sorted(secret - retyped):
        again = " ".join(f"{key}=..." for key in missing)
        raise AdframeError(f"{folder / BOOK} does not hold what is secret; type it again: {again}")
    if Path(book["folder"]).is_dir():  # which relative paths are seen from
        os.chdir(book["folder"])
    _check_arguments(folder, book["arguments"])
    left_out = ["hydra.sweep.dir", *ASIDE, *secret]
    kept = [text for text in book["arguments"] if _key(text) not in left_out]
    if any(_key(text).partition(".")[0] == "launcher" and _key(text) not in secret for text in given):
        kept = [text for text in kept if _key(text).partition(".")[0] != "launcher"]
    quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    return [*kept, *given, "fetch=false", f"hydra.sweep.dir='{quoted}'"]


def _check_arguments(folder: Path, arguments: Sequence[str]) -> None:
    """Refuses what would let Hydra itself run code, or read configurations from elsewhere."""
    for text in arguments:
        key, _, value = text.strip().lstrip("+~ \t").partition("=")
        group = key.partition("@")[0]
        of_hydra = "hydra" in re.split(r"[./@:]", key) and key not in HARMLESS
        elsewhere = ("/" in group or (CONF / group).is_dir()) and (".." in text or "/" in value)
        if of_hydra or elsewhere or (text.startswith("-") and text not in DASH_M):
            raise AdframeError(
                f"{folder / BOOK} has the argument {text}, which may run code that is not adframe's; "
                "take it out of the file, or start the sweep again"
            )


def _new() -> dict[str, Any]:
    arguments = [hide_in_text(text) for text in sys.argv[1:] if _key(text) != "resume"]
    return {"arguments": arguments, "folder": str(Path.cwd()), "jobs": []}


def _read(folder: Path) -> dict[str, Any]:
    file = folder / BOOK
    if not file.is_file():
        hint = (
            f"; it is one run: python train.py resume={folder}" if (folder / "config.yaml").is_file() else ""
        )
        raise AdframeError(f"{folder} is no sweep's folder: it has no {BOOK}{hint}")
    try:
        book: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        _check_shape(book)
    except (OSError, ValueError, RecursionError) as error:
        raise AdframeError(f"cannot read {file}: {error}; the sweep is damaged, start it again") from error
    return book


def _check_shape(book: Any) -> None:
    """Raises ValueError where the file is JSON, and yet no book."""

    def are_texts(value: Any) -> bool:
        return isinstance(value, list) and all(isinstance(text, str) for text in value)

    fits = isinstance(book, dict) and are_texts(book.get("arguments")) and isinstance(book.get("folder"), str)
    if not fits or not isinstance(book.get("jobs"), list) or not all(map(are_texts, book["jobs"])):
        raise ValueError("it does not hold arguments, folder and jobs as texts")


def _key(text: str) -> str:
    return text.lstrip("+~").partition("=")[0]
