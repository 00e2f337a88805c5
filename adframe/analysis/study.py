"""The interface of a study of a sweep, and the texts that all studies share."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from adframe.results.sweep_folder import SweepFolder
from adframe.runs.recipe import OpenRun

TEST_IMAGES = (
    "All numbers are measured on test images. Reporting them is correct, but if you choose a setting by this "
    "page, you choose it on test data, and its numbers here are too optimistic."
)
LEADERBOARD = (("leaderboard.html", "All runs"),)  # the page to which the page of a study links


class SweepStudy(Protocol):
    """The interface of the object that `study=` names: it writes a page about a finished sweep.

    Example:
        >>> class RunList:
        ...     def write(self, sweep: SweepFolder) -> Path | None:
        ...         page = Path("study.html")
        ...         _ = page.write_text("".join(f"<p>{run.name}</p>" for run in sweep.finished))
        ...         return page
        >>> study: SweepStudy = RunList()
        >>> study.write(SweepFolder(Path(), (), command="")).name
        'study.html'
    """

    def write(self, sweep: SweepFolder) -> Path | None:
        """Writes the page of the study.

        Args:
            sweep: a finished sweep.

        Returns:
            The path of the page; None where the sweep has too few runs for a page.

        Raises:
            AdframeError: the runs lack something that the study needs, or a file cannot be read or written.
        """


@runtime_checkable
class ModelStudy(SweepStudy, Protocol):
    """The interface of a study that loads the models of the runs again.

    Attributes:
        open_run: opens a run: it returns the parts of a run from its folder. The caller sets it before
            `write`; None where models cannot be loaded.

    Example:
        >>> from adframe.analysis.studies.global_model import GlobalModel
        >>> isinstance(GlobalModel(question="Which is better?"), ModelStudy)
        True
    """

    open_run: OpenRun | None


def failure_notes(sweep: SweepFolder) -> list[str]:
    """Writes a note for each failed run, and one for runs whose errors end in the same advice.

    Args:
        sweep: a finished sweep.

    Returns:
        Sentences with the overrides and the errors of all failed runs.
    """
    by_advice: dict[str, list[tuple[str, str]]] = {}
    for run in sweep.failed:
        overrides = ", ".join(f"{key}={run.overrides[key]}" for key in sweep.varied if key in run.overrides)
        where = f"Run {run.name} ({overrides})" if overrides else f"Run {run.name}"
        reason, _, advice = str(run.error).partition("; ")
        # An error without advice is a group of its own.
        by_advice.setdefault(advice or where, []).append((where, reason))
    notes = []
    for advice, failures in by_advice.items():
        where, reason = failures[0]
        if len(failures) == 1:
            whole = reason if advice == where else f"{reason}; {advice}"
            notes.append(f"{where} failed and is not included in any number here: {whole}")
        else:
            each = ". ".join(f"{where}: {reason}" for where, reason in failures)
            notes.append(
                f"{len(failures)} runs failed and are not included in any number here. {each}. For all of "
                f"them: {advice}"
            )
    return notes
