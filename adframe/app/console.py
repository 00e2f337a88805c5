"""What a person sees in the terminal: one table, one path, one line for an error."""

from __future__ import annotations

import difflib
import errno
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.table import Table

from adframe.contracts import AdframeError
from adframe.reports.tables import metrics_table

CONF = Path(__file__).parents[2] / "conf"

# Said by libraries about things that a user can do nothing about.
NOISE = (
    r".*You have overridden `transfer_batch_to_device`.*",
    r".*does not have many workers.*",
    r".*`LightningModule.configure_optimizers` returned `None`.*",
    r".*module\(s\) in eval mode at the start of training.*",
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
    print_wide(metrics_table(metrics["test"]).to_rich())


def print_wide(table: Table) -> None:
    """A table on standard output, 100 columns wide where that is no terminal."""
    Console(width=None if sys.stdout.isatty() else 100).print(table)


def announce(folder: Any, page: Path) -> None:
    """What the thresholds rest on, and where the report lies."""
    console = Console(soft_wrap=True, highlight=False)
    for unit, facts in folder.metrics["val"].items():
        threshold, count = facts["calibration/threshold"], facts["calibration/n"]
        console.print(
            f"{unit}: threshold {threshold:.4g} from {count:.0f} normal validation images; they cannot "
            f"support a false positive rate below {facts['calibration/fpr_floor']:.1%}"
        )
    console.print(f"run folder: {folder.path}\nreport:     {page}")


_failures: list[Exception] = []  # of jobs that Hydra has run


def attempt(task: Callable[[], Any]) -> None:
    """Runs one job; keeps an error for `guard`, so that Hydra does not print it and a sweep goes on."""
    try:
        task()
    except (AdframeError, OSError) as error:
        _failures.append(error)


def failures() -> list[str]:
    """What went wrong in the jobs so far, one line each."""
    return [one_line(error) for error in _failures]


def guard(main: Callable[[], Any]) -> None:
    """Runs a script's main function; what a user can mend is one line and exit code 2."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands errors on instead of printing them itself
    try:
        main()
        if _failures:
            raise _failures[0]
    except KeyboardInterrupt:
        _stop("stopped; a run with finished categories goes on with resume=<its folder>", 130)
    except (AdframeError, HydraException, OmegaConfBaseException) as error:
        _stop(one_line(error), 2)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _stop(one_line(error), 2)


def one_line(error: Exception) -> str:
    """An error as one line: what, where, what to do."""
    if isinstance(error, AdframeError):
        # Loading processes hand an error on with their traceback in front of its text.
        return str(error).rpartition("AdframeError: ")[2].strip().splitlines()[0]
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"the disk is full ({error.filename or 'no file named'}); free some space and run again"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        return f"unknown {group} {name!r}; {_near(name, error.options or [])}"
    text = " ".join(str(error).split())
    if isinstance(error, ConfigCompositionException) and (found := re.search(r"override '?([\w./@]+)", text)):
        script = Path(sys.argv[0]).name
        return f"unknown override {found[1]!r}; {_near(found[1], _keys())} (python {script} --help)"
    return text


def _near(name: str, known: Any) -> str:
    options = [str(option) for option in known]
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known: {', '.join(options)}" if len(options) <= 30 else hint.strip() or "see conf/"


def _keys() -> list[str]:
    """Every key that the configuration has, as one would type it."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return list(_walk(compose(config_name=Path(sys.argv[0]).stem), ""))


def _walk(node: DictConfig, prefix: str) -> Iterator[str]:
    for key in map(str, node):
        yield f"{prefix}{key}"
        child = node._get_node(key)
        if isinstance(child, DictConfig):
            yield from _walk(child, f"{prefix}{key}.")


def _stop(text: str, code: int) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(f"error: {text}")
    sys.exit(code)
