"""A progress line for work outside of Lightning, such as fetching and writing datasets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from adframe.data.base import ProgressCallback


@contextmanager
def shown_progress() -> Iterator[ProgressCallback]:
    """Draws a progress line on standard error while the block runs, in terminals only.

    Yields:
        A function that is called with what is being done, how much is done, and the total (0: unknown).
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:

        def update(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what)
            # rich shows a moving bar without a percentage where the total is None.
            bar.update(tasks[what], completed=done, total=total or None)

        yield update
