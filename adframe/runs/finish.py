"""The end of an evaluation: what it cost, and its page."""

from __future__ import annotations

from pathlib import Path

from adframe.callbacks.profile import peak_memory
from adframe.reporting.run_page import write_page
from adframe.results.run_folder import RunFolder


def finish(folder: RunFolder, *, seconds: float) -> Path:
    """Notes the costs and writes the report.

    Args:
        folder: with all its categories entered.
        seconds: wall time that it took.

    Returns:
        The report.
    """
    folder.note({"wall_seconds": seconds} | peak_memory())
    return write_page(folder.path)
