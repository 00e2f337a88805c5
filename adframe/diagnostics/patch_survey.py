"""What a fitted method's features are: a sample of patches, and what each layer tells alone."""

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

RESAMPLES = 1000


class PatchSurvey:
    """Passes once over a category's training images and once over its test images.

    It keeps a fair sample of patches of each kind and layer, as the network gives them: no averaging
    over neighbours, no fusion, each layer on its own grid. And it asks what each layer tells alone:
    a patch's distance to the nearest of the sampled training patches ranks patches, its maximum ranks
    images. Patches are ranked on the finest layer's grid, coarser maps interpolated as PatchCore does, so
    that all layers are asked about the same cells.

    That is not PatchCore with one layer. Its bank is a random sample of `count` patches, not a coreset
    that covers all of them; there is no 3x3 averaging, no re-weighting by density, no smoothing, and
    held-out images do not join. Rare normal patches are missing from a random sample, so numbers are
    lower than PatchCore's, the more so the finer the grid; they compare layers with each other.

    A cell counts as anomalous where at least `covered` of it is annotated, as normal where nothing
    is; what lies between is left out. At half, most of what the cell shows is defect; less would let
    in cells of which a corner is, and call them anomalous. Defects smaller than a cell are then
    missed on coarse grids: `LayerSample.reached` counts the images in which a cell counts.

    The sample takes 3 x `count` x channels numbers a layer, whatever the number of images; distances
    take 4 bytes a test cell while the second pass lasts.

    Args:
        count: patches of each kind and layer; 0 switches the survey off.
        covered: in (0, 1].
        rollouts: test images whose attention is rolled out where the network is a vision transformer;
            half of them normal.
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
        """Both passes; batches may hold images of other categories, which are passed over.

        Args:
            reader: of the features.
            train: batches of training images.
            test: batches of test images.
            category: whose.
            backbone: its name.
            seed: of the sample and of the bootstrap.
            device: where the network is.
        """
        start = time.perf_counter()
        layers = [LayerSurvey(name, count=self.count, seed=seed) for name in reader.layers]
        trained: list[Record] = []
        for batch, rows in _own(train, category):
            for layer, grid in zip(layers, reader(_images(batch, rows, device)), strict=True):
                layer.learn(grid, first=len(trained))
            trained += [batch[RECORD][row] for row in rows]
        tested: list[Record] = []
        for batch, rows in _own(test, category):
            known = batch[REGIONS] or [None] * len(batch[RECORD])
            truths = [Truth(known[row], batch[GEOMETRY][row], self.covered) for row in rows]
            grids = reader(_images(batch, rows, device))
            finest = max((size_of(grid) for grid in grids), key=lambda size: size[0] * size[1])
            for layer, grid in zip(layers, grids, strict=True):
                layer.test(grid, truths, finest=finest, first=len(tested))
            tested += [batch[RECORD][row] for row in rows]
        weights = _drawn(tested, seed=seed)
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


def _own(batches: Iterable[Batch], category: str) -> Iterator[tuple[Batch, list[int]]]:
    """Batches that hold images of a category, and which of theirs these are."""
    for batch in batches:
        rows = [row for row, record in enumerate(batch[RECORD]) if record.category == category]
        if rows:
            yield batch, rows


def _images(batch: Batch, rows: list[int], device: torch.device) -> Tensor:
    """(B, 3, H, W): the very tensor of the batch where all of it is wanted."""
    image: Tensor = batch[IMAGE]
    return (image if len(rows) == len(image) else image[rows]).to(device)


def _drawn(records: list[Record], *, seed: int) -> np.ndarray:
    """(RESAMPLES, n): how often each test image counts; images of one part together."""
    labels, subsets, paths = (
        np.array(column, dtype=str)
        for column in zip(*[(str(r.label), r.subset, str(r.path)) for r in records], strict=True)
    )
    return multiplicities(
        strata_of(labels == "1", subsets=subsets),
        groups=[record.group for record in records],
        values=(paths,),
        resamples=RESAMPLES,
        seed=(seed,),
    )
