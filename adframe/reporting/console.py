"""What a person sees in the terminal at the end of a run: one table, one path."""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path
from typing import Any

from rich.console import Console

from adframe.reporting.tables import Table, metrics_table

# Said by libraries about things that a user can do nothing about.
NOISE = (
    r".*You have overridden `transfer_batch_to_device`.*",
    r".*does not have many workers.*",
    r".*`LightningModule.configure_optimizers` returned `None`.*",
    r".*module\(s\) in eval mode at the start of training.*",
    r".*Experiment logs directory .* exists and is not empty.*",  # it is the run's folder
    r".*Checkpoint directory .* exists and is not empty.*",  # of a run that goes on
    r".*isinstance\(treespec, LeafSpec\).*",
)


def quieten() -> None:
    """Leaves what a user can act upon."""
    for name in ("lightning.pytorch", "lightning.fabric", "torch.distributed"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for pattern in NOISE:
        warnings.filterwarnings("ignore", message=pattern)


def print_table(metrics: dict[str, Any]) -> None:
    """The table of categories, on standard output."""
    print_wide(metrics_table(metrics["test"]), rest="metrics.json")


def print_wide(table: Table, *, rest: str) -> None:
    """A table on standard output, as wide as the terminal, 100 columns where there is none.

    Args:
        table: what to show.
        rest: the file that holds the columns for which there is no room.
    """
    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(table.to_rich(width=console.width, rest=rest))


def warn(text: str) -> None:
    """One line that a person should read, on standard error."""
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(f"note: {text}")


def announce(folder: Any, page: Path) -> None:
    """What the thresholds rest on, and where the report lies."""
    console = Console(soft_wrap=True, highlight=False, markup=False)
    for unit, facts in folder.metrics["val"].items():
        threshold, count = facts["calibration/threshold"], facts["calibration/n"]
        console.print(
            f"{unit}: threshold {threshold:.4g} from {count:.0f} normal validation images; they cannot "
            f"support a false-positive rate below {facts['calibration/fpr_floor']:.1%}"
        )
    for unit, origin in folder.environment.get("weights", {}).items():
        console.print(f"{unit}: backbone from {origin}")
    console.print(f"run folder: {folder.path}\nreport:     {page}")
