"""Makes the jobs of a sweep: every combination of what is swept, or what a search asks for."""

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
from adframe.sweeps.launcher import SweepLauncher, made
from adframe.sweeps.wandb_agent import write_agent_file

Batch = Sequence[Sequence[str]]


class Search(Protocol):
    """What `search=` names."""

    def check(self) -> None:
        """Raises AdframeError where it cannot run here, or would look at test images."""

    def search(self, sweeper: Sweeper, overrides: Sequence[Override], *, folder: Path) -> None:
        """Asks for jobs and learns from them until it has enough."""


def _shown(config: DictConfig) -> DictConfig:
    """A configuration without secrets, and with the sweep's folder as it is: its name holds the time."""
    plain = hide_secrets(OmegaConf.to_container(config))
    plain["hydra"]["sweep"]["dir"] = str(config.hydra.sweep.dir)
    shown: DictConfig = OmegaConf.create(plain)
    return shown


class Sweeper(BasicSweeper):
    """Hydra's own sweeper, which can search as well and writes a file for Weights & Biases' agents."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Takes what the jobs are made of; refuses a search that cannot be made."""
        self.asking: Search | None = made(config, "search")
        if self.asking:
            self.asking.check()
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> Any:
        """Runs all jobs."""
        assert self.config is not None
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        parsed = parser.parse_overrides([*self._parse_config(), *arguments])
        overrides = list({one.get_key_element(): one for one in parsed}.values())  # the last one counts
        folder = Path(str(self.config.hydra.sweep.dir))
        write_agent_file(folder, overrides, project=self._project())
        if self.asking:
            return self.asking.search(self, overrides, folder=folder)
        self.config = _shown(
            self.config
        )  # Hydra writes it to multirun.yaml, and reads no more than the folder
        return super().sweep(arguments)

    def try_out(self, batch: Batch, *, first: int) -> None:
        """Runs some jobs of a search; `first` is the number of the first of them."""
        assert self.launcher is not None
        self.validate_batch_is_legal(batch)
        self.launcher.launch(batch, initial_job_idx=first)

    def at_once(self, count: int) -> int:
        """How many of so many jobs the launcher runs at a time."""
        assert isinstance(self.launcher, SweepLauncher)
        return self.launcher.workers.at_once(count)

    def _project(self) -> str | None:
        assert self.config is not None
        project: str | None = self.config.logger.get("project")
        return project
