"""Measures the prediction time of a fitted method per image, without reading files.

The results of a run have milliseconds as well, but of whole batches, and with features that a store may have
read from disk. Here images are in memory, one is scored at a time after a warm-up, and stores are bypassed.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import time
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from adframe.errors import AdframeError


class Latency:
    """Measures the latency of a detector.

    Args:
        images: number of images to time, or all where there are fewer; 0 measures nothing.
        warm: number of calls before the measurement, with one image and with a batch each.

    Raises:
        AdframeError: if the number of images is below 0.

    Example:
        >>> from adframe.models.pixel_mean import PixelMean
        >>> Latency(images=0).measure(PixelMean(None), [], device=torch.device("cpu"))
        {}
    """

    def __init__(self, *, images: int, warm: int = 3) -> None:
        if images < 0:
            raise AdframeError(f"callbacks.latency.images={images} must be 0 (measures nothing) or more")
        self.images, self.warm = images, warm

    def measure(
        self, detector: nn.Module, batches: Iterable[Tensor], *, device: torch.device
    ) -> dict[str, float]:
        """Measures milliseconds of single images (median and 95th percentile), and images per second in
        batches.

        Args:
            detector: a fitted detector; restored afterwards.
            batches: (B, 3, H, W) float32 in [0, 1]; loading them is not timed. Throughput is that of batches
                as large as the first.
            device: device to measure on.

        Returns:
            `latency/p50_ms`, `p95_ms`, `images_per_second`, `images`, `batch_size`, `threads` and
            `load_per_core`; empty where nothing is measured or there is no image.
        """
        single: list[float] = []
        whole: list[float] = []
        size, load = 0, load_per_core()
        with prepared_for_timing(detector, device=device):
            for number, batch in enumerate(_first_images(batches, self.images)):
                ready = batch.to(device)
                size = size or len(ready)
                for _ in range(0 if number else self.warm):
                    _seconds(detector, ready[:1])
                    _seconds(detector, ready)
                single += [_seconds(detector, one[None]) for one in ready]
                if len(ready) == size:
                    whole.append(_seconds(detector, ready))
        if not single:
            return {}
        middle, slow = np.percentile(np.array(single) * 1000, (50, 95))
        return {
            "latency/p50_ms": float(middle),
            "latency/p95_ms": float(slow),
            "latency/images_per_second": size * len(whole) / sum(whole),
            "latency/images": float(len(single)),
            "latency/batch_size": float(size),
            "latency/threads": float(torch.get_num_threads()),
            "latency/load_per_core": load,
        }


def load_per_core() -> float:
    """Returns the number of runnable processes per core over the last minute; above 1 they had to wait. NaN
    where unknown.
    """
    try:
        return os.getloadavg()[0] / (os.cpu_count() or 1)
    except (OSError, AttributeError):  # not available on every system
        return math.nan


@contextlib.contextmanager
def prepared_for_timing(detector: nn.Module, *, device: torch.device) -> Iterator[None]:
    """Moves a detector to a device, in evaluation mode and without feature stores, and restores it
    afterwards.

    Args:
        detector: a fitted detector.
        device: device to compute on.

    Yields:
        None.
    """
    from adframe.models.cached_backbone import StoredBackbone  # with timm, which not every method needs

    stored = [
        (parent, name, child)
        for parent in detector.modules()
        for name, child in parent.named_children()
        if isinstance(child, StoredBackbone) and not isinstance(parent, StoredBackbone)
    ]
    training = detector.training
    before = next(itertools.chain(detector.parameters(), detector.buffers()), torch.empty(0)).device
    try:
        for parent, name, child in stored:
            setattr(parent, name, child.backbone)
        detector.to(device).eval()
        with torch.inference_mode():
            yield
    finally:
        for parent, name, child in stored:
            setattr(parent, name, child)
        detector.to(before).train(training)


def _first_images(batches: Iterable[Tensor], count: int) -> Iterator[Tensor]:
    """Yields batches with at most `count` images in total; the last one is cut."""
    left = count
    for batch in batches if count > 0 else ():
        yield batch[:left]
        left -= len(batch)
        if left <= 0:
            return


def _seconds(detector: nn.Module, image: Tensor) -> float:
    """Times a prediction; moving the scores to the CPU waits for a GPU to finish."""
    start = time.perf_counter()
    detector(image).score.cpu()
    return time.perf_counter() - start
