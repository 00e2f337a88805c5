"""The parts of a run as objects: `config.recipe` builds them from a configuration, `api` from arguments.

Runs take a `Recipe` and know nothing of configuration files, so that notebooks and command lines share them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import lightning as L
import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from lightning.pytorch.loggers import Logger

from adframe.calibration.calibrator import Calibrator
from adframe.callbacks.embeddings import Embeddings
from adframe.callbacks.gallery import Gallery
from adframe.callbacks.maps import MapWriter
from adframe.contracts import Detector
from adframe.data.base import Source
from adframe.data.datamodule import AnomalyData
from adframe.diagnostics.latency import Latency
from adframe.diagnostics.patch_survey import PatchSurvey
from adframe.runs.training_cache import StoredTraining
from adframe.systems.detection import DetectionSystem
from adframe.systems.learning import Learning


class Recipe(Protocol):
    """The parts of a run as objects, and its choices as plain values.

    Attributes:
        config: the whole configuration as plain data, the content of `config.yaml`.
        choices: names of the chosen model, backbone, dataset and so on, for `environment.json`.
        command: the command that started the run, or another way to repeat it.
        seed: of everything random.
        pooled: whether one model is fitted for all categories together.
        refit: whether held-out validation images join the model after calibration.
        save_maps: whether anomaly maps are written.
        transfer: whether each model is also tested on the other categories.
        domains: names of the domains under which the model is also tested.
        shift_name: the name of the shift of the run's own images.

    Example:
        >>> from adframe.config.recipe import open_run
        >>> recipe: Recipe = open_run(Path("runs/patchcore"))  # doctest: +SKIP
        >>> recipe.categories(recipe.source())  # doctest: +SKIP
        ['bottle']
    """

    config: dict[str, Any]
    choices: dict[str, str]
    command: list[str]
    seed: int
    pooled: bool
    refit: bool
    save_maps: bool
    transfer: bool
    domains: tuple[str, ...]
    shift_name: str

    def source(self) -> Source:
        """Returns the dataset; downloads or writes it first where it is missing and can be made."""

    def categories(self, source: Source) -> list[str]:
        """Lists the categories of the run.

        Args:
            source: the dataset.

        Returns:
            Their names in order.
        """

    def data(self, source: Source, categories: Sequence[str]) -> AnomalyData:
        """Returns the images of one model.

        Args:
            source: the dataset.
            categories: the categories to which the model is fitted.

        Returns:
            A data module, before `setup()`.
        """

    def set_regions(self, regions: Mapping[str, list[Any]]) -> None:
        """Fixes the regions of interest that `roi=auto` found, also in `config`.

        Args:
            regions: category -> polygons as `AutoRoi` takes them.
        """

    def system(self, source: Source, *, unit: str, held_out: bool) -> DetectionSystem:
        """Builds a model with its calibrator and metrics, not fitted.

        Args:
            source: the dataset, which defines how ground-truth regions saturate.
            unit: a category, or `global`.
            held_out: whether validation images were taken from the training images, so that a refit may
                use them.

        Returns:
            The system.
        """

    def calibrator(self) -> Calibrator:
        """Returns a calibrator that is not fitted."""

    def check_shift(self) -> None:
        """Builds the shift of the run's images once.

        Raises:
            AdframeError: it cannot be built.
        """

    def learning(self) -> Learning | None:
        """Returns how the method is trained; None for methods that do not learn by gradient."""

    def stored_training(self, detector: Detector, data: AnomalyData) -> StoredTraining | None:
        """Returns the place where an equal training is stored.

        Args:
            detector: the method.
            data: the images of the training.

        Returns:
            The place; None where no training is stored.
        """

    def identity(self, unit: str) -> dict[str, str]:
        """Returns the facts by which a file of one model is recognised.

        Args:
            unit: a category, or `global`.

        Returns:
            Name -> value, such as the dataset and the seed.
        """

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
            callbacks: the callbacks; a `ModelCheckpoint` among them turns checkpoints on.
            logger: receive the losses; None for no logger.
            learning: gives the number of epochs; None for one pass.
            files: writes and reads the checkpoints of a training; None for Lightning's own.

        Returns:
            The trainer.
        """

    def device(self) -> torch.device:
        """Returns the device on which the trainer tests."""

    def tracker(self, run: Path, *, job: str = "train") -> AbstractContextManager[Sequence[Logger] | None]:
        """Opens the loggers of a run.

        Args:
            run: the folder of the run.
            job: `train` or `evaluate`.

        Returns:
            A context; when it ends without an error, the finished run is uploaded.
        """

    def gallery(self) -> Gallery:
        """Returns the callback that keeps pictures."""

    def embeddings(self) -> Embeddings | None:
        """Returns the callback that collects embeddings of images; None where it is off."""

    def map_writer(self, run: Path) -> MapWriter:
        """Returns the callback that writes anomaly maps.

        Args:
            run: the folder of the run; the maps lie below it.

        Returns:
            The callback.
        """

    def latency(self) -> Latency | None:
        """Returns the latency meter; None where it is off."""

    def patches(self) -> PatchSurvey | None:
        """Returns the sampler of patches of each layer; None where it is off."""

    def with_domain(self, domain: str) -> Recipe:
        """Returns the same recipe with validation and test images under another domain.

        Args:
            domain: one of `domains`.

        Returns:
            A new recipe.
        """

    def for_transfer(self) -> Recipe:
        """Returns the same recipe for tests on other categories, in which no patches are sampled."""


OpenRun = Callable[[Path], Recipe]  # folder of a finished run -> its recipe


def check_buildable(recipe: Recipe, source: Source, *, unit: str, held_out: bool) -> DetectionSystem:
    """Builds every part of a run once, so that a faulty part stops the run before its folder is made.

    Args:
        recipe: the recipe of the run.
        source: its dataset.
        unit: the first model: a category, or `global`.
        held_out: whether its validation images were taken from the training images.

    Returns:
        The first model, for the run to fit.

    Raises:
        AdframeError: a part cannot be built.
    """
    L.seed_everything(recipe.seed, workers=True, verbose=False)
    system = recipe.system(source, unit=unit, held_out=held_out)
    recipe.gallery()
    recipe.embeddings()
    recipe.patches()
    recipe.latency()
    recipe.map_writer(Path())
    recipe.trainer([], None)
    return system
