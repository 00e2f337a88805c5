"""Size and place of annotated defects, against every pixel looked at by itself."""

from __future__ import annotations

import numpy as np
import pytest

from adframe.contracts import Region
from adframe.errors import AdframeError
from adframe.ops.defect_size import extent
from adframe.ops.regions import components


@pytest.mark.parametrize("seed", range(8))
def test_area_and_distance_are_those_of_the_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((13, 21), bool)
    mask[2:-3, 4:-1] = rng.random((8, 16)) < 0.05
    mask[6, 9] = True
    distances = [min(y, x, 12 - y, 20 - x) for y, x in np.argwhere(mask)]
    found = extent(components(mask), frame=(13, 21))
    assert found is not None
    assert found.area == pytest.approx(mask.mean())
    assert found.border == pytest.approx(min(distances) / 13)


def test_what_two_channels_cover_counts_once_and_loose_boxes_are_seen_through() -> None:
    inner = np.zeros((10, 10), bool)
    inner[3:5, 4:6] = True
    loose = Region(0, 0, inner, 4.0)
    found = extent([loose, loose, Region(3, 4, np.ones((2, 2), bool), 4.0)], frame=(10, 10))
    assert found is not None
    assert (found.area, found.border) == (0.04, 0.3)


def test_the_outermost_pixel_lies_at_the_border_and_nothing_annotated_is_none() -> None:
    found = extent([Region(7, 3, np.ones((1, 2), bool), 2.0)], frame=(8, 9))
    assert found is not None
    assert found.border == 0
    assert extent([], frame=(8, 9)) is extent(None, frame=(8, 9)) is None
    with pytest.raises(AdframeError, match="spans"):
        extent([Region(7, 8, np.ones((1, 2), bool), 2.0)], frame=(8, 9))
