"""Writes what compared runs decide: how many defects each finds, and how often it raises a false alarm."""

from __future__ import annotations

from collections.abc import Sequence

from adframe.analysis.compared_runs import ComparedRun
from adframe.reporting.summary import confusion


def decision_sentences(runs: Sequence[ComparedRun]) -> list[str]:
    """Counts the decisions of each run at its own threshold.

    Args:
        runs: runs on the same images; a run without decisions, such as the mean of several, is left out.

    Returns:
        One sentence with all runs; none where no run has decided.

    Example:
        >>> from pathlib import Path
        >>> from adframe.results.run_folder import RunFolder
        >>> rows = [{"label": 1, "decision": True}, {"label": 0, "decision": False}]
        >>> images = {("bolt", f"{place}.png"): row for place, row in enumerate(rows)}
        >>> decision_sentences([ComparedRun("A", RunFolder(Path("run")), images)])
        ['Decisions at the own threshold: A found 1 of 1 defect, false alarms on 0 of 1 normal image.']
    """
    counts = {run.name: confusion(list(run.images.values())) for run in runs}
    parts = [f"{name} {each.decisions}" for name, each in counts.items() if each.total]
    return [f"Decisions at the own threshold: {'; '.join(parts)}."] if parts else []
