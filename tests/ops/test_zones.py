import numpy as np
import pytest

from adframe.ops.zones import zones_of


@pytest.mark.parametrize(
    ("shape", "grid"), [((7, 10), (2, 3)), ((64, 64), (4, 4)), ((5, 5), (1, 1)), ((2, 9), (4, 3))]
)
def test_zones_cover_every_pixel_once(shape, grid):
    seen = np.zeros(shape, int)
    places = []
    for place, pixels in zones_of(shape, grid=grid):
        seen[pixels] += 1
        places.append(place)
    assert (seen == 1).all()
    assert places == [(row, column) for row in range(grid[0]) for column in range(grid[1])]


def test_zones_are_of_nearly_one_size():
    sizes = [len(range(*rows.indices(10))) for (_, column), (rows, _) in zones_of((10, 10), grid=(3, 1))]
    assert max(sizes) - min(sizes) <= 1
