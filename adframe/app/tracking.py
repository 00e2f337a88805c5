"""Where a run is followed: Weights & Biases in each of its modes, a CSV file, or nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger
from omegaconf import DictConfig

from adframe.contracts import AdframeError
from adframe.ops.names import unknown
from adframe.reports.board import flat_metrics, show_run

MODES = ("auto", "online", "offline", "disabled", "shared")


def open_tracker(cfg: DictConfig, *, run: Path, config: dict[str, Any]) -> Logger | None:
    """The logger that `logger=` names, ready for Lightning."""
    if cfg.logger.kind == "none":
        return None
    if cfg.logger.kind == "csv":
        return CSVLogger(save_dir=run, name="", version="csv")
    return _wandb(cfg.logger, run=run, config=config)


def close_tracker(tracker: Logger | None, *, run: Path) -> None:
    """Hands the finished run over: metrics, curves, pictures, table, costs."""
    if isinstance(tracker, WandbLogger):
        show_run(tracker.experiment, run)
        wandb.finish()
    elif tracker is not None:
        tracker.log_metrics(flat_metrics(run))
        tracker.finalize("success")


def _wandb(options: DictConfig, *, run: Path, config: dict[str, Any]) -> WandbLogger:
    if options.mode not in MODES:
        raise AdframeError(unknown("logger.mode", str(options.mode), MODES))
    mode: Any = options.mode if options.mode != "auto" else "online" if _logged_in() else "offline"
    settings = wandb.Settings(silent=True, console="off", root_dir=str(run))
    try:
        experiment = wandb.init(
            project=options.project,
            entity=options.entity,
            group=options.group,
            tags=list(options.tags),
            name=run.name,
            dir=run,
            mode=mode,
            config=config,
            settings=settings,
        )
    except wandb.Error as error:
        text = " ".join(str(error).split())
        raise AdframeError(
            f"logger=wandb (mode {mode}): {text}; logger.mode=offline needs no account"
        ) from error
    return WandbLogger(experiment=experiment)


def _logged_in() -> bool:
    return bool(wandb.login(prompt=False))
