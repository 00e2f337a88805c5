"""What a run is made of, as objects: `config.recipe` builds them from a configuration, `api` from arguments.

Runs take a `Recipe` and know nothing of configuration files: a notebook and a command line do the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from adframe.runs.training_cache import Learned
from adframe.systems.detection import DetectionSystem
from adframe.systems.learning import Learning


class Recipe(Protocol):
    """The parts of a run, and the choices that are no objects.

    Attributes:
        config: the whole configuration as plain data, which `config.yaml` keeps.
        choices: names of what was chosen: model, backbone, dataset, ...; `environment.json` keeps them.
        command: the command that started the run, or another way to repeat it.
        seed: of everything random.
        pooled: whether one model is fitted for all categories together.
        refit: whether validation images that were held out join the model after calibration.
        save_maps: whether anomaly maps are written.
        transfer: whether each model is tested on the other categories.
        domains: names of the domains under which the model is tested as well.
        shift_name: the name of the shift of the run's own images.
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
        """The dataset, fetched or written where it can be and is not there yet."""

    def categories(self, source: Source) -> list[str]:
        """The categories of the run."""

    def data(self, source: Source, categories: Sequence[str]) -> AnomalyData:
        """The images of one model."""

    def system(self, source: Source, *, unit: str, held_out: bool) -> DetectionSystem:
        """The model of a category, or the `global` one, with calibrator and metrics, not fitted.

        Args:
            source: the dataset, which says how ground truth saturates.
            unit: a category, or `global`.
            held_out: whether validation images were taken from train, so that a refit may give them back.
        """

    def calibrator(self) -> Calibrator:
        """A calibrator that is not fitted."""

    def check_shift(self) -> None:
        """Builds the shift of the run's images; raises an AdframeError where it cannot be built."""

    def learning(self) -> Learning | None:
        """How the method learns; None for methods that do not learn by gradient."""

    def learned(self, detector: Detector, data: AnomalyData) -> Learned | None:
        """Where an equal training is kept; None where nothing is kept."""

    def identity(self, unit: str) -> dict[str, str]:
        """What the files of one model say that they are of."""

    def trainer(
        self,
        callbacks: Sequence[L.Callback],
        logger: Logger | None,
        *,
        learning: Learning | None = None,
        files: CheckpointIO | None = None,
    ) -> L.Trainer:
        """Lightning's trainer.

        Args:
            callbacks: observers; one of them may keep checkpoints.
            logger: where losses go, if anywhere.
            learning: says how many epochs; without it one pass is all.
            files: writes and reads the checkpoints of a training.
        """

    def device(self) -> torch.device:
        """Where the trainer tests."""

    def tracker(self, run: Path) -> AbstractContextManager[Logger | None]:
        """The logger of a run, which ends with the context; a finished run is handed over to it."""

    def gallery(self) -> Gallery:
        """The observer that keeps pictures."""

    def embeddings(self) -> Embeddings | None:
        """The observer of what images are to the method; None where it is off."""

    def map_writer(self, run: Path) -> MapWriter:
        """The observer that writes anomaly maps below a run's folder."""

    def latency(self) -> Latency | None:
        """What measures latency; None where it is off."""

    def patches(self) -> PatchSurvey | None:
        """What samples patches of each layer; None where it is off."""

    def under(self, domain: str) -> Recipe:
        """The same run with validation and test images under another domain."""

    def elsewhere(self) -> Recipe:
        """The same run for tests on other categories: nothing is sampled there."""


OpenRun = Callable[[Path], Recipe]  # the recipe of a finished run, from its folder


def check_complete(recipe: Recipe, source: Source, *, unit: str, held_out: bool) -> DetectionSystem:
    """Builds everything that a run needs, so that what cannot be built stops it before its folder is made.

    Returns:
        The first model, for the run to fit.
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
