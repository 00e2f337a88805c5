"""The text that a run writes to the terminal: hidden library warnings, notes, and the table at the end."""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path
from typing import Any

from rich.console import Console

from adframe.reporting.format import counted
from adframe.reporting.run_facts import run_verdict
from adframe.reporting.tables import Table, metrics_table
from adframe.reporting.threshold_summary import promise_sentences
from adframe.results.names import UPDATE
from adframe.results.run_folder import RunFolder

# Warnings of libraries about facts that a user cannot change.
LIBRARY_WARNINGS = (
    r".*You have overridden `transfer_batch_to_device`.*",
    r".*does not have many workers.*",
    r".*`LightningModule.configure_optimizers` returned `None`.*",
    r".*module\(s\) in eval mode at the start of training.*",
    r".*Experiment logs directory .* exists and is not empty.*",  # it is the run's folder
    r".*Checkpoint directory .* exists and is not empty.*",  # the run is resumed
    r".*isinstance\(treespec, LeafSpec\).*",
)


def quieten() -> None:
    """Hides log lines and warnings of libraries on which a user cannot act."""
    for name in ("lightning.pytorch", "lightning.fabric", "torch.distributed"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for pattern in LIBRARY_WARNINGS:
        warnings.filterwarnings("ignore", message=pattern)


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


def warn(text: str) -> None:
    """Prints one line for a person on standard error, with `note:` in front.

    Args:
        text: a sentence; it is not wrapped, so that it can be searched for.
    """
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(f"note: {text}")


def announce(folder: RunFolder, page: Path) -> None:
    """Prints the result of a run in one sentence, its thresholds, and where its report lies.

    Args:
        folder: the finished run.
        page: path of its report.
    """
    console = Console(soft_wrap=True, highlight=False, markup=False)
    console.print(f"{run_verdict(folder)}.")
    for unit, facts in folder.metrics["val"].items():
        count = int(facts["calibration/n"])
        console.print(
            f"{unit}: threshold {facts['calibration/threshold']:.4g} from "
            f"{counted(count, 'normal validation image')}"
        )
    if UPDATE in folder.environment:
        console.print(f"update: {folder.environment[UPDATE]}")
    for sentence in promise_sentences(folder):
        console.print(sentence)
    for unit, origin in folder.environment.get("weights", {}).items():
        console.print(f"{unit}: backbone from {origin}")
    console.print(f"run folder: {folder.path}\nreport:     {page}")
