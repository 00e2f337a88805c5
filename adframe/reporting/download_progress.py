"""A progress line for work that happens before Lightning starts: fetching and writing datasets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from adframe.data.base import ProgressCallback as Told


@contextmanager
def shown_progress() -> Iterator[Told]:
    """Gives a function to be told (what, done, total); draws on standard error, in terminals only."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:

        def told(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what)
            bar.update(tasks[what], completed=done, total=total or None)  # 0: nobody knows how much

        yield told
