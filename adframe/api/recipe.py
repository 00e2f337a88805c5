"""A run's parts from objects: `runs.recipe.Recipe` for notebooks."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from lightning.pytorch.loggers import Logger

from adframe.calibration.calibrator import Calibrator
from adframe.calibration.rules import MeanStd, Quantile
from adframe.callbacks.embeddings import Embeddings
from adframe.callbacks.gallery import Gallery
from adframe.callbacks.maps import MapWriter
from adframe.contracts import Detector, Gradient
from adframe.data.base import Source
from adframe.data.datamodule import AnomalyData
from adframe.diagnostics.latency import Latency
from adframe.diagnostics.patch_survey import PatchSurvey
from adframe.errors import AdframeError
from adframe.metrics.pixel import PixelMetrics
from adframe.runs.trainer import make_trainer
from adframe.runs.training_cache import StoredTraining
from adframe.systems.detection import DetectionSystem
from adframe.systems.gradient import GradientSystem
from adframe.systems.learning import Learning
from adframe.systems.training_free import TrainingFreeSystem


class ObjectRecipe:
    """The recipe of one model that is fitted to a data module.

    Args:
        detector: the method.
        data: its images; one model is fitted to all of their categories.
        learning: how the method learns; None for methods that do not learn by gradient.
        calibrator: fits the thresholds; None takes the defaults of the configuration.
        seed: of everything random but the split, which has the seed of `data`.
        refit: whether held-out validation images join the model after calibration.
        accelerator: of Lightning's trainer.
        precision: of Lightning's trainer.
    """

    def __init__(
        self,
        detector: Any,
        data: AnomalyData,
        *,
        learning: Learning | None,
        calibrator: Calibrator | None,
        seed: int,
        refit: bool,
        accelerator: str,
        precision: str,
    ) -> None:
        self.detector, self._data, self._learning = detector, data, learning
        self._calibrator = calibrator or default_calibrator()
        self._options = {"accelerator": accelerator, "devices": 1, "precision": precision}
        self.seed, self.refit = seed, refit
        self.pooled = len(data.categories) > 1
        self.save_maps = self.transfer = False
        self.domains: tuple[str, ...] = ()
        self.shift_name = "none"
        self.command: list[str] = ["adframe.fit"]
        self.choices = {
            "model": type(detector).__name__,
            "backbone": str(getattr(getattr(detector, "backbone", None), "name", "none")),
            "dataset": data.source.name,
        }
        self.config = self._described()
        self._system: DetectionSystem | None = None

    @property
    def fitted(self) -> DetectionSystem:
        """The system of the run."""
        assert self._system is not None
        return self._system

    def source(self) -> Source:
        """The dataset of the data module."""
        return self._data.source

    def categories(self, source: Source) -> list[str]:
        """The categories of the data module."""
        del source
        return list(self._data.categories)

    def data(self, source: Source, categories: Sequence[str]) -> AnomalyData:
        """The data module."""
        del source, categories
        return self._data

    def system(self, source: Source, *, unit: str, held_out: bool) -> DetectionSystem:
        """The system around the detector; it is made once."""
        del unit
        if self._system is None:
            pixel = PixelMetrics(saturated=source.saturated)
            if not isinstance(self.detector, Gradient):
                self._system = TrainingFreeSystem(
                    detector=self.detector,
                    calibrator=self._calibrator,
                    pixel=pixel,
                    refit=self.refit and held_out,
                )
            elif self._learning is None:
                raise AdframeError(f"{type(self.detector).__name__} learns by gradient; give learning=")
            else:
                self._system = GradientSystem(
                    detector=self.detector,  # type: ignore[arg-type]
                    calibrator=self._calibrator,
                    pixel=pixel,
                    learning=self._learning,
                )
        return self._system

    def calibrator(self) -> Calibrator:
        """A calibrator that is not fitted."""
        return default_calibrator()

    def check_shift(self) -> None:
        """Does nothing: there is no shift."""

    def learning(self) -> Learning | None:
        """How the method learns."""
        return self._learning

    def stored_training(self, detector: Detector, data: AnomalyData) -> StoredTraining | None:
        """None: no training is kept for others."""
        del detector, data
        return None

    def identity(self, unit: str) -> dict[str, str]:
        """What the checkpoint says that it is of."""
        size = self._data.view.size
        return {
            "unit": unit,
            "dataset": self._data.source.name,
            "seed": str(self.seed),
            "image_size": str(None if size is None else list(size)),
        }

    def trainer(
        self,
        callbacks: Sequence[L.Callback],
        logger: Logger | None,
        *,
        learning: Learning | None = None,
        files: CheckpointIO | None = None,
    ) -> L.Trainer:
        """Lightning's trainer."""
        return make_trainer(self._options, callbacks, logger, learning=learning, files=files)

    def device(self) -> torch.device:
        """Where the trainer tests."""
        device: torch.device = self.trainer([], None).strategy.root_device
        return device

    def tracker(self, run: Path) -> AbstractContextManager[Logger | None]:
        """No logger."""
        del run
        return contextlib.nullcontext()

    def gallery(self) -> Gallery:
        """The observer that keeps pictures for the report."""
        return Gallery()

    def embeddings(self) -> Embeddings | None:
        """None: they are not observed."""
        return None

    def map_writer(self, run: Path) -> MapWriter:
        """An observer that is not used: no maps are written."""
        return MapWriter(folder=run / "maps")

    def latency(self) -> Latency | None:
        """None: it is not measured."""
        return None

    def patches(self) -> PatchSurvey | None:
        """None: no patches are sampled."""
        return None

    def with_domain(self, domain: str) -> ObjectRecipe:
        """There are no domains."""
        raise KeyError(domain)

    def for_transfer(self) -> ObjectRecipe:
        """The same: there are no tests on other categories."""
        return self

    def _described(self) -> dict[str, Any]:
        """What `config.yaml` keeps: enough for pages and comparisons, too little to build the objects."""
        detector, size = type(self.detector), self._data.view.size
        return {
            "model": {"_target_": f"{detector.__module__}.{detector.__qualname__}"},
            "backbone": {"name": self.choices["backbone"]},
            "dataset": {"name": self._data.source.name, "root": str(Path(self._data.source.root).resolve())},
            "category": list(self._data.categories),
            "scope": "global" if self.pooled else "per_category",
            "shift": {"name": "none", "transforms": [], "splits": []},
            "image_size": None if size is None else list(size),
            "batch_size": self._data.batch_size,
            "seed": self.seed,
            "refit": self.refit,
            "calibration": {"normalisation": self._calibrator.normalisation},
        }


def default_calibrator() -> Calibrator:
    """The calibrator of the default configuration: quantile 0.995 of images, mean + 3 SD of pixels."""
    return Calibrator(image=Quantile(q=0.995), pixel=MeanStd(deviations=3.0))
