"""Runs a study by its name or every combination of overrides, a run each, and ends in one table."""

import hydra
from omegaconf import DictConfig

from adframe.app.guard import guard
from adframe.app.jobs import attempt
from adframe.app.sweep_book import resumable


@hydra.main(version_base="1.3", config_path="conf", config_name="sweep")
def main(cfg: DictConfig) -> None:
    """One job of the sweep."""
    from adframe.app.sweep_job import work

    attempt(lambda: work(cfg))


if __name__ == "__main__":
    guard(resumable(main))
