"""Whether an image is made of the right amounts of the right things: for logical anomalies.

A patch memory asks whether each patch is known, never whether there are too many of them. Here every
patch is one of a few visual words (k-means centres of normal patches), an image is how much of it
each word covers, and the score is how far those shares lie from the normal images', in units of
their own (co)variance. The idea is that of bags of visual words (Csurka et al., 2004); for MVTec
LOCO, ComAD and PSAD count segments in the same way.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from sklearn.covariance import LedoitWolf
from torch import Tensor, nn

from adframe.errors import AdframeError
from adframe.io.disk_matrix import Spool
from adframe.models.buffers import make_room
from adframe.ops.kmeans import k_means
from adframe.ops.neighbours import nearest
from adframe.ops.projections import random_axes

WIDTH = 128  # dimensions that words live in: a random projection of the features
USES = (False, True, "only")


class Composition(nn.Module):
    """Visual words, and the mean and precision of the normal images' shares of them.

    Args:
        words: how many; fewer than there are normal patches.
        instances: also counts connected areas of each word, not only their size together.
        limit_mb: most memory that a distance matrix may take.
        seed: of the projection and the words.
        spool: folder for features while they wait.
    """

    axes: Tensor
    words: Tensor
    mean: Tensor
    precision: Tensor
    scales: Tensor

    def __init__(self, *, words: int, instances: bool, limit_mb: int, seed: int, spool: Path | None) -> None:
        super().__init__()
        if words < 2:
            raise AdframeError(f"model.words={words} must be 2 or more")
        self.count, self.instances, self.limit_mb = words, instances, limit_mb
        self.seed, self.spool = seed, spool
        self.register_buffer("axes", torch.empty(0))  # (D, d); empty where features are narrow already
        self.register_buffer("words", torch.empty(0))  # (K, d)
        self.register_buffer("mean", torch.empty(0))  # (F,) of the normal images' features
        self.register_buffer("precision", torch.empty(0))  # (F, F)
        # Of held-out normals: mean and deviation of the memory's score, of this one's, and the highest
        # of this one's in its deviations.
        self.register_buffer("scales", torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0], dtype=torch.float64))
        self.register_load_state_dict_pre_hook(make_room)  # type: ignore[no-untyped-call]
        self._waiting: Spool | None = None
        self._shapes: list[tuple[int, int]] = []  # of each image's grid
        self._held_out: list[tuple[float, float]] = []

    def collect(self, grid: Tensor) -> None:
        """Takes the features (B, D, h, w) of normal images in."""
        if self._waiting is None:
            self._waiting = Spool(folder=self.spool)
            if grid.shape[1] > WIDTH:
                self.axes = random_axes(grid.shape[1], count=WIDTH, seed=self.seed).to(grid.device)
        self._waiting.append(self._rows(grid).flatten(0, 1))
        self._shapes += [(grid.shape[2], grid.shape[3])] * len(grid)

    def finalise(self) -> None:
        """Finds the words, then what normal images are made of."""
        if self._waiting is None:
            raise RuntimeError("finalise before collect: there are no patches to make words of")
        if self.count > len(self._waiting):
            raise AdframeError(
                f"model.words={self.count} is more than the {len(self._waiting)} normal patches; lower it"
            )
        device = self.axes.device
        self.words = k_means(self._waiting, count=self.count, seed=self.seed).to(device)
        start, images = 0, []
        for shape in self._shapes:
            stop = start + shape[0] * shape[1]
            images.append(self._composition(self._waiting.read(start, stop).to(device), shape))
            start = stop
        fitted = LedoitWolf().fit(np.stack(images))
        self.mean = torch.from_numpy(fitted.location_).to(device)
        self.precision = torch.from_numpy(fitted.precision_).to(device)
        self._held_out = []

    def release(self) -> None:
        """Gives back the disk space of the collected features."""
        if self._waiting is not None:
            self._waiting.close()
        self._waiting, self._shapes = None, []

    def rate(self, grid: Tensor) -> Tensor:
        """(B, D, h, w) to (B,) float64 Mahalanobis distances from what normal images are made of."""
        rows, shape = self._rows(grid), (grid.shape[2], grid.shape[3])
        images = torch.from_numpy(np.stack([self._composition(image, shape) for image in rows]))
        off = images.to(self.mean.device) - self.mean  # (B, F)
        squared: Tensor = torch.einsum("bf,fg,bg->b", off, self.precision, off)
        distance: Tensor = squared.clamp(min=0).sqrt()
        return distance

    def collect_held_out(self, bank: Tensor, own: Tensor) -> None:
        """Notes (B,) scores of the memory and (B,) of this head for held-out normal images."""
        self._held_out += zip(bank.tolist(), own.tolist(), strict=True)

    def finalise_held_out(self) -> None:
        """Fits the scales on all that was observed, if anything was."""
        if not self._held_out:
            return
        scores = np.array(self._held_out)  # (n, 2)
        mean, deviation = scores.mean(0), scores.std(0)
        deviation[deviation == 0] = 1.0
        highest = ((scores[:, 1] - mean[1]) / deviation[1]).max()
        found = [mean[0], deviation[0], mean[1], deviation[1], highest]
        self.scales = torch.tensor(found, dtype=torch.float64, device=self.scales.device)

    def fused(self, bank: Tensor, own: Tensor) -> Tensor:
        """The memory's z-score, plus what this head's exceeds every held-out normal image's by.

        A plain sum of z-scores adds this head's noise to every image; so it speaks only where it
        has something to say, and the order of ordinary images stays the memory's.
        """
        bank_mean, bank_std, mean, std, highest = self.scales.tolist()
        alarm: Tensor = ((own - mean) / std - highest).clamp(min=0)  # (B,) float64
        return alarm.add((bank - bank_mean) / bank_std).float()

    def _rows(self, grid: Tensor) -> Tensor:
        """(B, D, h, w) to (B, h * w, d)."""
        rows = grid.flatten(2).transpose(1, 2)
        return rows @ self.axes if len(self.axes) else rows

    def _composition(self, rows: Tensor, shape: tuple[int, int]) -> np.ndarray:
        """(h * w, d) features of an image to (F,) float64: what each word covers, and in how many pieces."""
        place = nearest(rows, self.words, limit_mb=self.limit_mb)[1][:, 0].cpu().numpy()
        covered = np.bincount(place, minlength=self.count) / len(place)
        # The root makes shares of rare and of frequent words vary alike (Hellinger).
        parts = [np.sqrt(covered)]
        if self.instances:
            parts.append(np.sqrt(_pieces(place.reshape(shape), count=self.count)))
        return np.concatenate(parts)


def _pieces(words: np.ndarray, *, count: int) -> np.ndarray:
    """(count,) in how many connected areas each word of a (h, w) map lies, single patches aside."""
    found = np.zeros(count)
    for word in np.unique(words):
        _, _, stats, _ = cv2.connectedComponentsWithStats((words == word).astype(np.uint8), connectivity=8)
        found[word] = np.sum(stats[1:, cv2.CC_STAT_AREA] > 1)
    return found
