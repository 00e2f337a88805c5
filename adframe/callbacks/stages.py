"""The stages of a run as a tree: which models are done, what runs now, and how much time is left."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from adframe.reporting.run_facts import duration

# Finished models that are listed one by one; earlier ones are counted.
LISTED = 4
# No estimate is shown before a stage has run this long: its first steps load and warm up.
BASIS_SECONDS = 1.0


@dataclass
class Stage:
    """One stage of a model.

    Attributes:
        name: what is done.
        start: clock at its beginning.
        done, total: steps.
        latest: clock at the last step.
        before: steps that were done before, in the part of a run that was stopped.
    """

    name: str
    start: float
    done: int = 0
    total: int = 0
    latest: float = 0.0
    before: int = 0

    @property
    def finished(self) -> bool:
        """Returns whether all steps are done."""
        return self.done >= self.total

    def left(self) -> float | None:
        """Returns the seconds that the remaining steps take at the speed so far; None without a basis."""
        spent, measured = self.latest - self.start, self.done - self.before
        if spent < BASIS_SECONDS or measured < 1:
            return None
        return spent / measured * (self.total - self.done)


@dataclass
class Unit:
    """One model of the run, or one condition under which it is tested.

    Attributes:
        name: of its category, or `global`.
        start: clock at its first stage; None before.
        seconds: how long it took; None while it is not finished.
        stages: those that have begun, by their names.
    """

    name: str
    start: float | None = None
    seconds: float | None = None
    stages: dict[str, Stage] = field(default_factory=dict)


class StageTree:
    """What is done, what runs now, and how much time is left; it draws itself in a rich console.

    Estimates come from what was measured: of a stage from its steps so far, of the run from its finished
    models.

    Args:
        names: the models of the run, in their order.
        clock: returns seconds.

    Example:
        >>> tree = StageTree(["screw", "tray"], clock=iter([0.0, 2.0, 3.0, 9.0]).__next__)
        >>> tree.step("screw", "test", done=1, total=2)
        >>> tree.finish("screw")
        >>> tree.left()
        3.0
    """

    def __init__(self, names: Sequence[str] = (), *, clock: Callable[[], float] = time.monotonic) -> None:
        self.units = {name: Unit(name) for name in names}
        self._clock = clock
        self._begun = clock()

    def step(self, name: str, stage: str, *, done: int, total: int, before: int = 0) -> None:
        """Records a step of a stage.

        Args:
            name: of the model; another one counts to the model that runs.
            stage: what is done.
            done: steps so far.
            total: all steps.
            before: steps that were done in the part of a run that was stopped.
        """
        now = self._clock()
        unit = self.units.get(name)
        if unit is None:  # a category of a model for all, or another condition of a test
            unit = next((each for each in self.units.values() if each.seconds is None), None)
            stage = stage if unit is None else f"{name}, {stage}"
            unit = unit or self.units.setdefault(name, Unit(name))
        if unit.start is None:
            unit.start = self._begun
        own = unit.stages.get(stage)
        if own is None or done <= own.done:  # it begins, or begins again
            own = unit.stages[stage] = Stage(stage, start=self._begun, before=before)
        own.done, own.total, own.latest = done, total, now
        self._begun = now  # the next stage begins where the last step of this one ended

    def finish(self, name: str) -> None:
        """Records that a model is fitted and tested.

        Args:
            name: of the model; one without a stage was done by an earlier part of the run.
        """
        unit = self.units[name]
        self._begun = self._clock()
        unit.seconds = 0.0 if unit.start is None else self._begun - unit.start

    def left(self) -> float | None:
        """Returns the seconds that the unfinished models take if they take as long as the finished ones.

        Returns:
            None where no model is finished yet, or the running ones take longer than that.
        """
        taken = [unit.seconds for unit in self.units.values() if unit.seconds]
        if not taken:
            return None
        mean = sum(taken) / len(taken)
        open_units = [unit for unit in self.units.values() if unit.seconds is None]
        spent = sum(self._begun - unit.start for unit in open_units if unit.start is not None)
        left = mean * len(open_units) - spent
        return left if left > 0 else None  # the last one takes longer than the others

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draws the tree, as wide as the console allows."""
        done = [unit for unit in self.units.values() if unit.seconds is not None]
        title = f"{len(done)} of {len(self.units)} models done"
        if (left := self.left()) is not None:
            title += f", about {_rounded(left)} left"
        running = [unit for unit in self.units.values() if unit.seconds is None and unit.stages]
        if len(self.units) == 1 and running:
            yield self._drawn(running[0], options.max_width)
            return
        tree = Tree(Text(title))
        if len(done) > LISTED:
            tree.add(Text(f"{len(done) - LISTED} earlier ones"))
        for unit in done[-LISTED:]:
            tree.add(_row(unit.name, Text(duration(unit.seconds or None))))
        for unit in running:
            tree.children.append(self._drawn(unit, options.max_width - 4))
        yield tree

    def _drawn(self, unit: Unit, width: int) -> Tree:
        tree = Tree(Text(unit.name))
        for stage in unit.stages.values():
            if stage.finished:
                tree.add(_row(stage.name, Text(duration(stage.latest - stage.start))))
                continue
            state = Text(f"{stage.done:,} of {stage.total:,}")
            if (left := stage.left()) is not None:
                state.append(f", about {_rounded(left)} left")
            bar = ProgressBar(total=max(stage.total, 1), completed=stage.done, width=min(20, width // 5))
            tree.add(_row(stage.name, bar, state))
        return tree


def _rounded(seconds: float) -> str:
    """Writes an estimate without digits that it does not have."""
    if seconds < 60:
        return f"{math.ceil(seconds)} s"
    return duration(seconds) if seconds >= 3600 else f"{round(seconds / 60)} min"


def _row(name: str, *cells: Text | ProgressBar) -> Table:
    row = Table.grid(padding=(0, 2))
    row.add_column(min_width=20, no_wrap=True, overflow="ellipsis")
    for _ in cells:
        row.add_column(no_wrap=True)
    row.add_row(Text(name), *cells)
    return row


_current: ContextVar[StageTree | None] = ContextVar("stages", default=None)


def current_stages() -> StageTree:
    """Returns the tree of the running run; a new one outside of a run."""
    return _current.get() or StageTree()


@contextmanager
def run_stages(names: Sequence[str]) -> Iterator[StageTree]:
    """Collects the stages of a run in one tree.

    Args:
        names: its models, in their order.

    Yields:
        The tree.
    """
    tree = StageTree(names)
    token = _current.set(tree)
    try:
        yield tree
    finally:
        _current.reset(token)
