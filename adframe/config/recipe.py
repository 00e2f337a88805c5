"""A run's parts from its configuration: `runs.recipe.Recipe` for Hydra."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from adframe.calibration.calibrator import Calibrator
from adframe.callbacks.embeddings import Embeddings
from adframe.callbacks.gallery import Gallery
from adframe.callbacks.maps import MapWriter
from adframe.config.build import (
    build,
    build_data,
    build_learning,
    build_source,
    build_system,
    build_trainer,
    wanted,
)
from adframe.config.saved_config import read_config
from adframe.contracts import Detector
from adframe.data.base import Source
from adframe.data.datamodule import AnomalyData
from adframe.diagnostics.latency import Latency
from adframe.diagnostics.patch_survey import PatchSurvey
from adframe.results.names import DOMAINS, TRANSFER
from adframe.runs.loggers import tracking
from adframe.runs.training_cache import StoredTraining, stored_training, training_settings
from adframe.systems.detection import DetectionSystem
from adframe.systems.learning import Learning

VALIDATED = ["val", "test"]  # splits that a domain shifts
PLACES = ("dataset.root", "dataset.origin.root", "backbone.checkpoint")  # files and folders given by users


class ConfigRecipe:
    """The recipe of a run that a configuration describes.

    Args:
        cfg: the whole configuration of `train.py`, or of a finished run.
        config: what `config.yaml` keeps; by default the configuration, resolved.
        choices: what `environment.json` keeps of the choices.
        command: the command that was typed.
        root_given: whether `dataset.root` was typed, so that pictures may be drawn there as well.
    """

    def __init__(
        self,
        cfg: DictConfig,
        *,
        config: dict[str, Any] | None = None,
        choices: dict[str, str] | None = None,
        command: Sequence[str] = (),
        root_given: bool = False,
    ) -> None:
        self.cfg, self._root_given = cfg, root_given
        self.config = config_of(cfg) if config is None else config
        self.choices, self.command = choices or {}, list(command)
        self.seed: int = cfg.seed
        self.pooled: bool = cfg.scope == "global"
        self.refit: bool = cfg.refit
        self.save_maps = bool(cfg.get("save_maps"))
        self.transfer = bool(cfg.get(TRANSFER))
        self.domains = tuple(map(str, cfg.get(DOMAINS) or {}))
        self.shift_name = str(cfg.shift.get("name", ""))

    def source(self) -> Source:
        """The dataset, fetched or written where it can be and is not there yet."""
        return build_source(self.cfg, root_given=self._root_given)

    def categories(self, source: Source) -> list[str]:
        """The categories that `category=` names."""
        return source.choose(wanted(self.cfg))

    def data(self, source: Source, categories: Sequence[str]) -> AnomalyData:
        """The images of one model."""
        return build_data(self.cfg, source, list(categories))

    def system(self, source: Source, *, unit: str, held_out: bool) -> DetectionSystem:
        """The model of a unit, whose configuration has the unit's name as its category."""
        own = self.cfg.copy()
        OmegaConf.update(own, "category", unit)
        return build_system(own, source, held_out=held_out)

    def calibrator(self) -> Calibrator:
        """A calibrator that is not fitted."""
        calibrator: Calibrator = build(self.cfg, "calibration")
        return calibrator

    def check_shift(self) -> None:
        """Builds the shift of the run's images once."""
        build(self.cfg, "shift")

    def learning(self) -> Learning | None:
        """How the method learns; None for methods that do not learn by gradient."""
        return build_learning(self.cfg)

    def stored_training(self, detector: Detector, data: AnomalyData) -> StoredTraining | None:
        """Where an equal training is kept; None with `store=none`."""
        if self.cfg.store is None:
            return None
        plain: Any = OmegaConf.to_container(self.cfg, resolve=True)
        return stored_training(Path(str(self.cfg.store.folder)), training_settings(plain), detector, data)

    def identity(self, unit: str) -> dict[str, str]:
        """What the files of one model say that they are of."""
        size: Any = OmegaConf.to_container(self.cfg)["image_size"]  # type: ignore[index,call-overload]
        named = {"unit": unit, "dataset": self.cfg.dataset.name, "seed": self.seed, "image_size": size}
        return {name: str(value) for name, value in named.items()}

    def trainer(
        self,
        callbacks: Sequence[L.Callback],
        logger: Logger | None,
        *,
        learning: Learning | None = None,
        files: CheckpointIO | None = None,
    ) -> L.Trainer:
        """Lightning's trainer, with the options of `trainer=`."""
        return build_trainer(self.cfg, list(callbacks), logger, learning=learning, files=files)

    def device(self) -> torch.device:
        """Where the trainer tests."""
        device: torch.device = self.trainer([], None).strategy.root_device
        return device

    def tracker(self, run: Path) -> AbstractContextManager[Logger | None]:
        """The logger that `logger=` names."""
        options: Any = OmegaConf.to_container(self.cfg.logger, resolve=True)
        return tracking(options, run=run, config=self.config)

    def gallery(self) -> Gallery:
        """The observer that keeps pictures."""
        gallery: Gallery = build(self.cfg, "callbacks.gallery")
        return gallery

    def embeddings(self) -> Embeddings | None:
        """The observer of what images are to the method; None in a stored run that is older than it."""
        return build(self.cfg, "callbacks.embeddings") if "embeddings" in self.cfg.callbacks else None

    def map_writer(self, run: Path) -> MapWriter:
        """The observer behind `save_maps=true`."""
        writer: MapWriter = build(self.cfg, "callbacks.maps", {"folder": run / "maps"})
        return writer

    def latency(self) -> Latency | None:
        """What measures latency; None where it is off, or in a stored run that is older than it."""
        if "latency" not in self.cfg.callbacks:
            return None
        meter: Latency = build(self.cfg, "callbacks.latency")
        return meter if meter.images else None

    def patches(self) -> PatchSurvey | None:
        """What samples patches; None where it is off, or in a stored run that is older than it."""
        if "patches" not in self.cfg.callbacks:
            return None
        survey: PatchSurvey = build(self.cfg, "callbacks.patches")
        return survey if survey.count else None

    def with_domain(self, domain: str) -> ConfigRecipe:
        """The same run with the shift of a domain in place of its own, on validation and test images."""
        own = self.cfg.copy()
        shift = OmegaConf.to_container(self.cfg.domains[domain], resolve=True)
        OmegaConf.update(own, "shift", shift, merge=False)
        own.shift.splits = VALIDATED
        return self._with(own)

    def for_transfer(self) -> ConfigRecipe:
        """The same run for tests on other categories: each category's own test has sampled its patches."""
        own = self.cfg.copy()
        if "patches" in own.callbacks:
            own.callbacks.patches.count = 0
        return self._with(own)

    def _with(self, cfg: DictConfig) -> ConfigRecipe:
        config: Any = OmegaConf.to_container(cfg, resolve=True)
        return ConfigRecipe(
            cfg, config=config, choices=self.choices, command=self.command, root_given=self._root_given
        )


def open_run(path: Path) -> ConfigRecipe:
    """The recipe of a finished run, from its folder.

    Raises:
        AdframeError: the folder holds no run.
    """
    config = read_config(path)
    return ConfigRecipe(OmegaConf.create(config), config=config)


def config_of(cfg: DictConfig) -> dict[str, Any]:
    """The configuration, resolved, with paths that are valid from any folder."""
    fixed = cfg.copy()  # before it is resolved: other keys are made of these
    members = [f"dataset.members.{name}.root" for name in fixed.dataset.get("members") or ()]
    for key in ("paths.data", "paths.splits", "paths.store", *PLACES, *members):
        value = OmegaConf.select(fixed, key)
        if value is not None:
            OmegaConf.update(fixed, key, str(Path(str(value)).resolve()))
    config: dict[str, Any] = OmegaConf.to_container(fixed, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    return config
