"""The end of an evaluation: what it cost, its page, its table."""

from __future__ import annotations

from adframe.callbacks.profile import peak_memory
from adframe.reporting.console import announce, print_table
from adframe.reporting.run_page import write_page
from adframe.results.run_folder import RunFolder


def close(folder: RunFolder, *, seconds: float) -> None:
    """Notes the costs, writes the report and prints the table.

    Args:
        folder: with all its categories entered.
        seconds: wall time it took.
    """
    folder.note({"wall_seconds": seconds} | peak_memory())
    page = write_page(folder.path)
    print_table(folder.metrics)
    announce(folder, page)
