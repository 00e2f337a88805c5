"""What every study of a sweep has in common."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from adframe.reporting.run_facts import duration
from adframe.results.sweep_folder import SweepFolder
from adframe.runs.recipe import OpenRun

TEST_IMAGES = (
    "These are test images: to report by them is fine, but a setting that is chosen by this page is chosen "
    "on test data, and its numbers here are then too good."
)


LEADERBOARD = (("leaderboard.html", "All runs"),)  # the page to which the page of a study links


class SweepStudy(Protocol):
    """What `study=` names: it makes a page of a sweep that has ended."""

    def write(self, sweep: SweepFolder) -> Path | None:
        """Writes the page, and returns it; None where there is nothing to make a page of.

        Args:
            sweep: a sweep that has ended.

        Raises:
            AdframeError: something is missing, or a file cannot be written.
        """


@runtime_checkable
class ModelStudy(SweepStudy, Protocol):
    """A study that looks at models again.

    Attributes:
        open_run: gives the parts of a run from its folder; it is set before `write` is called.
    """

    open_run: OpenRun | None


def failure_notes(sweep: SweepFolder) -> list[str]:
    """A note for each run that failed."""
    notes = []
    for run in sweep.failed:
        told = ", ".join(f"{key}={run.overrides[key]}" for key in sweep.varied if key in run.overrides)
        notes.append(
            f"Run {run.name}{f' ({told})' if told else ''} failed and is in no number here: {run.error}"
        )
    return notes


def time_of(sweep: SweepFolder) -> str:
    """The wall time of all runs of a sweep, in words."""
    return duration(sweep.seconds)
