"""A trained model that inspects other images, prepared as the images were to which it was fitted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from adframe.calibration.fitted import FittedCalibration
from adframe.contracts import Geometry
from adframe.data.dataset import View, to_view
from adframe.data.image_facts import IMAGE_FACTS, ImageFacts, is_grey
from adframe.errors import AdframeError
from adframe.inference.images import InputImage, input_images
from adframe.inference.results import TRAINED, ImageResult
from adframe.ops.geometry import restore
from adframe.reporting.outlines import as_bytes
from adframe.results.run_folder import RunFolder
from adframe.systems.detection import DetectionSystem, heatmaps, timed


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """One image as the network takes it.

    Attributes:
        name: of the image.
        tensor: (3, h, w) float32 in [0, 1]; None where the image could not be read.
        geometry: the place of the network's view in the original image; None as above.
        warnings: doubts about the image.
        error: why it could not be read; None where it could.
    """

    name: str
    tensor: Tensor | None = None
    geometry: Geometry | None = None
    warnings: tuple[str, ...] = ()
    error: str | None = None


class TrainedDetector:
    """A fitted and calibrated model; `adframe.load` returns it.

    Args:
        system: the Lightning module with detector and calibrator.
        view: how an image is brought to the network's size.
        category: what the model was fitted to: a category, or `global`.
        facts: the kind of the training images; None where the run does not state it, then no image is
            doubted.
        inspected: the category whose region of interest is inspected, where it depends on the category; None
            for `category`.

    Attributes:
        system: the Lightning module in evaluation mode.
        view: how an image is brought to the network's size.
        category: a category, or `global`.
        inspected: the category whose region of interest is inspected.
        calibration_name: `trained`, or the name of thresholds that were fitted later.

    Example:
        >>> import adframe
        >>> detector = adframe.load("runs/screw")  # doctest: +SKIP
        >>> result = detector.predict("some.png")  # doctest: +SKIP
        >>> result.anomalous, result.score, result.regions  # doctest: +SKIP
    """

    def __init__(
        self,
        system: DetectionSystem,
        *,
        view: View,
        category: str,
        facts: ImageFacts | None = None,
        inspected: str | None = None,
    ) -> None:
        self.inspected = category if inspected is None else inspected
        self.system, self.view, self.category, self._facts = system.eval(), view, category, facts
        self.calibration_name = TRAINED

    @property
    def detector(self) -> nn.Module:
        """The method."""
        return self.system.detector

    @property
    def calibration(self) -> FittedCalibration:
        """The thresholds, and where they come from."""
        return self.system.calibrator.fitted

    @property
    def threshold(self) -> float:
        """The threshold of raw image scores: an image with a larger score is called anomalous."""
        return float(self.calibration.threshold)

    def warm_up(self) -> None:
        """Runs the network once on a grey image, because its first image takes longer than others."""
        size = self.view.size or (256, 256)
        with torch.inference_mode():
            self.system(torch.full((1, 3, *size), 0.5, device=self.system.device))

    def predict(self, images: Any, *, batch_size: int = 8, threads: int = 2) -> Any:
        """Inspects images; the numbers do not depend on their order, or on how they are batched.

        Args:
            images: one image: a path, a Pillow image, an array (H, W) or (H, W, 3) of uint8, uint16 or
                floats in [0, 1], or a tensor (3, H, W) of uint8 or floats in [0, 1]. Or many: a folder with
                all images below it, an array (N, H, W, 3), a tensor (N, 3, H, W), or a list that mixes all of
                these. Arrays and tensors are RGB; the run's own preparation is applied, so that they must not
                be normalised.
            batch_size: images of one size that the network takes together.
            threads: number of threads that decode images while the network works.

        Returns:
            The `ImageResult` of one image, or a list of them in the order of the images.

        Raises:
            AdframeError: one image was given and cannot be read, or a list holds something else than images.
                In a list, an image that cannot be read has a result with `error` and does not end the others.
        """
        listed, single = input_images(images)
        results = list(self.stream(listed, batch_size=batch_size, threads=threads))
        if not single:
            return results
        if results[0].error is not None:
            raise AdframeError(results[0].error)
        return results[0]

    def stream(
        self, images: Iterable[InputImage], *, batch_size: int = 8, threads: int = 2
    ) -> Iterator[ImageResult]:
        """Inspects images one batch after the other, so that memory does not grow with their number.

        Args:
            images: the images, such as `inference.images.input_images` lists them.
            batch_size: images of one size that the network takes together.
            threads: number of threads that decode images while the network works.

        Yields:
            One result per image, in the order of the images.

        Raises:
            AdframeError: `batch_size` or `threads` is below 1.
        """
        if batch_size < 1 or threads < 1:
            raise AdframeError(f"batch_size={batch_size} and threads={threads} must be 1 or more")
        prepared = self._prepared(images, threads=threads, ahead=2 * batch_size)
        while batch := list(islice(prepared, batch_size)):
            yield from self._inspect(batch)

    def _prepared(self, images: Iterable[InputImage], *, threads: int, ahead: int) -> Iterator[PreparedImage]:
        """Prepares images in order; files are decoded in threads, at most `ahead` before their turn.

        Images in memory are prepared here: it takes less time than threads take from the network.
        """
        with ThreadPoolExecutor(max_workers=threads) as pool:
            remaining = iter(images)
            waiting: deque[Future[PreparedImage] | InputImage] = deque()
            while True:
                for image in islice(remaining, ahead - len(waiting)):
                    waiting.append(image if image.path is None else pool.submit(self.prepare, image))
                if not waiting:
                    return
                first = waiting.popleft()
                yield self.prepare(first) if isinstance(first, InputImage) else first.result()

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

    def decoder(self, image: InputImage) -> Callable[[], np.ndarray]:
        """Returns a function that decodes an image for pictures, once, however often it is called.

        Args:
            image: the image.

        Returns:
            The function; it returns (H, W, 3) uint8.
        """
        return cache(lambda: as_bytes(self.pixels(image)))

    def prepare(self, image: InputImage) -> PreparedImage:
        """Decodes an image and brings it to the size of the network.

        Args:
            image: the image.

        Returns:
            The image as the network takes it; with `error` where it cannot be read.
        """
        try:
            pixels = self.pixels(image)
            tensor, geometry = to_view(pixels, self.view, category=self.inspected)
        except (AdframeError, OSError) as error:
            return PreparedImage(image.name, error=str(error))
        doubts = () if self._facts is None else self._facts.doubts(geometry.original, grey=is_grey(pixels))
        return PreparedImage(image.name, tensor, geometry, doubts)

    def _inspect(self, batch: Sequence[PreparedImage]) -> list[ImageResult]:
        mask = self.system.calibrator.mask
        results: list[ImageResult | None] = [
            None
            if image.tensor is not None
            else ImageResult(image.name, None, None, threshold_map=mask, error=image.error)
            for image in batch
        ]
        places_of: dict[tuple[int, ...], list[int]] = {}  # only images of one size can be stacked
        for place, image in enumerate(batch):
            if image.tensor is not None:
                places_of.setdefault(tuple(image.tensor.shape), []).append(place)
        for places in places_of.values():
            for place, result in zip(
                places, self._inspect_stack([batch[place] for place in places]), strict=True
            ):
                results[place] = result
        return [result for result in results if result is not None]

    def _inspect_stack(self, images: Sequence[PreparedImage]) -> Iterator[ImageResult]:
        stack = torch.stack([image.tensor for image in images if image.tensor is not None])  # (B, 3, h, w)
        with torch.inference_mode():
            prediction, seconds = timed(lambda: self.system(stack.to(self.system.device)))
        maps, scores = heatmaps(prediction), prediction.score.tolist()
        for image, heatmap, score in zip(images, maps, scores, strict=True):
            assert image.geometry is not None
            frame = restore(heatmap, image.geometry)
            yield ImageResult(
                image.name,
                self.system.calibrator.decide(score, heatmap=frame),
                frame,
                threshold_map=self.system.calibrator.mask,
                milliseconds=1000 * seconds / len(images),
                warnings=image.warnings,
                calibration=self.calibration_name,
                inside=image.geometry.inside,
            )

    def __repr__(self) -> str:
        method = type(self.detector).__name__
        return f"TrainedDetector({method}, {self.category}, threshold {self.threshold:.4g})"


def stored_facts(run: RunFolder, unit: str) -> ImageFacts | None:
    """Reads the facts about the training images of a model.

    Args:
        run: the run, with its environment read.
        unit: a category, or `global`.

    Returns:
        The facts; None in runs of earlier versions.

    Raises:
        AdframeError: the facts have another shape.
    """
    images = run.environment.get(IMAGE_FACTS)
    if not isinstance(images, Mapping) or unit not in images:
        return None
    try:
        return ImageFacts.from_plain(images[unit])
    except (KeyError, TypeError, ValueError) as error:
        file = run.path / "environment.json"
        raise AdframeError(f"{file}: the facts about the images of {unit} are damaged: {error!r}") from error
