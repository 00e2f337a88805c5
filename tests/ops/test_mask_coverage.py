"""How much of a cell is annotated equals a slow count of its pixels."""

from __future__ import annotations

import numpy as np
import pytest

from adframe.contracts import Geometry, Region
from adframe.ops.mask_coverage import covered


def region(top: int, left: int, height: int, width: int) -> Region:
    return Region(top, left, np.ones((height, width), dtype=bool), saturation=1.0)


def test_a_cell_is_covered_by_the_share_of_its_pixels() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((24, 36)) < 0.3
    found = covered([Region(0, 0, mask, 1.0)], geometry=Geometry((24, 36), (0, 0, 24, 36)), grid=(4, 9))
    slow = [[mask[6 * y : 6 * y + 6, 4 * x : 4 * x + 4].mean() for x in range(9)] for y in range(4)]
    np.testing.assert_allclose(found, slow, atol=1e-6)


def test_cells_that_do_not_divide_the_frame_keep_the_area() -> None:
    whole = Geometry((30, 30), (0, 0, 30, 30))
    found = covered([region(3, 5, 7, 11)], geometry=whole, grid=(7, 7))
    assert found.mean() * 900 == pytest.approx(77, rel=1e-4)


def test_a_view_beyond_the_frame_and_inside_it() -> None:
    padded = covered([region(0, 0, 10, 10)], geometry=Geometry((10, 20), (-5, 0, 20, 20)), grid=(4, 4))
    np.testing.assert_allclose(padded, [[0] * 4, [1, 1, 0, 0], [1, 1, 0, 0], [0] * 4])
    cropped = covered([region(0, 0, 10, 10)], geometry=Geometry((20, 20), (5, 5, 10, 10)), grid=(2, 2))
    np.testing.assert_allclose(cropped, [[1, 0], [0, 0]])


def test_one_pixel_is_not_nothing() -> None:
    found = covered(
        [region(500, 500, 1, 1)], geometry=Geometry((1000, 1000), (0, 0, 1000, 1000)), grid=(8, 8)
    )
    assert (found > 0).sum() == 1
    assert found.max() < 1e-3
