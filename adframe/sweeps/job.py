"""One job of a sweep: a new run, or the rest of a stopped one."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from adframe.cli.train import resume_run, run_training
from adframe.cli.typed import TypedOverrides
from adframe.results.run_folder import RunFolder
from adframe.runs.run_labels import logger_kinds
from adframe.sweeps.state import SWEEP_KEYS


def run_sweep_job(cfg: DictConfig) -> Path:
    """Runs a job of a sweep.

    A stopped job is resumed with its own configuration; without a finished category or an unfinished
    training it starts again.

    Args:
        cfg: the configuration of the job, with the keys of the sweep.

    Returns:
        The folder of the run.

    Raises:
        AdframeError: the run fails; one line says why.
    """
    # Runs in the same process: the peak memory of earlier runs must not count for this one.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    cfg = without_sweep_keys(cfg)
    with open_dict(cfg):
        if "wandb" in logger_kinds(cfg.logger) and cfg.logger.group is None:
            cfg.logger.group = Path(HydraConfig.get().sweep.dir).name
    run = RunFolder(Path(str(cfg.paths.run)))
    if (run.path / "config.yaml").is_file():
        if (run.path / "metrics.json").is_file() or run.has_unfinished_training:
            return resume_run(run.path, trusted=cfg.trusted)
        shutil.rmtree(run.path)
    return run_training(cfg, TypedOverrides.from_hydra())


def without_sweep_keys(cfg: DictConfig) -> DictConfig:
    """Copies a configuration without the keys that configure the sweep.

    Args:
        cfg: the configuration of a job.

    Returns:
        The configuration of its run.
    """
    own = cfg.copy()
    with open_dict(own):
        for key in SWEEP_KEYS:
            own.pop(key, None)
    return own
