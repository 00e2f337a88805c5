"""Measures whether an image has the right amounts of the right parts, to find logical anomalies.

A patch memory tells whether each patch is known, not whether there are too many of them. Here every patch is
one of a few visual words (k-means centres of normal patches), an image is described by the share that each
word covers, and the score is the distance of these shares from those of normal images, in units of their
(co)variance. The idea is that of bags of visual words (Csurka et al., 2004); for MVTec LOCO, ComAD and PSAD
count segments in the same way.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from adframe.errors import AdframeError
from adframe.io.disk_matrix import Spool
from adframe.models.buffers import make_room
from adframe.ops.kmeans import k_means
from adframe.ops.neighbours import nearest
from adframe.ops.projections import random_axes

# Dimensions of the words: a random projection of the features.
WORD_WIDTH = 128
COMPOSITION_USES = (False, True, "only")


class Composition(nn.Module):
    """Visual words, and the mean and precision matrix of their shares in normal images.

    Args:
        words: number of words, 2 or more; fewer than there are normal patches.
        instances: whether to count the connected areas of each word as well as their total size.
        positions: whether to compare also where each word lies: the mean row and column of its patches.
        limit_mb: largest memory in MiB for a distance matrix.
        seed: seed of the projection and the words.
        spool: folder for collected features; None uses the system's temporary folder.

    Raises:
        AdframeError: if there are fewer than 2 words.

    Example:
        >>> head = Composition(words=2, instances=False, positions=True, limit_mb=16, seed=0, spool=None)
        >>> head.collect(torch.rand(6, 8, 4, 4))
        >>> head.finalise()
        >>> head.rate(torch.rand(3, 8, 4, 4)).shape
        torch.Size([3])
    """

    axes: Tensor
    words: Tensor
    places: Tensor
    mean: Tensor
    precision: Tensor
    scales: Tensor

    def __init__(
        self, *, words: int, instances: bool, positions: bool, limit_mb: int, seed: int, spool: Path | None
    ) -> None:
        super().__init__()
        if words < 2:
            raise AdframeError(f"model.words={words} must be 2 or more")
        self.count, self.instances, self.positions, self.limit_mb = words, instances, positions, limit_mb
        self.seed, self.spool = seed, spool
        self.register_buffer("axes", torch.empty(0))  # (D, d); empty where features are narrow already
        self.register_buffer("words", torch.empty(0))  # (K, d)
        self.register_buffer("places", torch.empty(0))  # (2 K,) mean position of each word in normal images
        self.register_buffer("mean", torch.empty(0))  # (F,) of the normal images' features
        self.register_buffer("precision", torch.empty(0))  # (F, F)
        # Statistics of held-out normal images: mean and deviation of the memory's score, mean and deviation
        # of this head's score, and the largest of this head's scores in its deviations.
        self.register_buffer("scales", torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0], dtype=torch.float64))
        self.register_load_state_dict_pre_hook(_make_room)  # type: ignore[no-untyped-call]
        self._waiting: Spool | None = None
        self._shapes: list[tuple[int, int]] = []  # grid of each image
        self._held_out: list[tuple[float, float]] = []

    def collect(self, grid: Tensor) -> None:
        """Adds the features of normal images.

        Args:
            grid: (B, D, h, w).
        """
        if self._waiting is None:
            self._waiting = Spool(folder=self.spool)
            if grid.shape[1] > WORD_WIDTH:
                self.axes = random_axes(grid.shape[1], count=WORD_WIDTH, seed=self.seed).to(grid.device)
        self._waiting.append(self._rows(grid).flatten(0, 1))
        self._shapes += [(grid.shape[2], grid.shape[3])] * len(grid)

    def finalise(self) -> None:
        """Fits the words, then the statistics of their shares in normal images.

        Raises:
            AdframeError: if there are fewer patches than words.
        """
        if self._waiting is None:
            raise RuntimeError("finalise before collect: there are no patches to make words of")
        if self.count > len(self._waiting):
            raise AdframeError(
                f"model.words={self.count} is more than the {len(self._waiting)} normal patches; lower it"
            )
        device = self.axes.device
        self.words = k_means(self._waiting, count=self.count, seed=self.seed).to(device)
        self.places = torch.empty(0, device=device)  # of an earlier fit
        start, images = 0, []
        for shape in self._shapes:
            stop = start + shape[0] * shape[1]
            images.append(self._composition(self._waiting.read(start, stop).to(device), shape))
            start = stop
        features = np.stack(images)
        if self.positions:
            usual = np.nanmean(features[:, -2 * self.count :], axis=0)  # each word is in some image
            self.places = torch.from_numpy(usual).to(device)
            features[:, -2 * self.count :] = np.where(
                np.isnan(features[:, -2 * self.count :]), usual, features[:, -2 * self.count :]
            )
        from sklearn.covariance import LedoitWolf  # half a second, which other models do not need

        fitted = LedoitWolf().fit(features)
        self.mean = torch.from_numpy(fitted.location_).to(device)
        self.precision = torch.from_numpy(fitted.precision_).to(device)
        self._held_out = []

    def release(self) -> None:
        """Releases the disk space of the collected features."""
        if self._waiting is not None:
            self._waiting.close()
        self._waiting, self._shapes = None, []

    def rate(self, grid: Tensor) -> Tensor:
        """Computes the Mahalanobis distance of each image's composition from that of normal images.

        Args:
            grid: (B, D, h, w) features.

        Returns:
            (B,) float64.
        """
        rows, shape = self._rows(grid), (grid.shape[2], grid.shape[3])
        images = torch.from_numpy(np.stack([self._composition(image, shape) for image in rows]))
        off = images.to(self.mean.device) - self.mean  # (B, F)
        squared: Tensor = torch.einsum("bf,fg,bg->b", off, self.precision, off)
        distance: Tensor = squared.clamp(min=0).sqrt()
        return distance

    def collect_held_out(self, bank: Tensor, own: Tensor) -> None:
        """Records the scores of held-out normal images.

        Args:
            bank: (B,) scores of the memory.
            own: (B,) scores of this head.
        """
        self._held_out += zip(bank.tolist(), own.tolist(), strict=True)

    def finalise_held_out(self) -> None:
        """Fits the scales on the recorded scores, if there are any."""
        if not self._held_out:
            return
        scores = np.array(self._held_out)  # (n, 2)
        mean, deviation = scores.mean(0), scores.std(0)
        deviation[deviation == 0] = 1.0
        highest = ((scores[:, 1] - mean[1]) / deviation[1]).max()
        found = [mean[0], deviation[0], mean[1], deviation[1], highest]
        self.scales = torch.tensor(found, dtype=torch.float64, device=self.scales.device)

    def fused(self, bank: Tensor, own: Tensor) -> Tensor:
        """Adds to the memory's z-score the amount by which this head's z-score exceeds that of every held-out
        normal image.

        A plain sum of z-scores would add this head's noise to every image. This way the order of ordinary
        images remains that of the memory.

        Args:
            bank: (B,) scores of the memory.
            own: (B,) scores of this head.

        Returns:
            (B,) float32.
        """
        bank_mean, bank_std, mean, std, highest = self.scales.tolist()
        alarm: Tensor = ((own - mean) / std - highest).clamp(min=0)  # (B,) float64
        return alarm.add((bank - bank_mean) / bank_std).float()

    def _rows(self, grid: Tensor) -> Tensor:
        """Reshapes (B, D, h, w) to (B, h * w, d)."""
        rows = grid.flatten(2).transpose(1, 2)
        return rows @ self.axes if len(self.axes) else rows

    def _composition(self, rows: Tensor, shape: tuple[int, int]) -> np.ndarray:
        """Describes an image with (h * w, d) features by (F,) float64: the share of each word, its number of
        areas, and its position.
        """
        place = nearest(rows, self.words, limit_mb=self.limit_mb)[1][:, 0].cpu().numpy()
        covered = np.bincount(place, minlength=self.count) / len(place)
        # The square root makes shares of rare and of frequent words vary alike (Hellinger).
        parts = [np.sqrt(covered)]
        if self.instances:
            parts.append(np.sqrt(_count_areas(place.reshape(shape), count=self.count)))
        if self.positions:
            found = _mean_positions(place, shape, count=self.count)
            # A word that is absent deviates in its share; its position is then the usual one.
            usual = self.places.cpu().numpy()
            parts.append(np.where(np.isnan(found), usual, found) if len(usual) else found)
        return np.concatenate(parts)


def _make_room(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Gives buffers their stored shapes before a strict load; earlier versions stored no positions."""
    state.setdefault(f"{prefix}places", torch.empty(0))
    make_room(module, state, prefix)


def _mean_positions(words: np.ndarray, shape: tuple[int, int], *, count: int) -> np.ndarray:
    """Returns (2 * count,): the mean row and column of each word as shares of the grid; NaN where absent."""
    rows, columns = np.divmod(np.arange(len(words)), shape[1])
    total = np.bincount(words, minlength=count)
    sums = [
        np.bincount(words, weights=place / side, minlength=count)
        for place, side in zip((rows, columns), shape, strict=True)
    ]
    with np.errstate(invalid="ignore"):
        return np.concatenate([each / total for each in sums])


def _count_areas(words: np.ndarray, *, count: int) -> np.ndarray:
    """Counts the connected areas of each word of a (h, w) map, without single patches."""
    found = np.zeros(count)
    for word in np.unique(words):
        _, _, stats, _ = cv2.connectedComponentsWithStats((words == word).astype(np.uint8), connectivity=8)
        found[word] = np.sum(stats[1:, cv2.CC_STAT_AREA] > 1)
    return found
