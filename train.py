"""Fits and tests a method on a dataset: `python train.py model=patchcore dataset=mvtec_loco`."""

import hydra
from omegaconf import DictConfig

from adframe.cli.attempts import attempt
from adframe.cli.main import guard


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(cfg: DictConfig) -> None:
    """Runs or resumes a run; `adframe.train` does the same from Python.

    Args:
        cfg: the configuration, composed by Hydra.
    """
    from adframe.cli.train import run_training
    from adframe.cli.typed import TypedOverrides

    attempt(lambda: run_training(cfg, TypedOverrides.from_hydra()))


if __name__ == "__main__":
    guard(main)
