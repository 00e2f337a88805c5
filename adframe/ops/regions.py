"""Turns ground-truth masks into regions, with which pixel metrics compare a heatmap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from adframe.contracts import Region, Saturation
from adframe.errors import AdframeError


def components(mask: np.ndarray) -> list[Region]:
    """Splits a mask into its 8-connected components; each saturates at its own area.

    So the per-region overlap of MVTec AD (`mvtec_ad_evaluation`, 3x3 structuring element) is the saturated
    overlap of MVTec LOCO with saturation = area.

    Args:
        mask: (H, W) bool or integers; values above zero are defect.

    Returns:
        One region per component.
    """
    binary = np.ascontiguousarray(mask > 0).view(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(binary, connectivity=8)
    regions = []
    for label in range(1, count):
        left, top, width, height, area = (int(stat) for stat in stats[label])
        inside = labels[top : top + height, left : left + width] == label  # (h, w)
        regions.append(Region(top, left, inside, saturation=float(area)))
    return regions


def channels(masks: Sequence[np.ndarray], saturations: Sequence[Saturation]) -> list[Region]:
    """Makes one region per annotated channel, without splitting it, as in `mvtec_loco_ad_evaluation`.

    Args:
        masks: (H, W) uint8 or uint16 each, with 0 and exactly one positive value, which refers to a
            saturation.
        saturations: the entries of `defects_config.json`.

    Returns:
        One region per mask.

    Raises:
        AdframeError: if a channel has no positive value or several, or one without an entry.
    """
    known = {saturation.pixel_value: saturation for saturation in saturations}
    return [_channel_region(mask, known) for mask in masks]


def union(regions: Iterable[Region], shape: tuple[int, int]) -> np.ndarray:
    """Marks the pixels in any region.

    Args:
        regions: in the original frame; they may overlap.
        shape: (H, W) of that frame.

    Returns:
        (H, W) bool.

    Raises:
        AdframeError: if a region is empty or reaches beyond the frame.
    """
    inside = np.zeros(shape, dtype=bool)
    for region in regions:
        inside[bounding_box(region, shape)] |= region.mask
    return inside


def within_region(
    heatmap: np.ndarray, regions: Sequence[Region], inside: np.ndarray
) -> tuple[np.ndarray, list[Region]]:
    """Keeps the pixels of a region of interest, as one row: no pixel metric depends on where pixels lie.

    Args:
        heatmap: (H, W) raw scores.
        regions: annotated defects in the same frame.
        inside: (H, W) bool with n pixels inside, n above 0.

    Returns:
        (1, n) scores, and the defects of which a part lies inside, as masks (1, n). A defect saturates at its
        own number of pixels, or at its area inside where that is smaller.
    """
    found = []
    for region in regions:
        own = union([region], heatmap.shape)[inside][None]
        if own.any():
            found.append(Region(0, 0, own, min(region.saturation, float(own.sum()))))
    return heatmap[inside][None], found


def bounding_box(region: Region, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Returns the rows and columns of a frame that the mask of a region covers.

    Args:
        region: in the original frame.
        shape: (H, W) of that frame.

    Returns:
        The slices of rows and columns.

    Raises:
        AdframeError: as `union`.
    """
    height, width = region.mask.shape
    bottom, right = region.top + height, region.left + width
    if not region.mask.any():
        raise AdframeError(f"a region at row {region.top}, column {region.left} has no pixel")
    if min(region.top, region.left) < 0 or bottom > shape[0] or right > shape[1]:
        raise AdframeError(
            f"a region spans rows {region.top} to {bottom} and columns {region.left} to {right}, "
            f"but the frame is {shape[0]}x{shape[1]}; masks and heatmaps must be in the original frame"
        )
    return slice(region.top, bottom), slice(region.left, right)


def _channel_region(mask: np.ndarray, known: dict[int, Saturation]) -> Region:
    values = [int(value) for value in np.unique(mask) if value > 0]
    if len(values) != 1:
        raise AdframeError(f"a ground-truth channel must hold exactly one positive value, not {values}")
    saturation = known.get(values[0])
    if saturation is None:
        raise AdframeError(
            f"ground-truth value {values[0]} has no entry in defects_config.json; it has {sorted(known)}"
        )
    left, top, width, height = cv2.boundingRect((mask > 0).view(np.uint8))
    inside = mask[top : top + height, left : left + width] > 0  # (h, w)
    return Region(top, left, inside, _saturation_area(saturation, area=int(inside.sum())))


def _saturation_area(saturation: Saturation, *, area: int) -> float:
    """Returns the number of pixels that suffice; at least 1, because the official code would divide by
    zero.
    """
    enough = saturation.threshold * area if saturation.relative else min(saturation.threshold, area)
    return float(max(int(enough), 1))
