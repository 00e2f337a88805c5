"""The book of a sweep: its jobs, which of them are done, and how a stopped sweep goes on."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from adframe.contracts import AdframeError
from adframe.ops.files import write_json

BOOK = "sweep.json"
OWN = ("launcher", "search", "study")  # of the sweep, not of its jobs
DASH_M = ("-m", "--multirun")


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


def typed_command(folder: Path) -> list[str]:
    """The command that began a sweep."""
    known = (folder / BOOK).is_file()
    return ["python", "sweep.py", *(_read(folder)["arguments"] if known else [])]


def is_finished(run: Path) -> bool:
    """Whether a run has all that it leaves; its page comes last."""
    return (run / "metrics.json").is_file() and (run / "report.html").is_file()


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
    """The arguments of a sweep that goes on: those that began it, in the folder where it was begun."""
    folder = Path(next(text for text in arguments if _key(text) == "resume").partition("=")[2]).absolute()
    given = [text for text in arguments if _key(text) != "resume" and text not in DASH_M]
    if other := [text for text in given if _key(text).partition(".")[0] != "launcher"]:
        raise AdframeError(f"resume goes on with the sweep's own configuration; remove {' '.join(other)}")
    book = _read(folder)
    if Path(book["folder"]).is_dir():  # which relative paths are seen from
        os.chdir(book["folder"])
    left_out = ["hydra.sweep.dir", *(["launcher"] if given else [])]
    kept = [text for text in book["arguments"] if _key(text) not in left_out]
    if given:
        kept = [text for text in kept if not _key(text).startswith("launcher.")]
    quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    return [*kept, *given, f"hydra.sweep.dir='{quoted}'"]


def _new() -> dict[str, Any]:
    arguments = [text for text in sys.argv[1:] if _key(text) != "resume"]
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
    except (OSError, ValueError) as error:
        raise AdframeError(f"cannot read {file}: {error}; the sweep is damaged, start it anew") from error
    return book


def _key(text: str) -> str:
    return text.lstrip("+~").partition("=")[0]
