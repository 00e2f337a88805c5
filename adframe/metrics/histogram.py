"""The one state of every pixel metric: histograms of scores, summed over images and processes.

Everything is an integer, so sums do not depend on the order of images, batches or processes.
Beside the sums there may be a sketch of each image, from which intervals are drawn.
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
from adframe.ops.regions import union

_LARGEST_CODE = codes_of(np.array([np.finfo(np.float32).max]))[0]  # beyond it are infinity and NaN


@dataclass(frozen=True, slots=True)
class Tally:
    """Some groups' sums: n bins by falling score, without the empty ones."""

    lowest: np.ndarray  # (n,) float32, the smallest score that a bin can hold
    highest: np.ndarray  # (n,) float32, the largest
    normal: np.ndarray  # (n,) int64 pixels outside every region
    anomalous: np.ndarray  # (n,) int64 pixels in a region
    found: np.ndarray  # (n,) int64, what the bin adds to the regions found, in 1 / REGION_UNITS
    regions: int
    images: int
    exact: bool  # each bin holds one score only
    decided: tuple[int, int] | None  # anomalous, normal pixels above the threshold, where one was set
    zoned: tuple[int, int] | None = None  # the same of the zones' thresholds


@dataclass(slots=True)
class GroupSums:
    """The sums of one defect type in one subset and condition."""

    counts: np.ndarray  # (3, slots, BINS_PER_BLOCK) int64: NORMAL, ANOMALOUS, FOUND
    facts: np.ndarray = field(default_factory=lambda: np.zeros(6, np.int64))
    # regions, images; anomalous and normal pixels above the threshold; the same above the zones'


class PixelHistograms:
    """Histograms of pixel scores, at most `max_bins` bins each, a group a defect type, subset and condition.

    Bins start as single float32 scores and are merged only where `max_bins` forces it (`layout`).
    A group's pages are touched only where its scores fall: at most 3 MB a group with 131072 bins.

    Args:
        max_bins: a multiple of 256, at least 512.
        threshold: counts pixels strictly above it exactly, whatever the bins.
        zone_thresholds: (gh, gw) the same, one a zone of the frame.
        sketching: keeps a sketch of every image, 6 KB each.

    Raises:
        AdframeError: `max_bins` is too small, or zone thresholds are no grid of numbers.
    """

    def __init__(
        self,
        *,
        max_bins: int = 131072,
        threshold: float | None = None,
        zone_thresholds: np.ndarray | None = None,
        sketching: bool = False,
    ) -> None:
        if max_bins < 2 * BINS_PER_BLOCK:
            raise AdframeError(f"max_bins is {max_bins}; it must be at least {2 * BINS_PER_BLOCK}")
        self.groups: dict[GroupKey, GroupSums] = {}
        self.sketches: list[Sketch] = []
        self.layout = BlockLayout(budget=max_bins // BINS_PER_BLOCK)
        self._thresholds = pixel_thresholds(threshold, zone_thresholds)
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
            path: the image, for messages, and to order sketches.
            part: pictures of one part share one; "" is an image on its own.

        Raises:
            AdframeError: NaN or infinite scores, or a region outside the frame.
        """
        scores, inside = _validate(heatmap, regions, path)
        facts = np.array([len(regions), 1, *self._thresholds.counts(scores, inside)], np.int64)
        self._bins.fill(scores, inside=inside, regions=regions)
        if self._sketching:
            self.sketches.append(sketch_of(self._bins, path=path, key=group, group=part, facts=facts))
        self._add_image(group)
        self.group(group).facts += facts

    def group(self, key: GroupKey) -> GroupSums:
        """The sums of a group, made where there are none yet."""
        if key not in self.groups:
            self.groups[key] = GroupSums(np.zeros((3, self.layout.budget + 1, BINS_PER_BLOCK), np.int64))
        return self.groups[key]

    def make_room(self, blocks: np.ndarray) -> None:
        """Gives slots to blocks (at the present shift), merging bins where they are too many."""
        shifts = self.layout.shifts_needed(blocks)
        for _ in range(shifts):
            self.coarsen()
        self.layout.add(blocks >> shifts)

    def coarsen(self) -> None:
        """Merges every two neighbouring bins of every group."""
        self.layout.merge(*(group.counts for group in self.groups.values()))

    def tally(self, keys: Iterable[GroupKey]) -> Tally:
        """The sum of the named groups that exist."""
        groups = [self.groups[key] for key in keys if key in self.groups]
        slots, edges = self.layout.ranked()
        counts = np.zeros((3, len(slots), BINS_PER_BLOCK), np.int64)
        for group in groups:
            counts += group.counts[:, slots]
        normal, anomalous, found = (kind[:, ::-1].reshape(-1) for kind in counts)  # falling in a block, too
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
        """Adds the image's bins to its group, both as coarse as the coarser of the two; ends the image."""
        own = self._bins.layout
        # An image that needs coarse bins on its own needs them among others, too.
        while self.layout.shift < own.shift:
            self.coarsen()
        self.make_room(own.blocks >> (self.layout.shift - own.shift))
        while own.shift < self.layout.shift:
            self._bins.coarsen()
        slots, group = self.layout.slots(own.blocks), self.group(key)
        for mine, counts in zip(group.counts, self._bins.counts, strict=False):  # good images: NORMAL only
            mine[slots] += counts[1:]


def _validate(heatmap: np.ndarray, regions: list[Region], path: str) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) float32 finite scores, contiguous, and (H, W) bool: the pixels in any region."""
    if heatmap.ndim != 2 or heatmap.size == 0:
        raise AdframeError(f"the heatmap of {path} has shape {heatmap.shape}, not (H, W)")
    with np.errstate(over="ignore"):  # float64 beyond float32 turns infinite, and is refused below
        scores = np.ascontiguousarray(heatmap, dtype=np.float32)
    if not np.isfinite([scores.min(), scores.max()]).all():  # min and max pass NaN on
        raise AdframeError(f"the heatmap of {path} holds NaN or infinite scores; no metric can rank those")
    try:
        return scores, union(regions, scores.shape)
    except AdframeError as error:
        raise AdframeError(f"{path}: {error}") from error
