"""The text that a run writes to the terminal: its result, and the table at the end."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from adframe.reporting.format import counted
from adframe.reporting.notes import say
from adframe.reporting.run_facts import run_verdict
from adframe.reporting.tables import Table, metrics_table
from adframe.reporting.threshold_summary import promise_sentences
from adframe.results.names import NO_WEIGHTS, UPDATE
from adframe.results.run_folder import RunFolder


def print_table(metrics: dict[str, Any]) -> None:
    """Prints the table of categories of a finished run on standard output.

    Args:
        metrics: the content of metrics.json; its split `test` is shown.
    """
    print_wide(metrics_table(metrics["test"]), rest="metrics.json")


def print_wide(table: Table, *, rest: str) -> None:
    """Prints a table on standard output, as wide as the terminal, or 100 columns wide where there is none.

    Args:
        table: what to show.
        rest: the file that holds the columns for which there is no room.
    """
    # rich takes 80 columns where standard output is a file or a pipe; a fixed width keeps such logs
    # comparable.
    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(table.to_rich(width=console.width, rest=rest))


def announce(folder: RunFolder, page: Path) -> None:
    """Prints the result of a run in one sentence, its thresholds, and where its report lies.

    Args:
        folder: the finished run.
        page: path of its report.
    """
    say(f"{run_verdict(folder)}.")
    for unit, facts in folder.metrics["val"].items():
        count = int(facts["calibration/n"])
        say(
            f"{unit}: threshold {facts['calibration/threshold']:.4g} from "
            f"{counted(count, 'normal validation image')}"
        )
    if UPDATE in folder.environment:
        say(f"update: {folder.environment[UPDATE]}")
    for sentence in promise_sentences(folder):
        say(sentence)
    for line in _weights_lines(folder.environment.get("weights", {})):
        say(line)
    say(f"run folder: {folder.path}")
    say(f"report:     {page}")


def _weights_lines(origins: Mapping[str, str]) -> list[str]:
    """Says where the weights of backbones come from, in one line where they are the same."""
    known = {unit: origin for unit, origin in origins.items() if origin != NO_WEIGHTS}
    if len(set(known.values())) == 1 and len(known) == len(origins):
        return [f"backbone: {_from(next(iter(known.values())))}"]
    return [f"{unit}, backbone: {_from(origin)}" for unit, origin in known.items()]


def _from(origin: str) -> str:
    return origin if origin.startswith("random weights") else f"weights from {origin}"
