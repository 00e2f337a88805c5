"""Runs a study by its name, or one run for every combination of overrides, and writes one table."""

import hydra
from omegaconf import DictConfig

from adframe.cli.attempts import attempt
from adframe.cli.main import guard
from adframe.sweeps.state import resumable


@hydra.main(version_base="1.3", config_path="conf", config_name="sweep")
def main(cfg: DictConfig) -> None:
    """Runs one job of the sweep.

    Args:
        cfg: the configuration of the job, composed by Hydra.
    """
    from adframe.sweeps.job import run_sweep_job

    attempt(lambda: run_sweep_job(cfg))


if __name__ == "__main__":
    guard(resumable(main))
