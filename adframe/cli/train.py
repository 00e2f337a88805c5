"""The work of `train.py`: a new run, or the rest of a stopped one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from adframe.cli.processes import run_together
from adframe.cli.typed import TypedOverrides
from adframe.config.recipe import ConfigRecipe
from adframe.config.saved_config import check_complete, read_config
from adframe.config.validate import check_values, resolved_value, unread_overrides
from adframe.errors import AdframeError
from adframe.io.processes import first_before_others
from adframe.reporting.console import announce, print_table
from adframe.reporting.notes import quieten, warn
from adframe.results.run_folder import RunFolder
from adframe.runs.moved_data import with_moved_data
from adframe.runs.provenance import command_line
from adframe.runs.train import resume, train

CHOICES = ("model", "backbone", "dataset", "split", "shift", "calibration", "trainer", "logger")


def run_training(cfg: DictConfig, typed: TypedOverrides) -> Path:
    """Runs or resumes a run and prints its table.

    Args:
        cfg: the configuration of `train.py`, composed.
        typed: the typed overrides.

    Returns:
        The folder of the run.

    Raises:
        AdframeError: something is not possible; one line says what, where, and what to do.
    """
    quieten()
    if cfg.resume is not None:
        return print_run(_resume(cfg, typed))
    check_values(cfg, overrides=typed.overrides, hydra_overrides=typed.hydra)
    path = Path(str(resolved_value(cfg.paths, "run")))
    return run_together(cfg.trainer, _train, cfg, typed, path)


def _train(cfg: DictConfig, typed: TypedOverrides, path: Path) -> Path:
    """Runs a new run in this process, which may be one of several."""
    quieten()
    lines = unread_overrides(cfg, overrides=typed.overrides, model=typed.choices.get("model", "this one"))
    for line in lines:
        warn(line)
    recipe = ConfigRecipe(
        cfg,
        choices={name: typed.choices[name] for name in CHOICES},
        command=command_line(list(typed.overrides)),
    )
    return print_run(train(recipe, path, warnings=lines))


def print_run(folder: RunFolder) -> Path:
    """Prints the table of a finished run and the place of its report.

    Args:
        folder: the run.

    Returns:
        Its folder.
    """
    if folder.rows:  # an update without the dataset tests nothing
        print_table(folder.metrics)
    # Read again, because a folder that was written in this process has no configuration.
    announce(RunFolder.read(folder.path), folder.path / "report.html")
    return folder.path


def _resume(cfg: DictConfig, typed: TypedOverrides) -> RunFolder:
    """Resumes a run with its own configuration; only the place of its data may be typed."""
    allowed = ("resume=", "trusted=", "dataset.root=")
    if other := [text for text in typed.overrides if not text.startswith(allowed)]:
        raise AdframeError(f"resume goes on with the run's own configuration; remove {' '.join(other)}")
    moved_data = any(text.startswith("dataset.root=") for text in typed.overrides)
    return resume_run(
        Path(str(cfg.resume)),
        trusted=cfg.get("trusted") or (),
        root=cfg.dataset.root if moved_data else None,
    )


def resume_run(path: Path, *, trusted: Sequence[str] = (), root: str | None = None) -> RunFolder:
    """Resumes a stopped run.

    Args:
        path: the run's folder.
        trusted: packages that the user trusts.
        root: the current place of the data; None for the place in the run's configuration.

    Returns:
        The finished run.

    Raises:
        AdframeError: the folder is no run's folder, or its images have changed.
    """
    config = read_config(path, trusted=trusted)
    check_complete(config, path)
    return run_together(config["trainer"], _continue, path, config, root)


def _continue(path: Path, config: dict[str, Any], root: str | None) -> RunFolder:
    """Continues a run in this process, which may be one of several."""
    quieten()
    folder = RunFolder(path)
    with first_before_others():
        folder.reopen()
    if root is not None:
        config = with_moved_data(folder, config, Path(str(root)).resolve())
    return resume(ConfigRecipe(OmegaConf.create(config), config=config), folder)
