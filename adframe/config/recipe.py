"""The parts of a run, built from its configuration: `runs.recipe.Recipe` for Hydra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    requested_category,
)
from adframe.config.saved_config import read_config
from adframe.contracts import Detector
from adframe.data.base import Source
from adframe.data.datamodule import AnomalyData
from adframe.data.updated_source import updated_source
from adframe.diagnostics.latency import Latency
from adframe.diagnostics.patch_survey import PatchSurvey
from adframe.results.names import DOMAINS, TRANSFER
from adframe.runs.loggers import tracking
from adframe.runs.training_cache import StoredTraining, stored_training, training_settings
from adframe.systems.detection import DetectionSystem
from adframe.systems.learning import Learning

_SHIFTED_SPLITS = ["val", "test"]  # of a domain
_TRAINING_SET_KEYS = ("shots", "contamination", "labelled")
_PATH_KEYS = (
    "dataset.root",
    "dataset.origin.root",
    "backbone.checkpoint",
    "model.teacher",
    "model.penalty_images",
    "roi.mask",
)  # paths that users type


class ConfigRecipe:
    """The recipe of a run that a configuration describes; see `runs.recipe.Recipe` for its methods.

    Args:
        cfg: the whole configuration of `train.py`, or of a finished run.
        config: the content of `config.yaml`; None for the configuration itself, resolved.
        choices: names of the chosen parts for `environment.json`; None for none.
        command: the command that was typed.
        root_given: whether `dataset.root` was typed, so that pictures may be drawn there as well.
        parent: the folder of the run of which this one is an update; None for a run of its own.

    Example:
        >>> from adframe.cli.compose import compose_training
        >>> cfg, _ = compose_training(["model=patchcore", "dataset=toy", "seed=7", "paths.run=runs/first"])
        >>> ConfigRecipe(cfg).seed
        7
    """

    def __init__(
        self,
        cfg: DictConfig,
        *,
        config: dict[str, Any] | None = None,
        choices: dict[str, str] | None = None,
        command: Sequence[str] = (),
        root_given: bool = False,
        parent: str | None = None,
    ) -> None:
        self.cfg, self._root_given = cfg, root_given
        self.config = stored_config(cfg) if config is None else config
        self.choices, self.command = choices or {}, list(command)
        if parent is not None:
            self.choices = self.choices | {"parent": parent}
        self.seed: int = cfg.seed
        self.pooled: bool = cfg.scope == "global"
        self.refit: bool = cfg.refit
        self.save_maps = bool(cfg.get("save_maps"))
        self.transfer = bool(cfg.get(TRANSFER))
        self.domains = tuple(map(str, cfg.get(DOMAINS) or {}))
        self.shift_name = str(cfg.shift.get("name", ""))

    def source(self) -> Source:
        """Returns the dataset; downloads or draws it first where it is missing and that is possible."""
        source = build_source(self.cfg, root_given=self._root_given)
        if not self.cfg.get("update"):
            return source
        changes: Any = OmegaConf.to_container(self.cfg["update"])
        added = {name: [Path(path) for path in paths] for name, paths in changes["added"].items()}
        return updated_source(source, added=added, removed=changes["removed"])

    def categories(self, source: Source) -> list[str]:
        """Lists the categories that `category=` names.

        Args:
            source: the dataset.

        Returns:
            Their names in order.
        """
        return source.choose(requested_category(self.cfg))

    def data(self, source: Source, categories: Sequence[str]) -> AnomalyData:
        """Builds the images of one model.

        Args:
            source: the dataset.
            categories: the categories to which the model is fitted.

        Returns:
            A data module, before `setup()`.
        """
        return build_data(self.cfg, source, list(categories))

    def set_regions(self, regions: Mapping[str, list[Any]]) -> None:
        """Fixes the regions of interest that `roi=auto` found, also in the content of `config.yaml`.

        Args:
            regions: category -> polygons as `AutoRoi` takes them.
        """
        OmegaConf.update(self.cfg, "roi.found", dict(regions), merge=False)
        self.config["roi"]["found"] = dict(regions)

    def forget_regions(self) -> None:
        """Lets `roi=auto` find its regions again, on other training images."""
        if (self.config.get("roi") or {}).get("found") is not None:
            OmegaConf.update(self.cfg, "roi.found", None, merge=False)
            self.config["roi"]["found"] = None

    def system(self, source: Source, *, unit: str, held_out: bool) -> DetectionSystem:
        """Builds a model; its configuration has the name of the model as its category.

        Args:
            source: the dataset.
            unit: a category, or `global`.
            held_out: whether validation images were taken from the training images.

        Returns:
            The system, not fitted.
        """
        own = self.cfg.copy()
        OmegaConf.update(own, "category", unit)
        return build_system(own, source, held_out=held_out)

    def calibrator(self) -> Calibrator:
        """Returns a calibrator that is not fitted."""
        calibrator: Calibrator = build(self.cfg, "calibration")
        return calibrator

    def check_shift(self) -> None:
        """Builds the shift of the run's images once, which raises an error where that fails."""
        build(self.cfg, "shift")

    def learning(self) -> Learning | None:
        """Returns the settings of the training; None for methods that do not learn by gradient."""
        return build_learning(self.cfg)

    def stored_training(self, detector: Detector, data: AnomalyData) -> StoredTraining | None:
        """Returns the place of an equal training in the store.

        Args:
            detector: the method.
            data: the images of the training.

        Returns:
            The place; None with `store=none`.
        """
        if self.cfg.store is None:
            return None
        plain: Any = OmegaConf.to_container(self.cfg, resolve=True)
        return stored_training(Path(str(self.cfg.store.folder)), training_settings(plain), detector, data)

    def identity(self, unit: str) -> dict[str, str]:
        """Returns the facts by which a file of one model is recognised.

        Args:
            unit: a category, or `global`.

        Returns:
            Name of the model, dataset, seed and image size, as text.
        """
        size: Any = OmegaConf.to_container(self.cfg)["image_size"]  # type: ignore[index,call-overload]
        named = {"unit": unit, "dataset": self.cfg.dataset.name, "seed": self.seed, "image_size": size}
        if (scale := self.cfg.get("image_scale", 1.0)) != 1:  # checkpoints of earlier versions state none
            named["image_scale"] = scale
        named |= {key: self.cfg[key] for key in _TRAINING_SET_KEYS if self.cfg.get(key) is not None}
        return {name: str(value) for name, value in named.items()}

    def trainer(
        self,
        callbacks: Sequence[L.Callback],
        logger: Sequence[Logger] | None,
        *,
        learning: Learning | None = None,
        files: CheckpointIO | None = None,
    ) -> L.Trainer:
        """Builds the trainer of Lightning with the options of `trainer=`.

        Args:
            callbacks: the callbacks.
            logger: receive the losses; None for no logger.
            learning: gives the number of epochs; None for one pass.
            files: writes and reads the checkpoints of a training; None for Lightning's own.

        Returns:
            The trainer.
        """
        return build_trainer(self.cfg, list(callbacks), logger, learning=learning, files=files)

    def device(self) -> torch.device:
        """Returns the device on which the trainer tests."""
        device: torch.device = self.trainer([], None).strategy.root_device
        return device

    def tracker(self, run: Path, *, job: str = "train") -> AbstractContextManager[Sequence[Logger] | None]:
        """Opens the loggers that `logger=` names.

        Args:
            run: the folder of the run.
            job: `train` or `evaluate`.

        Returns:
            A context with the loggers; none for `logger=none`.
        """
        options: Any = OmegaConf.to_container(self.cfg.logger, resolve=True)

        def pack(unit: str, out: Path) -> None:
            from adframe.config.pack_run import pack_run  # it builds recipes

            trusted = [str(name) for name in self.config.get("trusted") or ()]
            pack_run(run, out, category=None if unit == "global" else unit, trusted=trusted)

        return tracking(options, run=run, config=self.config, pack=pack, job=job)

    def gallery(self) -> Gallery:
        """Returns the callback that keeps pictures."""
        gallery: Gallery = build(self.cfg, "callbacks.gallery")
        return gallery

    def embeddings(self) -> Embeddings | None:
        """Returns the callback that collects embeddings; None for a run of an older release without it."""
        return build(self.cfg, "callbacks.embeddings") if "embeddings" in self.cfg.callbacks else None

    def map_writer(self, run: Path) -> MapWriter:
        """Returns the callback behind `save_maps=true`.

        Args:
            run: the folder of the run; the maps lie below it.

        Returns:
            The callback.
        """
        writer: MapWriter = build(self.cfg, "callbacks.maps", {"folder": run / "maps"})
        return writer

    def latency(self) -> Latency | None:
        """Returns the latency meter; None where it is off or the run is of an older release without it."""
        if "latency" not in self.cfg.callbacks:
            return None
        meter: Latency = build(self.cfg, "callbacks.latency")
        return meter if meter.images else None

    def patches(self) -> PatchSurvey | None:
        """Returns the sampler of patches; None where it is off, or the run is older than it."""
        if "patches" not in self.cfg.callbacks:
            return None
        survey: PatchSurvey = build(self.cfg, "callbacks.patches")
        return survey if survey.count else None

    def with_domain(self, domain: str) -> ConfigRecipe:
        """Returns the same recipe with the shift of a domain, on validation and test images.

        Args:
            domain: one of `domains`.

        Returns:
            A new recipe.
        """
        own = self.cfg.copy()
        shift = OmegaConf.to_container(self.cfg.domains[domain], resolve=True)
        OmegaConf.update(own, "shift", shift, merge=False)
        own.shift.splits = _SHIFTED_SPLITS
        return self._with(own)

    def for_transfer(self) -> ConfigRecipe:
        """Returns the same recipe without sampling of patches, which the own test of each category does."""
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
    """Returns the recipe of a finished run.

    Args:
        path: the run's folder.

    Returns:
        The recipe.

    Raises:
        AdframeError: the folder is no run's folder.
    """
    config = read_config(path)
    return ConfigRecipe(OmegaConf.create(config), config=config)


def stored_config(cfg: DictConfig) -> dict[str, Any]:
    """Resolves a configuration so that it is valid in any folder.

    Args:
        cfg: the whole configuration.

    Returns:
        Plain data with absolute paths.
    """
    fixed = cfg.copy()  # paths are fixed before resolving, because other keys refer to them
    members = [f"dataset.members.{name}.root" for name in fixed.dataset.get("members") or ()]
    networks = OmegaConf.select(fixed, "backbone.members") or ()
    members += [f"backbone.members.{name}.checkpoint" for name in networks]
    for key in ("paths.data", "paths.splits", "paths.store", *_PATH_KEYS, *members):
        value = OmegaConf.select(fixed, key)
        if OmegaConf.is_dict(value):  # a mask per category
            for name, path in value.items():
                value[name] = str(Path(str(path)).resolve())
        elif value is not None:
            OmegaConf.update(fixed, key, str(Path(str(value)).resolve()))
    config: dict[str, Any] = OmegaConf.to_container(fixed, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    return config
