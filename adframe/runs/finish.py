"""The end of an evaluation: its costs are stored and its page is written."""

from __future__ import annotations

from pathlib import Path

from adframe.callbacks.profile import peak_memory
from adframe.reporting.run_page import write_page
from adframe.results.run_folder import RunFolder


def finish_evaluation(folder: RunFolder, *, seconds: float) -> Path:
    """Stores the costs of an evaluation and writes its report.

    Args:
        folder: the folder of the evaluation, with the results of all categories.
        seconds: the wall time that it took.

    Returns:
        The path of the report.
    """
    folder.add_facts({"wall_seconds": seconds} | peak_memory())
    return write_page(folder.path)
