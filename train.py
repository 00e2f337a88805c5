"""Fits and tests a method on a dataset: `python train.py model=patchcore dataset=mvtec_loco`."""

import hydra
from omegaconf import DictConfig

from adframe.cli.main import guard
from adframe.config.attempts import attempt


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(cfg: DictConfig) -> None:
    """Composes the configuration; the work is importable as `adframe.runs.train.train`."""
    from adframe.runs.train import train

    attempt(lambda: train(cfg))


if __name__ == "__main__":
    guard(main)
