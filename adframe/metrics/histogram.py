"""Holds the one state of every pixel metric: histograms of scores, summed over images and processes.

Everything is an integer, so sums do not depend on the order of images, batches or processes. Besides the sums
there may be a sketch of each image, from which resamples are drawn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from adframe.contracts import Region
from adframe.errors import AdframeError
from adframe.metrics.bin_layout import BINS_PER_BLOCK, BlockLayout
from adframe.metrics.float_bins import codes_of, scores_of
from adframe.metrics.image_bins import ImageBins
from adframe.metrics.sketch import GroupKey, Sketch, sketch_of
from adframe.metrics.threshold_counts import pixel_thresholds
from adframe.ops.mask_postprocessing import MaskPostprocessing
from adframe.ops.regions import union

# Codes beyond it are infinity and NaN.
_LARGEST_CODE = codes_of(np.array([np.finfo(np.float32).max]))[0]


@dataclass(frozen=True, slots=True)
class Tally:
    """The sums of some groups in n bins by falling score, without empty bins.

    Attributes:
        lowest: (n,) float32, the smallest score that each bin can hold.
        highest: (n,) float32, the largest score that each bin can hold.
        normal: (n,) int64 pixels outside every region.
        anomalous: (n,) int64 pixels in a region.
        found: (n,) int64, overlap that the bin adds to the regions, in 1 / REGION_UNITS.
        regions: number of regions.
        images: number of images.
        exact: whether each bin holds a single score.
        decided: anomalous and normal pixels above the threshold; None where none was set.
        zoned: anomalous and normal pixels above the thresholds of their zones; None where none were set.
    """

    lowest: np.ndarray
    highest: np.ndarray
    normal: np.ndarray
    anomalous: np.ndarray
    found: np.ndarray
    regions: int
    images: int
    exact: bool
    decided: tuple[int, int] | None
    zoned: tuple[int, int] | None = None


@dataclass(slots=True)
class GroupSums:
    """The sums of one defect type in one subset and condition.

    Attributes:
        counts: (3, slots, BINS_PER_BLOCK) int64: NORMAL, ANOMALOUS, FOUND.
        facts: (6,) int64: regions; images; anomalous and normal pixels above the threshold; anomalous and
            normal pixels above the thresholds of their zones.
    """

    counts: np.ndarray
    facts: np.ndarray = field(default_factory=lambda: np.zeros(6, np.int64))


class PixelHistograms:
    """Counts pixel scores in histograms of at most `max_bins` bins, one per defect type, subset and
    condition.

    Bins start as single float32 scores and are merged only where `max_bins` requires it (`bin_layout`).
    Memory of a group is used only where its scores fall: at most 3 MB per group with 131072 bins.

    Args:
        max_bins: a multiple of 256, at least 512.
        threshold: pixels strictly above it are counted exactly, whatever the bins; None counts none.
        zone_thresholds: (gh, gw), one threshold per zone of the frame; None counts none.
        masks: post-processing of the masks that the thresholds give; None for none.
        sketching: whether to keep a sketch of every image, 6 KB each.

    Raises:
        AdframeError: if `max_bins` is too small, or the zone thresholds are not a table of numbers.

    Example:
        >>> histograms = PixelHistograms(threshold=0.5)
        >>> scores = np.float32([[0.9, 0.1]])
        >>> histograms.add(scores, regions=[], group=("good", "good", ""), path="a.png")
        >>> tally = histograms.tally(histograms.groups)
        >>> tally.normal.tolist(), tally.decided
        ([1, 1], (0, 1))
    """

    def __init__(
        self,
        *,
        max_bins: int = 131072,
        threshold: float | None = None,
        zone_thresholds: np.ndarray | None = None,
        masks: MaskPostprocessing | None = None,
        sketching: bool = False,
    ) -> None:
        if max_bins < 2 * BINS_PER_BLOCK:
            raise AdframeError(f"max_bins is {max_bins}; it must be at least {2 * BINS_PER_BLOCK}")
        self.groups: dict[GroupKey, GroupSums] = {}
        self.sketches: list[Sketch] = []
        self.layout = BlockLayout(budget=max_bins // BINS_PER_BLOCK)
        self._thresholds = pixel_thresholds(threshold, zone_thresholds, masks=masks)
        self._sketching = sketching
        self._bins = ImageBins(budget=self.layout.budget)

    def add(
        self, heatmap: np.ndarray, *, regions: list[Region], group: GroupKey, path: str, part: str = ""
    ) -> None:
        """Counts one image.

        Args:
            heatmap: (H, W) float32 raw scores in the original frame.
            regions: its annotated defects; [] where it has none.
            group: (defect type, subset, condition).
            path: path of the image, for messages and to sort sketches.
            part: images of one part share a name; "" for an image on its own.

        Raises:
            AdframeError: if the scores hold NaN or infinity, or a region lies outside the frame.
        """
        scores, inside = _validated(heatmap, regions, path)
        facts = np.array([len(regions), 1, *self._thresholds.counts(scores, inside)], np.int64)
        self._bins.fill(scores, inside=inside, regions=regions)
        if self._sketching:
            self.sketches.append(sketch_of(self._bins, path=path, key=group, group=part, facts=facts))
        self._add_image(group)
        self.group(group).facts += facts

    def group(self, key: GroupKey) -> GroupSums:
        """Returns the sums of a group, and creates them where there are none.

        Args:
            key: (defect type, subset, condition).
        """
        if key not in self.groups:
            self.groups[key] = GroupSums(np.zeros((3, self.layout.budget + 1, BINS_PER_BLOCK), np.int64))
        return self.groups[key]

    def make_room(self, blocks: np.ndarray) -> None:
        """Gives slots to blocks, and merges bins where there are too many blocks.

        Args:
            blocks: (n,) int32 block numbers at the present shift.
        """
        shifts = self.layout.shifts_needed(blocks)
        for _ in range(shifts):
            self.coarsen()
        self.layout.add(blocks >> shifts)

    def coarsen(self) -> None:
        """Merges every two neighbouring bins of every group."""
        self.layout.merge(*(group.counts for group in self.groups.values()))

    def tally(self, keys: Iterable[GroupKey]) -> Tally:
        """Sums groups.

        Args:
            keys: groups to sum; those that do not exist are left out.

        Returns:
            Their sum.
        """
        groups = [self.groups[key] for key in keys if key in self.groups]
        slots, edges = self.layout.ranked()
        counts = np.zeros((3, len(slots), BINS_PER_BLOCK), np.int64)
        for group in groups:
            counts += group.counts[:, slots]
        # `ranked` lists blocks by falling score, and so must be the bins inside each block.
        normal, anomalous, found = (kind[:, ::-1].reshape(-1) for kind in counts)
        filled = (normal > 0) | (anomalous > 0)
        facts = sum((group.facts for group in groups), start=np.zeros(6, np.int64))
        lowest = edges.reshape(-1)[filled]
        regions, images, hits, alarms, zone_hits, zone_alarms = facts.tolist()
        return Tally(
            lowest=scores_of(lowest),
            highest=scores_of(np.minimum(lowest | ((1 << self.layout.shift) - 1), _LARGEST_CODE)),
            normal=normal[filled],
            anomalous=anomalous[filled],
            found=found[filled],
            regions=regions,
            images=images,
            exact=self.layout.shift == 0,
            decided=None if self._thresholds.whole is None else (hits, alarms),
            zoned=None if self._thresholds.zones is None else (zone_hits, zone_alarms),
        )

    def _add_image(self, key: GroupKey) -> None:
        """Adds the bins of the image to its group; both become as coarse as the coarser of the two."""
        own = self._bins.layout
        # An image that needs coarse bins on its own needs them among others, too.
        while self.layout.shift < own.shift:
            self.coarsen()
        self.make_room(own.blocks >> (self.layout.shift - own.shift))
        while own.shift < self.layout.shift:
            self._bins.coarsen()
        slots, group = self.layout.slots(own.blocks), self.group(key)
        # good images have NORMAL only
        for mine, counts in zip(group.counts, self._bins.counts, strict=False):
            mine[slots] += counts[1:]


def _validated(heatmap: np.ndarray, regions: list[Region], path: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns (H, W) float32 finite, contiguous scores and (H, W) bool, True for pixels in any region."""
    if heatmap.ndim != 2 or heatmap.size == 0:
        raise AdframeError(f"the heatmap of {path} has shape {heatmap.shape}, not (H, W)")
    # float64 beyond float32 becomes infinite and is refused below.
    with np.errstate(over="ignore"):
        scores = np.ascontiguousarray(heatmap, dtype=np.float32)
    if not np.isfinite([scores.min(), scores.max()]).all():  # min and max propagate NaN
        raise AdframeError(f"the heatmap of {path} holds NaN or infinite scores, which no metric can rank")
    try:
        return scores, union(regions, scores.shape)
    except AdframeError as error:
        raise AdframeError(f"{path}: {error}") from error
