"""The model of a bundle for services: ONNX Runtime or OpenVINO, without torch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from adframe.calibration.fitted import FittedCalibration
from adframe.contracts import Geometry
from adframe.data.image_facts import is_grey
from adframe.errors import AdframeError
from adframe.export.manifest import read_manifest, runtime_errors
from adframe.export.standalone import BundledModel
from adframe.inference.images import InputImage
from adframe.inference.results import TRAINED, ImageResult
from adframe.ops.geometry import restore


class BundledDetector:
    """Inspects images with a bundle; it has of `TrainedDetector` what a service needs.

    The network's input is prepared by numpy and Pillow instead of torch, so that scores can differ from those
    of `adframe.load` in their last digits; the bundle's own predict.py has the same scores.

    Args:
        folder: the bundle.
        category: the category that the bundle must be of; None for any.
        calibration: name of the thresholds that it must have; `trained` takes those that it has.
        threads: number of threads of the network; 0 for all cores.

    Attributes:
        category: a category, or `global`.
        calibration: the thresholds.
        calibration_name: `trained`, or the name of thresholds that were fitted later.

    Raises:
        AdframeError: a file is missing, was changed or is not readable, or the runtime is not installed.

    Example:
        >>> detector = BundledDetector(Path("bundle"))  # doctest: +SKIP
        >>> [result] = detector.stream([InputImage("a.png", Path("a.png"))])  # doctest: +SKIP
        >>> result.anomalous, result.score  # doctest: +SKIP
    """

    def __init__(
        self, folder: Path, *, category: str | None = None, calibration: str = TRAINED, threads: int = 0
    ) -> None:
        manifest = read_manifest(folder, category=category, calibration=calibration)
        with runtime_errors(folder / manifest.network):
            self._model = BundledModel(folder, threads=threads)
        self.category, self.calibration_name = manifest.category, manifest.calibration_name
        self.calibration: FittedCalibration = manifest.calibration
        self._postprocess, self._facts = manifest.postprocess, manifest.images

    @property
    def threshold(self) -> float:
        """The threshold of raw image scores: an image with a larger score is called anomalous."""
        return float(self.calibration.threshold)

    def warm_up(self) -> None:
        """Inspects a grey image, because the first one takes longer than others."""
        region = self._model.region
        height, width = self._model.size if region is None else region.shape
        grey = InputImage("warm-up", np.full((height, width, 3), 128, np.uint8))
        self._inspect(grey).record()

    def pixels(self, image: InputImage) -> np.ndarray:
        """Decodes an image as the training images were decoded.

        Args:
            image: the image.

        Returns:
            (H, W, 3) uint8 or uint16.

        Raises:
            AdframeError: the image cannot be read.
        """
        return image.pixels(bits=16 if self._facts is None else self._facts.bits)

    def stream(
        self, images: Iterable[InputImage], *, batch_size: int = 8, threads: int = 2
    ) -> Iterator[ImageResult]:
        """Inspects images one after the other: the network of a bundle takes one at a time.

        Args:
            images: the images.
            batch_size: not used.
            threads: not used; the network has threads of its own.

        Yields:
            One result per image, in the order of the images.
        """
        del batch_size, threads
        for image in images:
            yield self._inspect(image)

    def _inspect(self, image: InputImage) -> ImageResult:
        try:
            pixels = self.pixels(image)
            view, box = self._model.view(pixels)
        except (AdframeError, OSError, ValueError) as error:
            return ImageResult(image.name, None, None, threshold_map=self._mask, error=str(error))
        start = time.perf_counter()
        score, heatmap = self._model.run(view)
        milliseconds = 1000 * (time.perf_counter() - start)
        original, inside = (pixels.shape[0], pixels.shape[1]), self._model.region
        frame = restore(heatmap, Geometry(original=original, view=box, inside=inside))
        doubts = () if self._facts is None else self._facts.doubts(original, grey=is_grey(pixels))
        return ImageResult(
            image.name,
            self.calibration.decide(score, heatmap=frame),
            frame,
            threshold_map=self._mask,
            milliseconds=milliseconds,
            warnings=doubts,
            calibration=self.calibration_name,
            inside=inside,
        )

    def _mask(self, scores: np.ndarray) -> np.ndarray:
        return self.calibration.mask(scores, postprocess=self._postprocess)
