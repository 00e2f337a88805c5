"""The main functions of `train.py` and `evaluate.py`, which are commands of `adframe` as well."""

from __future__ import annotations

import sys

import hydra
from omegaconf import DictConfig

from adframe.cli.attempts import attempt
from adframe.io.program import CONF

_hydra_main = {
    name: hydra.main(version_base="1.3", config_path=str(CONF), config_name=name)
    for name in ("train", "evaluate", "maps")
}


@_hydra_main["train"]
def train(cfg: DictConfig) -> None:
    """Runs or resumes a run; `adframe.train` does the same from Python.

    Args:
        cfg: the configuration, composed by Hydra.
    """
    from adframe.cli.train import run_training
    from adframe.cli.typed import TypedOverrides

    attempt(lambda: run_training(cfg, TypedOverrides.from_hydra()))


@_hydra_main["evaluate"]
def _evaluate_runs(cfg: DictConfig) -> None:
    from adframe.cli.evaluate import run_evaluation
    from adframe.cli.typed import TypedOverrides

    attempt(lambda: run_evaluation(cfg, TypedOverrides.from_hydra()))


@_hydra_main["maps"]
def _evaluate_maps(cfg: DictConfig) -> None:
    from adframe.cli.evaluate_maps import run_maps
    from adframe.cli.typed import TypedOverrides

    attempt(lambda: run_maps(cfg, TypedOverrides.from_hydra()))


def evaluate() -> None:
    """Runs an evaluation; its parts can be imported from `adframe.runs` and `adframe.analysis`."""
    maps = any(text.startswith("maps=") for text in sys.argv[1:])  # maps need a dataset instead of a run
    (_evaluate_maps if maps else _evaluate_runs)()
