"""A defect that disappears when an image is resized is said, with the override that helps."""

from __future__ import annotations

from adframe.data.dataset import View
from adframe.runs.test import small_defect_warnings

TEN_PIXELS = {"defect_area": 10 / 12e6, "height": 3000, "width": 4000}
PLAIN = {"defect_area": 0.01, "height": 3000, "width": 4000}
GOOD = {"defect_area": None, "height": 3000, "width": 4000}


def test_small_defects_are_counted_at_the_size_that_the_network_sees() -> None:
    rows = [TEN_PIXELS, PLAIN, GOOD, TEN_PIXELS]
    (line,) = small_defect_warnings(rows, View(size=(256, 256)))
    assert line.startswith("2 of 3 annotated images have defects smaller than 2x2 pixels")
    assert "tiling=default" in line
    assert small_defect_warnings(rows, View(size=None)) == []
    assert small_defect_warnings(rows, View(size=None, scale=0.5)) != []
    assert small_defect_warnings([PLAIN, GOOD], View(size=(256, 256))) == []
