"""Tests a run again (`run=`), compares runs (`compare=`, `errors=`), measures anybody's maps (`maps=`)."""

import sys

import hydra
from omegaconf import DictConfig

from adframe.app.guard import guard
from adframe.app.jobs import attempt

MAPS = any(text.startswith("maps=") for text in sys.argv[1:])  # those have a dataset, and no run


@hydra.main(version_base="1.3", config_path="conf", config_name="maps" if MAPS else "evaluate")
def main(cfg: DictConfig) -> None:
    """Composes the configuration; the work is importable from `adframe.app`."""
    from adframe.app.evaluation import evaluate
    from adframe.app.foreign_maps import evaluate_maps
    from adframe.app.submission import submit

    work = evaluate_maps if MAPS else submit if cfg.submission is not None else evaluate
    attempt(lambda: work(cfg))


if __name__ == "__main__":
    guard(main)
