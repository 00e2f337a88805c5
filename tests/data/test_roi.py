"""Regions of interest: masks, boxes and polygons; outside nothing is learned, scored or decided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from adframe.contracts import Geometry, Region
from adframe.data.dataset import View, to_view
from adframe.data.roi import Roi, fill_outside
from adframe.errors import AdframeError
from adframe.metrics.pixel import PixelMetrics
from adframe.ops.geometry import restore
from adframe.ops.regions import within_region

SIZE = (20, 30)
INSIDE = np.zeros(SIZE, bool)
INSIDE[5:15, 10:25] = True


def mask_file(folder: Path, size: tuple[int, int] = SIZE) -> Path:
    path = folder / "roi.png"
    Image.fromarray(np.resize(INSIDE, size).astype(np.uint8) * 255).save(path)
    return path


def test_mask_boxes_and_polygons_draw_the_same_region(tmp_path: Path) -> None:
    corners = [[10, 5], [24, 5], [24, 14], [10, 14]]  # a polygon contains its border
    for roi in (Roi(mask=mask_file(tmp_path)), Roi(boxes=[[10, 5, 25, 15]]), Roi(polygons=[corners])):
        found = roi.inside("screw", SIZE)
        assert found is not None
        assert np.array_equal(found, INSIDE)


def test_several_boxes_are_joined_and_reach_beyond_the_image() -> None:
    found = Roi(boxes=[[-5, -5, 3, 2], [28, 18, 99, 99]]).inside("screw", SIZE)
    assert found is not None
    assert found.sum() == 3 * 2 + 2 * 2


def test_a_category_has_its_own_region_or_none() -> None:
    roi = Roi(boxes={"screw": [[0, 0, 5, 5]]})
    found = roi.inside("screw", SIZE)
    assert found is not None
    assert found.sum() == 25
    assert roi.inside("bolt", SIZE) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {}, {"boxes": [[0, 0, 5, 5]], "polygons": [[[0, 0], [1, 1], [2, 0]]]}, {"boxes": []},
        {"boxes": [[0, 0, 5]]}, {"boxes": [[5, 0, 0, 5]]}, {"boxes": ["abcd"]},
        {"polygons": [[[0, 0], [1, 1]]]}, {"polygons": [[1, 2, 3]]}, {"boxes": {"screw": [[1, 2, 3]]}},
    ],
)  # fmt: skip
def test_what_is_no_region_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(AdframeError, match="roi"):
        Roi(**wrong)


def test_a_region_without_a_pixel_and_a_mask_of_another_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AdframeError, match="no pixel of an image of 30x20 is inside"):
        Roi(boxes=[[100, 100, 120, 120]]).inside("screw", SIZE)
    with pytest.raises(AdframeError, match="has 15x10 pixels, and the images have 30x20"):
        Roi(mask=mask_file(tmp_path, (10, 15))).inside("screw", SIZE)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_outside_every_image_is_the_same_to_the_network(dtype: type) -> None:
    draws = np.random.default_rng(0)
    first, other = (draws.integers(0, np.iinfo(dtype).max, (*SIZE, 3)).astype(dtype) for _ in range(2))
    other[INSIDE] = first[INSIDE]
    view = View(size=None, roi=Roi(boxes=[[10, 5, 25, 15]]))
    found = [to_view(pixels, view, category="screw") for pixels in (first, other)]
    assert (found[0][0] == found[1][0]).all()
    assert np.array_equal(fill_outside(first, INSIDE)[INSIDE], first[INSIDE])
    assert found[0][1].inside is not None
    assert np.array_equal(found[0][1].inside, INSIDE)


def test_a_heatmap_has_its_minimum_outside() -> None:
    heatmap = np.random.default_rng(0).normal(size=SIZE).astype(np.float32)
    found = restore(heatmap, Geometry(original=SIZE, view=(0, 0, *SIZE), inside=INSIDE))
    assert np.array_equal(found[INSIDE], heatmap[INSIDE])
    assert (found[~INSIDE] == heatmap.min()).all()


def test_metrics_inside_are_those_of_the_cut_out_box() -> None:
    """A box is the same as a smaller image, so that the metrics of the crops must be equal."""
    draws = np.random.default_rng(3)
    inside, crop = PixelMetrics(saturated=False), PixelMetrics(saturated=False)
    for place in range(8):
        heatmap = draws.normal(size=SIZE).astype(np.float32)
        regions = []
        if place % 2:
            mask = np.zeros(SIZE, bool)
            mask[8:12, 5:14] = True  # half of it lies outside
            heatmap[mask] += 1
            regions = [Region(8, 5, mask[8:12, 5:14], float(mask.sum()))]
        facts = {"defect": "cut" if regions else "good", "subset": "anomaly" if regions else "good"}
        own, found = within_region(heatmap, regions, INSIDE)
        inside.update(heatmap=own, regions=found, path=f"{place}.png", **facts)
        cut = [Region(3, 0, np.ones((4, 4), bool), 16.0)] if regions else []
        crop.update(heatmap=heatmap[5:15, 10:25], regions=cut, path=f"{place}.png", **facts)
    assert inside.compute() == crop.compute()
    assert len(inside.compute()) > 4
