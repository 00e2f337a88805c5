"""The main function of `sweep.py`, which is the command `adframe sweep` as well."""

from __future__ import annotations

import hydra
from omegaconf import DictConfig

from adframe.cli.attempts import attempt
from adframe.io.program import CONF
from adframe.sweeps.state import resumable


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="sweep")
def _run_job(cfg: DictConfig) -> None:
    from adframe.sweeps.job import run_sweep_job

    attempt(lambda: run_sweep_job(cfg))


def sweep() -> None:
    """Runs the jobs of a sweep, or with `resume=` those that are missing."""
    resumable(_run_job)()
