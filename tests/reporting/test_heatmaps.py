import numpy as np
import pytest
from PIL import Image

from adframe.contracts import Region
from adframe.reporting.heatmaps import GAP, panel, write_panel


def make(size, *, regions=(), peak=None, threshold=None, low=0.0, high=1.0):
    image = np.full((*size, 3), 120, np.uint8)
    heatmap = np.zeros(size, np.float32)
    if peak is not None:
        heatmap[peak] = 1.0
    return panel(
        image, heatmap=heatmap, regions=list(regions), threshold=threshold, low=low, high=high, width=64
    )


def tiles(picture):
    width = (picture.shape[1] - 2 * GAP) // 3
    return [picture[:, place * (width + GAP) :][:, :width] for place in range(3)]


@pytest.mark.parametrize(
    ("size", "tile"),
    [((100, 200), (32, 64)), ((1000, 100), (96, 10)), ((3, 900), (1, 64)), ((20, 20), (64, 64))],
)
def test_tall_and_wide_images_keep_their_aspect(size, tile):
    picture = make(size)
    assert picture.shape == (tile[0], 3 * tile[1] + 2 * GAP, 3)
    assert picture.dtype == np.uint8


def test_a_defect_of_one_pixel_is_outlined_in_the_middle_only():
    region = Region(500, 700, np.ones((1, 1), bool), 1.0)
    plain, marked = make((1000, 1400)), make((1000, 1400), regions=[region])
    changed = [bool((a != b).any()) for a, b in zip(tiles(plain), tiles(marked), strict=True)]
    assert changed == [False, True, False]


def test_the_heat_is_where_the_score_is():
    before, after = tiles(make((128, 128)))[2], tiles(make((128, 128), peak=np.s_[:64, :64]))[2]
    moved = np.abs(before.astype(int) - after).sum(axis=2) > 60
    assert moved[:28, :28].all()
    assert not moved[36:, 36:].any()


def test_the_scale_is_the_callers_and_not_the_images():
    weak = make((64, 64), peak=np.s_[:32], high=100.0)
    strong = make((64, 64), peak=np.s_[:32], high=1.0)
    assert tiles(weak)[2][:16].mean() < tiles(strong)[2][:16].mean() - 20


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_broken_heatmap_and_an_empty_scale_are_drawn(value):
    heatmap = np.full((10, 10), value, np.float32)
    image = np.zeros((10, 10, 3), np.uint8)
    assert panel(image, heatmap=heatmap, regions=[], threshold=0.5, low=0.0, high=0.0, width=16).any()


def test_sizes_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="heatmap"):
        panel(
            np.zeros((8, 9, 3), np.uint8), heatmap=np.zeros((9, 8)), regions=[], threshold=None, low=0, high=1
        )


@pytest.mark.parametrize("name", ["x.png", "x.JPG"])
def test_written_pictures_open_again(tmp_path, name):
    write_panel(tmp_path / "new" / name, make((32, 32)))
    assert Image.open(tmp_path / "new" / name).size == (3 * 64 + 2 * GAP, 64)
