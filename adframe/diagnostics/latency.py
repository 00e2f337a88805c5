"""How long a fitted method takes for an image, measured by itself: the network computes, nothing is read.

A run's ledger has milliseconds as well, but of whole batches, and of features that a store may have answered
from disk. Here images lie ready, one is scored at a time after some to warm up, and stores are set aside.
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
from adframe.models.cached_backbone import StoredBackbone


class Latency:
    """Times a detector on images as it gets them.

    Args:
        images: so many, or all where there are fewer; 0 measures nothing.
        warm: calls before the first that counts, one image and a batch each.

    Raises:
        AdframeError: a number of images below 0.
    """

    def __init__(self, *, images: int, warm: int = 3) -> None:
        if images < 0:
            raise AdframeError(f"callbacks.latency.images={images} must be 0 (none) or more")
        self.images, self.warm = images, warm

    def measure(
        self, detector: nn.Module, batches: Iterable[Tensor], *, device: torch.device
    ) -> dict[str, float]:
        """Milliseconds of single images (median and 95th percentile), and images a second in batches.

        Args:
            detector: fitted; it is as it was afterwards.
            batches: (B, 3, H, W) float32 in [0, 1]; loading them is not timed. Throughput is that of batches
                as large as the first.
            device: to measure on.

        Returns:
            `latency/p50_ms`, `p95_ms`, `images_per_second`, `images`, `batch_size`, `threads` and
            `load_per_core`; nothing where nothing is to be measured, or there is no image.
        """
        single: list[float] = []
        whole: list[float] = []
        size, load = 0, load_per_core()
        with computing(detector, device=device):
            for number, batch in enumerate(_first(batches, self.images)):
                ready = batch.to(device)
                size = size or len(ready)
                for _ in range(0 if number else self.warm):
                    _timed(detector, ready[:1])
                    _timed(detector, ready)
                single += [_timed(detector, one[None]) for one in ready]
                if len(ready) == size:
                    whole.append(_timed(detector, ready))
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
    """How many processes wanted each core in the last minute; above 1 they waited. NaN where nobody knows."""
    try:
        return os.getloadavg()[0] / (os.cpu_count() or 1)
    except (OSError, AttributeError):  # not on every system
        return math.nan


@contextlib.contextmanager
def computing(detector: nn.Module, *, device: torch.device) -> Iterator[None]:
    """The detector on a device, ready to predict, its backbones without their stores; then as it was."""
    kept = [
        (parent, name, child)
        for parent in detector.modules()
        for name, child in parent.named_children()
        if isinstance(child, StoredBackbone) and not isinstance(parent, StoredBackbone)
    ]
    training = detector.training
    before = next(itertools.chain(detector.parameters(), detector.buffers()), torch.empty(0)).device
    try:
        for parent, name, child in kept:
            setattr(parent, name, child.backbone)
        detector.to(device).eval()
        with torch.inference_mode():
            yield
    finally:
        for parent, name, child in kept:
            setattr(parent, name, child)
        detector.to(before).train(training)


def _first(batches: Iterable[Tensor], count: int) -> Iterator[Tensor]:
    """Batches up to so many images; the last one cut."""
    left = count
    for batch in batches if count > 0 else ():
        yield batch[:left]
        left -= len(batch)
        if left <= 0:
            return


def _timed(detector: nn.Module, image: Tensor) -> float:
    """Seconds; taking the scores to the CPU waits for a GPU to finish."""
    start = time.perf_counter()
    detector(image).score.cpu()
    return time.perf_counter() - start
