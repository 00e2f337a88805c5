"""Makes the jobs of a sweep: every combination of the swept values, or settings that a search asks for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from adframe.io.secrets import hide_secrets
from adframe.sweeps.launcher import Workers, build_group
from adframe.sweeps.wandb_agent import write_agent_file


class Search(Protocol):
    """Chooses the jobs of a sweep; `search=` names an implementation.

    Example:
        >>> from adframe.sweeps.optuna_search import Optuna
        >>> search: Search = Optuna(metric="val/image/auroc")
    """

    def check(self) -> None:
        """Checks that the search can be used.

        Raises:
            AdframeError: a package is missing, or the search would use test images.
        """

    def search(self, sweeper: Sweeper, overrides: Sequence[Override], *, folder: Path) -> None:
        """Runs jobs and chooses the next ones by their results, until the search is finished.

        Args:
            sweeper: runs the jobs.
            overrides: the typed overrides.
            folder: the folder of the sweep.
        """


def _without_secrets(config: DictConfig) -> DictConfig:
    """Copies a configuration without secrets; the folder of the sweep, which has the time, is resolved."""
    plain = hide_secrets(OmegaConf.to_container(config))
    plain["hydra"]["sweep"]["dir"] = str(config.hydra.sweep.dir)
    safe: DictConfig = OmegaConf.create(plain)
    return safe


class Sweeper(BasicSweeper):
    """The sweeper plugin of Hydra, which can also search, and writes a file for the agents of wandb.

    Example:
        >>> issubclass(Sweeper, BasicSweeper)
        True
    """

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Builds the search and the launcher; Hydra calls it once.

        Args:
            hydra_context: of Hydra.
            task_function: the main function of the script.
            config: the whole configuration.

        Raises:
            AdframeError: the search or the workers cannot be built or used.
        """
        self.search_method: Search | None = build_group(config, "search")
        if self.search_method:
            self.search_method.check()
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> Any:
        """Runs all jobs of a sweep.

        Args:
            arguments: the typed overrides.

        Returns:
            The results of the launcher; None for a search.
        """
        assert self.config is not None
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        parsed = parser.parse_overrides([*self._parse_config(), *arguments])
        overrides = list(
            {one.get_key_element(): one for one in parsed}.values()
        )  # a later override of a key wins
        folder = Path(str(self.config.hydra.sweep.dir))
        write_agent_file(folder, overrides, project=self.config.logger.get("project"))
        if self.search_method:
            return self.search_method.search(self, overrides, folder=folder)
        # Hydra writes it to multirun.yaml, and reads nothing but the folder from it.
        self.config = _without_secrets(self.config)
        return super().sweep(arguments)

    def try_out(self, batch: Sequence[Sequence[str]], *, first: int) -> None:
        """Runs some jobs of a search.

        Args:
            batch: the overrides of each job.
            first: number of the first of them.
        """
        assert self.launcher is not None
        self.validate_batch_is_legal(batch)
        self.launcher.launch(batch, initial_job_idx=first)

    def at_once(self, count: int) -> int:
        """Returns how many jobs the launcher runs at the same time.

        Args:
            count: number of jobs.

        Returns:
            At least 1.
        """
        # The plugin that Hydra knows; it has the workers of `SweepLauncher`.
        workers: Workers = getattr(self.launcher, "workers")  # noqa: B009 (Hydra's type has no workers)
        return workers.at_once(count)
