"""One job of a sweep: a run of its own, or the rest of one that was stopped."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from adframe.cli.train import print_run, resume_run, run_training
from adframe.cli.typed import TypedOverrides
from adframe.results.run_folder import RunFolder
from adframe.sweeps.state import OWN


def work(cfg: DictConfig) -> Path:
    """Runs the job and returns its folder.

    A job that was stopped goes on with its own configuration; where nothing of it was finished or
    half learned, it starts again.
    """
    _measure_memory_from_here()
    cfg = of_job(cfg)
    with open_dict(cfg):
        if cfg.logger.kind == "wandb" and cfg.logger.group is None:
            cfg.logger.group = Path(HydraConfig.get().sweep.dir).name
    run = RunFolder(Path(str(cfg.paths.run)))
    if (run.path / "config.yaml").is_file():
        if (run.path / "metrics.json").is_file() or run.has_unfinished_training:
            return print_run(resume_run(run.path, trusted=cfg.trusted))
        shutil.rmtree(run.path)
    return run_training(cfg, TypedOverrides.from_hydra())


def of_job(cfg: DictConfig) -> DictConfig:
    """The configuration without what tells the sweep how to run it."""
    own = cfg.copy()
    with open_dict(own):
        for key in OWN:
            own.pop(key, None)
    return own


def _measure_memory_from_here() -> None:
    """Forgets the largest memory of the runs before in the same process, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
