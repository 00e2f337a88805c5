"""Surveys the features of a fitted method: a sample of patches, and the ranking by each layer alone."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from adframe.contracts import GEOMETRY, IMAGE, RECORD, REGIONS, Batch, Record
from adframe.diagnostics.layer_survey import LayerSurvey, Truth, size_of
from adframe.errors import AdframeError
from adframe.results.patch_samples import PatchSample
from adframe.stats.bootstrap import multiplicities, strata_of

if TYPE_CHECKING:
    from adframe.contracts import FeatureReader

SURVEY_RESAMPLES = 1000


class PatchSurvey:
    """Passes once over a category's training images and once over its test images.

    It keeps a uniform sample of patches of each kind and layer, as the network computes them: without
    averaging over neighbours and without fusion, each layer on its own grid. It also measures each layer
    alone: the distance of a patch to the nearest of the sampled training patches ranks patches, its maximum
    ranks images. Patches are ranked on the finest layer's grid, with coarser maps interpolated as in
    PatchCore, so that all layers are compared on the same cells.

    This is not PatchCore with one layer. Its bank is a random sample of `count` patches, not a coreset that
    covers all of them; there is no 3x3 averaging, no re-weighting by density, no smoothing, and held-out
    images are not added. Rare normal patches are missing from a random sample, so numbers are lower than
    PatchCore's, the more so the finer the grid; they compare layers with each other.

    A cell counts as anomalous where at least `covered` of it is annotated, and as normal where nothing is
    annotated; other cells are left out. With one half, most of such a cell shows the defect; a lower share
    would also include cells with only a corner of it. Defects smaller than a cell are then missed on coarse
    grids: `LayerSample.reached` counts the images that have an anomalous cell.

    The sample takes 3 x `count` x channels numbers per layer, whatever the number of images; distances take 4
    bytes per test cell during the second pass.

    Args:
        count: number of patches of each kind and layer; 0 switches the survey off.
        covered: share of a cell in (0, 1] from which on it counts as anomalous.
        rollouts: number of test images whose attention is rolled out where the network is a vision
            transformer; half of them are normal.

    Raises:
        AdframeError: if a number is out of range.

    Example:
        >>> PatchSurvey(count=256, covered=0.5).count
        256
    """

    def __init__(self, *, count: int = 0, covered: float = 0.5, rollouts: int = 8) -> None:
        if count < 0 or rollouts < 0 or not 0 < covered <= 1:
            raise AdframeError(
                f"callbacks.patches.count={count} and callbacks.patches.rollouts={rollouts} must be 0 or "
                f"more, callbacks.patches.covered={covered} in (0, 1]"
            )
        self.count, self.covered, self.rollouts = count, covered, rollouts

    def survey(
        self,
        reader: FeatureReader,
        *,
        train: Iterable[Batch],
        test: Iterable[Batch],
        category: str,
        backbone: str,
        seed: int,
        device: torch.device,
    ) -> PatchSample:
        """Makes both passes; images of other categories in the batches are left out.

        Args:
            reader: reads the features.
            train: batches of training images.
            test: batches of test images.
            category: name of the category.
            backbone: name of the backbone.
            seed: seed of the sample and of the bootstrap.
            device: device of the network.

        Returns:
            The sample of all layers.
        """
        start = time.perf_counter()
        layers = [LayerSurvey(name, count=self.count, seed=seed) for name in reader.layers]
        trained: list[Record] = []
        for batch, rows in _batches_of_category(train, category):
            for layer, grid in zip(layers, reader(_images(batch, rows, device)), strict=True):
                layer.learn(grid, first=len(trained))
            trained += [batch[RECORD][row] for row in rows]
        tested: list[Record] = []
        for batch, rows in _batches_of_category(test, category):
            known = batch[REGIONS] or [None] * len(batch[RECORD])
            truths = [Truth(known[row], batch[GEOMETRY][row], self.covered) for row in rows]
            grids = reader(_images(batch, rows, device))
            finest = max((size_of(grid) for grid in grids), key=lambda size: size[0] * size[1])
            for layer, grid in zip(layers, grids, strict=True):
                layer.test(grid, truths, finest=finest, first=len(tested))
            tested += [batch[RECORD][row] for row in rows]
        weights = _resample_weights(tested, seed=seed)
        images = trained + tested
        return PatchSample(
            category=category,
            backbone=backbone,
            layers=tuple(layer.sample(trained=trained, tested=tested, weights=weights) for layer in layers),
            paths=tuple(str(record.path) for record in images),
            defects=tuple(record.defect for record in images),
            covered=self.covered,
            anomalous=sum(record.label == 1 for record in tested),
            tested=len(tested),
            seconds=time.perf_counter() - start,
        )


def _batches_of_category(batches: Iterable[Batch], category: str) -> Iterator[tuple[Batch, list[int]]]:
    """Yields the batches that contain images of a category, with the rows of these images."""
    for batch in batches:
        rows = [row for row, record in enumerate(batch[RECORD]) if record.category == category]
        if rows:
            yield batch, rows


def _images(batch: Batch, rows: list[int], device: torch.device) -> Tensor:
    """Returns (B, 3, H, W): the tensor of the batch itself where all rows are wanted."""
    image: Tensor = batch[IMAGE]
    return (image if len(rows) == len(image) else image[rows]).to(device)


def _resample_weights(records: list[Record], *, seed: int) -> np.ndarray:
    """Returns (SURVEY_RESAMPLES, n): how often each test image counts; images of one part are drawn
    together.
    """
    labels, subsets, paths = (
        np.array(column, dtype=str)
        for column in zip(*[(str(r.label), r.subset, str(r.path)) for r in records], strict=True)
    )
    return multiplicities(
        strata_of(labels == "1", subsets=subsets),
        groups=[record.group for record in records],
        values=(paths,),
        resamples=SURVEY_RESAMPLES,
        seed=(seed,),
    )
