"""The parts of a run, built from objects: `runs.recipe.Recipe` for notebooks."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
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
    """The recipe of one model that is fitted to a data module; see `runs.recipe.Recipe` for its methods.

    Args:
        detector: the method.
        data: its images; one model is fitted to all of their categories.
        learning: the settings of the training; None for methods that do not learn by gradient.
        calibrator: fits the thresholds; None for the defaults of the configuration.
        seed: of everything random but the split, which has the seed of `data`.
        refit: whether held-out validation images join the model after calibration.
        accelerator: of Lightning's trainer, such as `cpu`.
        precision: of Lightning's trainer, such as `32-true`.

    Example:
        >>> import adframe
        >>> from adframe.models.pixel_mean import PixelMean
        >>> recipe = ObjectRecipe(
        ...     PixelMean(None), adframe.Toy("toy", category="weave"), learning=None, calibrator=None, seed=0,
        ...     refit=True, accelerator="cpu", precision="32-true",
        ... )
        >>> recipe.choices["model"], recipe.pooled
        ('PixelMean', False)
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
        self.config = self._describe_config()
        self._system: DetectionSystem | None = None

    @property
    def fitted(self) -> DetectionSystem:
        """The system of the run."""
        assert self._system is not None
        return self._system

    def source(self) -> Source:
        """Returns the dataset of the data module."""
        return self._data.source

    def categories(self, source: Source) -> list[str]:
        """Lists the categories of the data module.

        Args:
            source: not used.

        Returns:
            Their names.
        """
        del source
        return list(self._data.categories)

    def data(self, source: Source, categories: Sequence[str]) -> AnomalyData:
        """Returns the data module.

        Args:
            source: not used.
            categories: not used.

        Returns:
            The images of the model.
        """
        del source, categories
        return self._data

    def set_regions(self, regions: Mapping[str, list[Any]]) -> None:
        """Adds the regions of interest that the data module found to the content of `config.yaml`.

        Args:
            regions: category -> polygons as `AutoRoi` takes them.
        """
        self.config["roi"] = {"found": dict(regions)}

    def system(self, source: Source, *, unit: str, held_out: bool) -> DetectionSystem:
        """Builds the system around the detector once.

        Args:
            source: the dataset, which defines how ground-truth regions saturate.
            unit: not used.
            held_out: whether validation images were taken from the training images.

        Returns:
            The same system in every call.

        Raises:
            AdframeError: the method learns by gradient, and `learning` is missing.
        """
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
        """Returns a calibrator with the defaults of the configuration, not fitted."""
        return default_calibrator()

    def check_shift(self) -> None:
        """Does nothing: there is no shift."""

    def learning(self) -> Learning | None:
        """Returns the settings of the training."""
        return self._learning

    def stored_training(self, detector: Detector, data: AnomalyData) -> StoredTraining | None:
        """Returns None: no training is stored for other runs.

        Args:
            detector: not used.
            data: not used.

        Returns:
            None.
        """
        del detector, data
        return None

    def identity(self, unit: str) -> dict[str, str]:
        """Returns the facts by which the checkpoint is recognised.

        Args:
            unit: a category, or `global`.

        Returns:
            Name of the model, dataset, seed and image size, as text.
        """
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
        logger: Sequence[Logger] | None,
        *,
        learning: Learning | None = None,
        files: CheckpointIO | None = None,
    ) -> L.Trainer:
        """Builds the trainer of Lightning.

        Args:
            callbacks: the callbacks.
            logger: receive the losses; None for no logger.
            learning: gives the number of epochs; None for one pass.
            files: writes and reads the checkpoints of a training; None for Lightning's own.

        Returns:
            The trainer.
        """
        return make_trainer(self._options, callbacks, logger, learning=learning, files=files)

    def device(self) -> torch.device:
        """Returns the device on which the trainer tests."""
        device: torch.device = self.trainer([], None).strategy.root_device
        return device

    def tracker(self, run: Path, *, job: str = "train") -> AbstractContextManager[Sequence[Logger] | None]:
        """Returns a context without a logger.

        Args:
            run: not used.
            job: not used.

        Returns:
            A context with None.
        """
        del run, job
        return contextlib.nullcontext()

    def gallery(self) -> Gallery:
        """Returns the callback that keeps pictures for the report."""
        return Gallery()

    def embeddings(self) -> Embeddings | None:
        """Returns None: no embeddings are collected."""
        return None

    def map_writer(self, run: Path) -> MapWriter:
        """Returns a callback that is not used, because no maps are written.

        Args:
            run: the folder of the run.

        Returns:
            The callback.
        """
        return MapWriter(folder=run / "maps")

    def latency(self) -> Latency | None:
        """Returns None: latency is not measured."""
        return None

    def patches(self) -> PatchSurvey | None:
        """Returns None: no patches are sampled."""
        return None

    def with_domain(self, domain: str) -> ObjectRecipe:
        """Raises an error: there are no domains.

        Args:
            domain: any name.

        Raises:
            KeyError: always.
        """
        raise KeyError(domain)

    def for_transfer(self) -> ObjectRecipe:
        """Returns this recipe: there are no tests on other categories."""
        return self

    def _describe_config(self) -> dict[str, Any]:
        """Returns the content of `config.yaml`; it suffices for pages, but not for building the objects."""
        detector, size = type(self.detector), self._data.view.size
        return {
            "made_by": "adframe.fit",
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
    """Returns the default calibrator: quantile 0.995 of images, mean + 3 SD of pixels."""
    return Calibrator(image=Quantile(q=0.995), pixel=MeanStd(deviations=3.0))
