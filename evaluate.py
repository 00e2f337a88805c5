"""Tests a run again (`run=`), compares runs (`compare=`, `errors=`), measures other tools' maps (`maps=`)."""

import sys

import hydra
from omegaconf import DictConfig

from adframe.cli.attempts import attempt
from adframe.cli.main import guard

MAPS = any(text.startswith("maps=") for text in sys.argv[1:])  # maps need a dataset instead of a run


@hydra.main(version_base="1.3", config_path="conf", config_name="maps" if MAPS else "evaluate")
def main(cfg: DictConfig) -> None:
    """Runs the evaluation; its parts can be imported from `adframe.runs` and `adframe.analysis`.

    Args:
        cfg: the configuration, composed by Hydra.
    """
    from adframe.cli.evaluate import run_evaluation
    from adframe.cli.evaluate_maps import run_maps
    from adframe.cli.typed import TypedOverrides

    attempt(lambda: (run_maps if MAPS else run_evaluation)(cfg, TypedOverrides.from_hydra()))


if __name__ == "__main__":
    guard(main)
