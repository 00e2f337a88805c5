"""Writes the leaderboard of a finished sweep and the page of its study."""

from __future__ import annotations

import traceback
from pathlib import Path

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from adframe.analysis.study import ModelStudy, SweepStudy
from adframe.cli import attempts
from adframe.config.messages import is_user_error, one_line
from adframe.config.recipe import open_run
from adframe.errors import AdframeError
from adframe.reporting.console import print_wide
from adframe.reporting.leaderboard_page import rounded_table, write_leaderboard
from adframe.reporting.notes import say
from adframe.results.sweep_folder import SweepFolder, read_sweep
from adframe.runs.run_labels import logger_kinds
from adframe.sweeps.launcher import build_group

_ORDER_NOTE = "best image AUROC of test images first; choosing a setting by it means choosing on test data"


class Leaderboard(Callback):
    """The callback that Hydra calls after all jobs of a sweep.

    Example:
        >>> isinstance(Leaderboard(), Callback)
        True
    """

    def on_multirun_end(self, config: DictConfig, config_name: str | None = None) -> None:  # type: ignore[override]
        """Prints the table, and writes the study's page and `leaderboard.csv`, `.md` and `.html`.

        Args:
            config: the whole configuration of the sweep.
            config_name: not used.

        Raises:
            AdframeError: a file of a run cannot be read; failed runs are kept for the exit code instead.
        """
        del config_name
        sweep = read_sweep(Path(config.hydra.sweep.dir))
        print_wide(rounded_table(sweep, intervals=False), rest="leaderboard.csv")
        study = None
        try:
            study = _write_study(sweep, config)
        finally:
            page = write_leaderboard(sweep, study=study)
        order = f"{sweep.objective}, of validation images" if sweep.objective else _ORDER_NOTE
        if len(sweep.runs) - len(sweep.failed) > 1:
            say(f"order: {order}")
        say(f"runs:  {sweep.path}/<run>")
        say(f"table: {page.with_suffix('.csv')}")
        say(f"page:  {page}")
        for run in sweep.failed:
            say(f"run {run.name} failed: {run.error}", stderr=True)
        if sweep.failed:
            failed = f"{len(sweep.failed)} of {len(sweep.runs)} runs failed; see above"
            attempts.stopping_errors.insert(0, AdframeError(failed))
        if study is not None:
            say(f"study: {study}")
        _upload_table(sweep, config)


def _write_study(sweep: SweepFolder, config: DictConfig) -> Path | None:
    """Writes the study's page; a failure is kept for the exit code, and the table is still written."""
    try:
        study: SweepStudy | None = build_group(config, "study")
        if isinstance(study, ModelStudy):
            study.open_run = open_run
        return study.write(sweep) if study else None
    except Exception as error:
        if not is_user_error(error):
            traceback.print_exception(error)
        attempts.stopping_errors.append(AdframeError(f"no page of the study: {one_line(error)}"))
        return None


def _upload_table(sweep: SweepFolder, config: DictConfig) -> None:
    """Uploads the table to wandb, in the group of the runs."""
    logger = config.get("logger")
    if logger is not None and "wandb" in logger_kinds(logger):
        from adframe.runs.loggers import show_sweep  # imports wandb, which takes seconds

        try:
            show_sweep(sweep, OmegaConf.to_container(logger, resolve=True))  # type: ignore[arg-type]
        except AdframeError as error:  # the runs and their files are complete
            attempts.stopping_errors.append(error)
