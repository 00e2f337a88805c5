"""A fitted model with its numbers, which predicts other images."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from adframe.contracts import Geometry, ImagePrediction
from adframe.data.dataset import View, as_unit, resize_to_view
from adframe.errors import AdframeError
from adframe.io.images import read_image
from adframe.ops.geometry import restore
from adframe.results.frame import Results, load_results
from adframe.results.names import MEAN
from adframe.results.run_folder import RunFolder
from adframe.systems.detection import DetectionSystem, heatmaps
from adframe.transforms.preprocess import PREPROCESSES

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image


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
        self.run, self.system, self._view = run, system.eval(), view
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

    def predict(self, image: str | Path | np.ndarray | Image) -> ImagePrediction:
        """Scores one image, prepared in the same way as the training images.

        Args:
            image: a path, a PIL image, or an array (H, W) or (H, W, 3) of uint8 or uint16.

        Returns:
            The decision with score and threshold, and the heatmap (H, W) in the frame of the image.

        Raises:
            AdframeError: the image cannot be read, or the array has another shape or type.
        """
        pixels = read_image(Path(image)) if isinstance(image, str | Path) else _to_rgb_array(image)
        tensor, box = resize_to_view(as_unit(PREPROCESSES[self._view.preprocess](pixels)), self._view)
        with torch.inference_mode():
            prediction = self.system(tensor[None].to(self.system.device))
        geometry = Geometry(original=(pixels.shape[0], pixels.shape[1]), view=box)
        frame = restore(heatmaps(prediction)[0], geometry)
        score = float(prediction.score[0])
        return ImagePrediction(self.system.calibrator.decide(score, heatmap=frame), frame)

    def __repr__(self) -> str:
        auroc = self.metrics.get("image/auroc")
        shown = "unknown" if auroc is None else f"{100 * auroc:.1f}"
        return f"Fitted({type(self.detector).__name__}, image AUROC {shown}, {self.run.path})"


def _to_rgb_array(image: np.ndarray | Image) -> np.ndarray:
    """Returns the image as (H, W, 3), uint8 or uint16."""
    pixels = np.asarray(image)
    if pixels.dtype not in (np.uint8, np.uint16) or pixels.ndim not in (2, 3):
        raise AdframeError(
            f"an image must be (H, W) or (H, W, 3) of uint8 or uint16, not {pixels.shape} of {pixels.dtype}"
        )
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    if pixels.shape[2] != 3:
        raise AdframeError(f"an image must have 3 channels, not {pixels.shape[2]}")
    return pixels
