"""Surveys one layer: samples its patches, and measures the distances of test cells from the training
sample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from adframe.contracts import Geometry, Record, Region
from adframe.metrics.cell_auroc import CellAuroc, cell_auroc
from adframe.ops.mask_coverage import covered
from adframe.ops.neighbours import RoundedBank, nearest, round_bank
from adframe.ops.patches import as_rows
from adframe.ops.reservoir import Reservoir
from adframe.results.patch_samples import ANOMALOUS, NORMAL, TRAIN, LayerSample, measured_auroc
from adframe.stats.intervals import Units, interval_of

# Cells neither normal nor anomalous, or of images without ground truth.
_PARTLY_COVERED = -1
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Truth:
    """The ground truth of an image.

    Attributes:
        regions: annotated defects; None where the ground truth is unknown.
        geometry: the network's view of the image.
        least: share of a cell, in (0, 1], from which on it counts as anomalous.
    """

    regions: list[Region] | None
    geometry: Geometry
    least: float

    def kinds(self, grid: Size) -> np.ndarray:
        """Classifies the cells of a grid.

        Args:
            grid: (h, w) of the grid.

        Returns:
            (h * w,) int8: NORMAL, ANOMALOUS, or -1 for neither.
        """
        if self.regions is None:
            return np.full(grid[0] * grid[1], _PARTLY_COVERED, np.int8)
        share = covered(self.regions, geometry=self.geometry, grid=grid).ravel()
        kind = np.where(share >= self.least, ANOMALOUS, np.where(share == 0, NORMAL, _PARTLY_COVERED))
        return kind.astype(np.int8)


class LayerSurvey:
    """Accumulates a survey over images; memory is `count` patches of each kind and 4 bytes per finest test
    cell.

    Args:
        name: name of the layer.
        count: number of patches to keep of each kind.
        seed: seed of the sample.

    Example:
        >>> survey = LayerSurvey("layer1", count=10, seed=0)
        >>> survey.learn(torch.rand(2, 8, 4, 4), first=0)
        >>> survey.grid
        (4, 4)
    """

    def __init__(self, name: str, *, count: int, seed: int) -> None:
        self.name, self.grid = name, (0, 0)
        self._samples = {kind: Reservoir(count=count, seed=seed) for kind in (TRAIN, NORMAL, ANOMALOUS)}
        # distances, one array per image
        self._cells: dict[int, list[np.ndarray]] = {NORMAL: [], ANOMALOUS: []}
        self._scores: list[float] = []
        self._reached = 0
        self._bank: Tensor | None = None
        self._prepared: RoundedBank | None = None

    def learn(self, grid: Tensor, *, first: int) -> None:
        """Samples patches of training images.

        Args:
            grid: (B, C, h, w) features.
            first: number of the first image.
        """
        self.grid = size_of(grid)
        every = np.ones(self.grid[0] * self.grid[1], dtype=bool)
        for place, one in enumerate(grid):
            self._samples[TRAIN].offer(as_rows(one[None]), stream=first + place, chosen=every)

    def test(self, grid: Tensor, truths: list[Truth], *, finest: Size, first: int) -> None:
        """Samples patches of test images, and measures their distances from the training sample.

        Args:
            grid: (B, C, h, w) features.
            truths: ground truth of each image.
            finest: (h, w) of the finest layer, on which patches are ranked.
            first: number of the first image.
        """
        if self._bank is None:
            self._bank = self._samples[TRAIN].kept()[0].to(grid.device)
            self._prepared = round_bank(self._bank)
        rows, size = as_rows(grid), size_of(grid)
        distances = nearest(rows, self._bank, prepared=self._prepared)[0].view(-1, 1, *size)
        fine = F.interpolate(distances, size=finest, mode="bilinear", align_corners=False)
        each, own = fine.flatten(1).cpu().numpy(), rows.view(len(grid), -1, grid.shape[1])
        self._scores += distances.flatten(1).amax(1).tolist()
        for place, truth in enumerate(truths):
            kinds, common = truth.kinds(size), truth.kinds(finest)
            for kind, cells in self._cells.items():
                cells.append(each[place][common == kind])
                self._samples[kind].offer(own[place], stream=first + place, chosen=kinds == kind)
            self._reached += bool((kinds == ANOMALOUS).any())

    def sample(self, *, trained: list[Record], tested: list[Record], weights: np.ndarray) -> LayerSample:
        """Returns the sample and the rankings; images are numbered consecutively, training images first.

        Args:
            trained: all training images, in order.
            tested: all test images, in order.
            weights: (resamples, test images), see `bootstrap.multiplicities`.

        Returns:
            The result of this layer.
        """
        parts = {kind: kept.kept() for kind, kept in self._samples.items()}
        filled = {kind: part for kind, part in parts.items() if len(part[0])}
        counts = [len(rows) for rows, _ in filled.values()]
        streams = [places[:, 0] + (kind != TRAIN) * len(trained) for kind, (_, places) in filled.items()]
        cells = np.concatenate([places[:, 1] for _, places in filled.values()])
        anomalous = sum(record.label == 1 for record in tested)
        units = Units(len(tested) - anomalous, anomalous)
        images = self._image_auroc(tested, weights)
        patches = cell_auroc(self._cells[NORMAL], self._cells[ANOMALOUS], weights=weights)
        return LayerSample(
            name=self.name,
            grid=self.grid,
            features=torch.cat([rows for rows, _ in filled.values()]).numpy(),
            kinds=np.repeat(np.array(list(filled), np.int8), counts),
            images=np.concatenate(streams).astype(np.int32),
            cells=np.stack(np.divmod(cells, self.grid[1]), axis=1).astype(np.int16),
            image_auroc=_with_interval("image_auroc", images, units),
            patch_auroc=_with_interval("patch_auroc", patches, units),
            drawn=np.stack([images.drawn, patches.drawn]).astype(np.float32),
            reached=self._reached,
        )

    def _image_auroc(self, tested: list[Record], weights: np.ndarray) -> CellAuroc:
        """Ranks images by their farthest cell."""
        none = np.empty(0)
        sides = [
            [
                np.array([score]) if record.label == label else none
                for score, record in zip(self._scores, tested, strict=True)
            ]
            for label in (0, 1)
        ]
        return cell_auroc(sides[0], sides[1], weights=weights)


def _with_interval(measure: str, found: CellAuroc, units: Units) -> tuple[float, float, float]:
    number = measured_auroc(measure, found.value, found.drawn, units)
    return (number.value, *(interval_of(number) if number.known else (math.nan, math.nan)))


def size_of(grid: Tensor) -> Size:
    """Returns the size of a feature grid.

    Args:
        grid: (B, C, h, w).

    Returns:
        (h, w).
    """
    return grid.shape[-2], grid.shape[-1]
