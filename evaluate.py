"""Tests a run again (`run=`), compares runs (`compare=`, `errors=`), measures anybody's maps (`maps=`)."""

import sys

import hydra
from omegaconf import DictConfig

from adframe.cli.main import guard
from adframe.config.attempts import attempt

MAPS = any(text.startswith("maps=") for text in sys.argv[1:])  # those have a dataset, and no run


@hydra.main(version_base="1.3", config_path="conf", config_name="maps" if MAPS else "evaluate")
def main(cfg: DictConfig) -> None:
    """Composes the configuration; the work is importable from `adframe.cli` and `adframe.runs`."""
    from adframe.cli.evaluate import evaluate
    from adframe.runs.evaluate_maps import evaluate_maps

    attempt(lambda: evaluate_maps(cfg) if MAPS else evaluate(cfg))


if __name__ == "__main__":
    guard(main)
