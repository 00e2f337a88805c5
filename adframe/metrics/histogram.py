"""The one state of every pixel metric: histograms of scores, summed over images and processes.

Everything is an integer, so sums do not depend on the order of images, batches or processes. A
region's share in a bin is kept in units of 1 / `WHOLE`: with k of its pixels above a bin's lower
edge, it is found to min(k / saturation, 1), rounded to a unit. Rounding the running share, not
each pixel's, keeps the error at half a unit a region, at every threshold and after any merge.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from adframe.contracts import AdframeError, Region
from adframe.metrics.codes import codes_of, float32_below, scores_of
from adframe.metrics.layout import BLOCK, UNKNOWN, BlockLayout
from adframe.ops.regions import bounding_box, union

WHOLE = 1 << 40  # one region; 8 million regions fit in an int64
NORMAL, ANOMALOUS, FOUND = range(3)  # the first axis of a group's counts
_CHUNK = 1 << 18  # pixels at a time: buffers stay in the cache, memory does not grow with the image

GroupKey = tuple[str, str]  # defect type, subset


@dataclass(frozen=True, slots=True)
class Tally:
    """Some groups' sums: n bins by falling score, without the empty ones."""

    lowest: np.ndarray  # (n,) float32, the smallest score that a bin can hold
    normal: np.ndarray  # (n,) int64 pixels outside every region
    anomalous: np.ndarray  # (n,) int64 pixels in a region
    found: np.ndarray  # (n,) int64, what the bin adds to the regions found, in 1 / WHOLE
    regions: int
    images: int
    exact: bool  # each bin holds one score only
    decided: tuple[int, int] | None  # anomalous, normal pixels above the threshold, where one was set


@dataclass(slots=True)
class Group:
    """The sums of one defect type."""

    counts: np.ndarray  # (3, slots, BLOCK) int64: NORMAL, ANOMALOUS, FOUND
    facts: np.ndarray = field(default_factory=lambda: np.zeros(4, np.int64))
    # regions, images, anomalous pixels above the threshold, normal pixels above it


class PixelHistograms:
    """Histograms of pixel scores, one group a defect type, at most `max_bins` bins each.

    Bins start as single float32 scores and are merged only where `max_bins` forces it (`layout`).
    A group's pages are touched only where its scores fall: at most 3 MB a group with 131072 bins.

    Args:
        max_bins: a multiple of 256, at least 512.
        threshold: counts pixels strictly above it exactly, whatever the bins.

    Raises:
        AdframeError: `max_bins` is too small.
    """

    def __init__(self, *, max_bins: int = 131072, threshold: float | None = None) -> None:
        if max_bins < 2 * BLOCK:
            raise AdframeError(f"max_bins is {max_bins}; it must be at least {2 * BLOCK}")
        self.groups: dict[GroupKey, Group] = {}
        self.layout = BlockLayout(budget=max_bins // BLOCK)
        self._threshold = None if threshold is None else float32_below(threshold)
        self._codes = np.empty(_CHUNK, np.int32)

    def add(self, heatmap: np.ndarray, *, regions: list[Region], group: GroupKey, path: str) -> None:
        """Counts one image.

        Args:
            heatmap: (H, W) float32 raw scores in the original frame.
            regions: its annotated defects; [] where it has none.
            group: (defect type, subset).
            path: the image, for messages.

        Raises:
            AdframeError: NaN or infinite scores, or a region outside the frame.
        """
        scores, inside = _checked(heatmap, regions, path)
        self._pour(scores.reshape(-1), group, {NORMAL: 1})
        if regions:
            self._pour(scores[inside], group, {NORMAL: -1, ANOMALOUS: 1})
        for region in regions:
            pixels = scores[bounding_box(region, scores.shape)][region.mask]
            self._find(pixels, region.saturation, group)
        self.group(group).facts += (len(regions), 1, *self._decide(scores, inside))

    def group(self, key: GroupKey) -> Group:
        """The sums of a group, made where there are none yet."""
        if key not in self.groups:
            self.groups[key] = Group(np.zeros((3, self.layout.budget + 1, BLOCK), np.int64))
        return self.groups[key]

    def make_room(self, blocks: np.ndarray) -> None:
        """Gives slots to blocks (at the present shift), merging bins where they are too many."""
        shifts = self.layout.shifts_needed(blocks)
        for _ in range(shifts):
            self.coarsen()
        self.layout.add(np.unique(blocks >> shifts))

    def coarsen(self) -> None:
        """Merges every two neighbouring bins of every group."""
        used = self.layout.rows
        slots, halves = self.layout.coarsen()
        for group in self.groups.values():
            pairs = group.counts[:, 1:used].reshape(3, used - 1, BLOCK // 2, 2).sum(axis=-1)
            merged = np.zeros_like(group.counts)
            merged.reshape(3, -1, 2, BLOCK // 2)[:, slots, halves] = pairs
            group.counts = merged

    def tally(self, keys: Iterable[GroupKey]) -> Tally:
        """The sum of the named groups that exist."""
        groups = [self.groups[key] for key in keys if key in self.groups]
        slots, edges = self.layout.ranked()
        counts = np.zeros((3, len(slots), BLOCK), np.int64)
        for group in groups:
            counts += group.counts[:, slots]
        normal, anomalous, found = (kind[:, ::-1].reshape(-1) for kind in counts)  # falling in a block, too
        filled = (normal > 0) | (anomalous > 0)
        regions, images, hits, alarms = sum(
            (group.facts for group in groups), start=np.zeros(4, np.int64)
        ).tolist()
        return Tally(
            lowest=scores_of(edges.reshape(-1)[filled]),
            normal=normal[filled],
            anomalous=anomalous[filled],
            found=found[filled],
            regions=regions,
            images=images,
            exact=self.layout.shift == 0,
            decided=None if self._threshold is None else (hits, alarms),
        )

    def _pour(self, scores: np.ndarray, key: GroupKey, signs: dict[int, int]) -> None:
        """Adds the histogram of (n,) scores to some of a group's counts, or takes it away."""
        for start in range(0, len(scores), _CHUNK):
            chunk = scores[start : start + _CHUNK]
            unknown = self._pour_codes(codes_of(chunk, out=self._codes[: len(chunk)]), key, signs)
            if len(unknown):
                self.make_room(self.layout.blocks_of(unknown))
                self._pour_codes(unknown, key, signs)

    def _pour_codes(self, codes: np.ndarray, key: GroupKey, signs: dict[int, int]) -> np.ndarray:
        """Returns the codes whose block has no slot yet, which have not been counted."""
        places, histogram = self.layout.histogram(codes)
        unknown = codes[places < BLOCK] if histogram[UNKNOWN].any() else codes[:0]
        counts = self.group(key).counts
        for kind, sign in signs.items():
            counts[kind, 1 : len(histogram)] += histogram[1:] if sign > 0 else -histogram[1:]
        return unknown

    def _find(self, scores: np.ndarray, saturation: float, key: GroupKey) -> None:
        """Adds what each bin finds of one region, whose (n,) scores have been counted already."""
        codes = np.sort(codes_of(scores))[::-1]
        bins = codes >> self.layout.shift
        last = np.append(np.flatnonzero(bins[1:] != bins[:-1]), len(bins) - 1)  # of each bin
        running = np.rint(np.minimum((last + 1) / saturation, 1.0) * WHOLE).astype(np.int64)
        found = self.group(key).counts[FOUND].reshape(-1)
        found[self.layout.places(codes[last])] += np.diff(running, prepend=0)

    def _decide(self, scores: np.ndarray, inside: np.ndarray) -> tuple[int, int]:
        if self._threshold is None:
            return 0, 0
        above = scores > self._threshold
        hits = int(np.count_nonzero(above & inside))
        return hits, int(np.count_nonzero(above)) - hits


def _checked(heatmap: np.ndarray, regions: list[Region], path: str) -> tuple[np.ndarray, np.ndarray]:
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
