"""Tests a finished run again from its checkpoints: `python evaluate.py run=<a run's folder>`."""

import hydra
from omegaconf import DictConfig

from adframe.app.guard import guard
from adframe.app.jobs import attempt


@hydra.main(version_base="1.3", config_path="conf", config_name="evaluate")
def main(cfg: DictConfig) -> None:
    """Composes the configuration; the work is importable as `adframe.app.evaluation.evaluate`."""
    from adframe.app.evaluation import evaluate

    attempt(lambda: evaluate(cfg))


if __name__ == "__main__":
    guard(main)
