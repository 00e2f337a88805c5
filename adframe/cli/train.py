"""The work of `train.py`: a new run, or the rest of a stopped one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from adframe.cli.processes import is_shared, run_together
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
from adframe.runs.run_labels import logger_kinds
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
        return _resume(cfg, typed)
    check_values(cfg, overrides=typed.overrides, hydra_overrides=typed.hydra)
    path = Path(str(resolved_value(cfg.paths, "run")))
    # Before interpolations are resolved, which show what the method reads.
    lines = unread_overrides(cfg, overrides=typed.overrides, model=typed.choices.get("model", "this one"))
    if is_shared(cfg.trainer):  # the other processes do not know what Hydra knows in this one
        plain: Any = OmegaConf.to_container(cfg, resolve=True)
        cfg = OmegaConf.create(plain)
    done = run_together(cfg.trainer, fit_and_test, cfg, typed, path, lines)
    return path if done is None else print_run(RunFolder.read(done))


def fit_and_test(cfg: DictConfig, typed: TypedOverrides, path: Path, lines: Sequence[str]) -> Path:
    """Runs a new run in this process, which may be one of several.

    Args:
        cfg: the configuration, checked.
        typed: the typed overrides.
        path: the folder of the run.
        lines: what the report says about the settings.

    Returns:
        The folder to which this process has written.
    """
    quieten()
    for line in lines:
        warn(line)
    # Hydra names no choice where a list is given.
    choices = {"logger": "+".join(logger_kinds(cfg.logger)), **typed.choices}
    recipe = ConfigRecipe(
        cfg,
        choices={name: choices[name] for name in CHOICES},
        command=command_line(list(typed.overrides)),
    )
    return train(recipe, path, warnings=lines).path


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


def _resume(cfg: DictConfig, typed: TypedOverrides) -> Path:
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


def resume_run(path: Path, *, trusted: Sequence[str] = (), root: str | None = None) -> Path:
    """Resumes a stopped run and prints its table.

    Args:
        path: the run's folder.
        trusted: packages that the user trusts.
        root: the current place of the data; None for the place in the run's configuration.

    Returns:
        The folder of the run.

    Raises:
        AdframeError: the folder is no run's folder, or its images have changed.
    """
    quieten()
    config = read_config(path, trusted=trusted)
    check_complete(config, path)
    done = run_together(config["trainer"], continue_run, path, config, root)
    return path if done is None else print_run(RunFolder.read(done))


def continue_run(path: Path, config: dict[str, Any], root: str | None) -> Path:
    """Continues a run in this process, which may be one of several.

    Args:
        path: the folder of the run.
        config: its configuration, checked.
        root: as in `resume_run`.

    Returns:
        The folder to which this process has written.
    """
    quieten()
    folder = RunFolder(path)
    with first_before_others():
        folder.reopen()
    if root is not None:
        config = with_moved_data(folder, config, Path(str(root)).resolve())
    return resume(ConfigRecipe(OmegaConf.create(config), config=config), folder).path
