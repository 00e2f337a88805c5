"""Lines for a person on standard error, and the library warnings that are hidden from them."""

from __future__ import annotations

import logging
import textwrap
import warnings

from rich.console import Console

# Warnings of libraries about facts that a user cannot change.
LIBRARY_WARNINGS = (
    r".*You have overridden `transfer_batch_to_device`.*",
    r".*does not have many workers.*",
    r".*`LightningModule.configure_optimizers` returned `None`.*",
    r".*module\(s\) in eval mode at the start of training.*",
    r".*Experiment logs directory .* exists and is not empty.*",  # it is the run's folder
    r".*Checkpoint directory .* exists and is not empty.*",  # the run is resumed
    r".*It is recommended to use `self.log\(.*",  # every process logs the results of all images
    r".*Grad strides do not match bucket view strides.*",
    r".*find_unused_parameters=True was specified.*",
    r".*isinstance\(treespec, LeafSpec\).*",
)


def quieten() -> None:
    """Hides log lines and warnings of libraries on which a user cannot act."""
    for name in ("lightning.pytorch", "lightning.fabric", "torch.distributed"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for pattern in LIBRARY_WARNINGS:
        warnings.filterwarnings("ignore", message=pattern)


def say(text: str, *, stderr: bool = False) -> None:
    """Prints a line for a person.

    In a terminal it is wrapped between words, and a path that is longer than a line stays whole. In a file it
    is not wrapped, so that it can be searched for.

    Args:
        text: a sentence, or `name: path`.
        stderr: whether it goes to standard error.
    """
    console = Console(stderr=stderr, highlight=False, markup=False)
    if console.is_terminal:  # rich itself would break a long path
        text = textwrap.fill(text, console.width, break_long_words=False, break_on_hyphens=False)
    console.print(text, soft_wrap=True)


def warn(text: str) -> None:
    """Prints one line for a person on standard error, with `note:` in front.

    Args:
        text: a sentence.
    """
    say(f"note: {text}", stderr=True)
