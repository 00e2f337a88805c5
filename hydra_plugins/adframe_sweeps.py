"""Where Hydra looks for launchers and sweepers; ours stand in `adframe.sweeps`.

Hydra imports this file for every command, also for `--help`, so that only a sweep imports what it needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class AdframeLauncher(Launcher):
    """Runs a sweep's jobs as `launcher=` says."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from adframe.sweeps.launcher import SweepLauncher

        self._launcher = SweepLauncher()
        self._launcher.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    @property
    def workers(self) -> Any:
        """Returns the workers that `launcher=` names."""
        return self._launcher.workers

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        return self._launcher.launch(job_overrides, initial_job_idx)


class AdframeSweeper(Sweeper):
    """Makes a sweep's jobs: every combination, or a search as `search=` says."""

    def __init__(self, **options: Any) -> None:
        self._options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from adframe.sweeps.sweeper import Sweeper as SweepSweeper

        self._sweeper = SweepSweeper(**self._options)
        self._sweeper.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> Any:
        return self._sweeper.sweep(arguments)
