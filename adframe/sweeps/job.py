"""One job of a sweep: a run of its own, or the rest of one that was stopped."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from adframe.results.run_folder import RunFolder
from adframe.runs.train import train
from adframe.sweeps.state import OWN


def work(cfg: DictConfig) -> Path:
    """Runs the job and returns its folder.

    A job that was stopped goes on with its own configuration; where nothing of it was finished or
    half learned, it starts anew.
    """
    _measure_memory_from_here()
    cfg = of_job(cfg)
    with open_dict(cfg):
        if cfg.logger.kind == "wandb" and cfg.logger.group is None:
            cfg.logger.group = Path(HydraConfig.get().sweep.dir).name
    run = RunFolder(Path(str(cfg.paths.run)))
    if (run.path / "config.yaml").is_file():
        if (run.path / "metrics.json").is_file() or run.half_learned:
            with _no_overrides():  # they are those that its configuration was made of
                return train(OmegaConf.create({"resume": str(run.path), "trusted": cfg.trusted}))
        shutil.rmtree(run.path)
    return train(cfg)


def of_job(cfg: DictConfig) -> DictConfig:
    """The configuration without what tells the sweep how to run it."""
    own = cfg.copy()
    with open_dict(own):
        for key in OWN:
            own.pop(key, None)
    return own


@contextlib.contextmanager
def _no_overrides() -> Iterator[None]:
    overrides: Any = HydraConfig.get().overrides
    with read_write(overrides):
        given, overrides.task = overrides.task, []
        try:
            yield
        finally:
            overrides.task = given


def _measure_memory_from_here() -> None:
    """Forgets the largest memory of the runs before in the same process, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
