"""A fitted model with its numbers, which predicts other images."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from adframe.data.dataset import View
from adframe.inference.detector import TrainedDetector, stored_facts
from adframe.results.frame import Results, load_results
from adframe.results.names import MEAN
from adframe.results.run_folder import RunFolder
from adframe.systems.detection import DetectionSystem

if TYPE_CHECKING:
    import pandas as pd


class Fitted:
    """A model that was fitted and tested; `adframe.fit` returns it.

    Args:
        run: the folder with the report, the predictions, the checkpoint and the bootstrap draws.
        system: the Lightning module, with detector and calibrator.
        view: the size of the input and how images are brought to it.
        keep: a temporary folder that is removed with this object; None for a folder of the user.

    Attributes:
        run: the folder of the run.
        system: the Lightning module in evaluation mode.

    Example:
        >>> import adframe
        >>> data = adframe.Toy("toy", category="weave", image_size=64)
        >>> fitted = adframe.fit(adframe.PatchCore("resnet18"), data)  # doctest: +SKIP
        >>> decision = fitted.predict("image.png").anomalous  # doctest: +SKIP
    """

    def __init__(
        self,
        run: RunFolder,
        system: DetectionSystem,
        *,
        view: View,
        keep: tempfile.TemporaryDirectory[str] | None = None,
    ) -> None:
        self.run, self.system = run, system.eval()
        name = run.categories[0] if len(run.categories) == 1 else "global"
        self._trained = TrainedDetector(system, view=view, category=name, facts=stored_facts(run, name))
        self._keep = keep  # a temporary folder lives as long as this object

    @property
    def detector(self) -> torch.nn.Module:
        """The method."""
        return self.system.detector

    @property
    def metrics(self) -> Mapping[str, float | None]:
        """The metrics of the test images by name; of several categories, their mean."""
        return self.run.test[MEAN]

    @property
    def intervals(self) -> Mapping[str, tuple[float, float]]:
        """The 95 % intervals of the metrics."""
        return self.run.intervals.get(MEAN, {})

    @property
    def threshold(self) -> float:
        """The threshold of image scores: an image with a larger score is called anomalous."""
        return float(self.system.calibrator.fitted.threshold)

    @property
    def results(self) -> Results:
        """The tests, with their bootstrap draws."""
        return load_results([self.run.path])

    @property
    def frame(self) -> pd.DataFrame:
        """A table with one row per category and metric."""
        return self.results.frame

    def predict(self, images: Any, *, batch_size: int = 8, threads: int = 2) -> Any:
        """Inspects images, prepared in the same way as the training images.

        Args:
            images: one image, a folder, a batch or a list, as `TrainedDetector.predict` takes them.
            batch_size: images of one size that the network takes together.
            threads: number of threads that decode images while the network works.

        Returns:
            The `ImageResult` of one image, or a list of them in the order of the images.

        Raises:
            AdframeError: as `TrainedDetector.predict`.
        """
        return self._trained.predict(images, batch_size=batch_size, threads=threads)

    def __repr__(self) -> str:
        auroc = self.metrics.get("image/auroc")
        shown = "unknown" if auroc is None else f"{100 * auroc:.1f}"
        return f"Fitted({type(self.detector).__name__}, image AUROC {shown}, {self.run.path})"
