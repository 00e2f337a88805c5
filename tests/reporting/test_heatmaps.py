import cv2
import numpy as np
import pytest
from PIL import Image

from adframe.contracts import Region
from adframe.reporting.heatmaps import heatmap_tiles, write_picture
from adframe.reporting.outlines import as_bytes
from adframe.results.gallery import TILES


def make(size, *, regions=(), peak=None, threshold=None, low=0.0, high=1.0):
    image = np.full((*size, 3), 120, np.uint8)
    heatmap = np.zeros(size, np.float32)
    if peak is not None:
        heatmap[peak] = 1.0
    found = heatmap_tiles(
        image, heatmap=heatmap, regions=list(regions), threshold=threshold, low=low, high=high, width=64
    )
    return [found[name] for name in TILES]


@pytest.mark.parametrize(
    ("size", "tile"),
    [((100, 200), (32, 64)), ((1000, 100), (96, 10)), ((3, 900), (1, 64)), ((20, 20), (64, 64))],
)
def test_tall_and_wide_images_keep_their_aspect(size, tile):
    assert [(each.shape, each.dtype) for each in make(size)] == [((*tile, 3), np.uint8)] * 3


def test_a_defect_of_one_pixel_is_outlined_in_the_middle_only():
    region = Region(500, 700, np.ones((1, 1), bool), 1.0)
    plain, marked = make((1000, 1400)), make((1000, 1400), regions=[region])
    changed = [bool((a != b).any()) for a, b in zip(plain, marked, strict=True)]
    assert changed == [False, True, False]


def test_the_heat_is_where_the_score_is():
    before, after = make((128, 128))[2], make((128, 128), peak=np.s_[:64, :64])[2]
    moved = np.abs(before.astype(int) - after).sum(axis=2) > 60
    assert moved[:28, :28].all()
    assert not moved[36:, 36:].any()


def test_the_scale_is_the_callers_and_not_the_images():
    weak = make((64, 64), peak=np.s_[:32], high=100.0)
    strong = make((64, 64), peak=np.s_[:32], high=1.0)
    assert weak[2][:16].mean() < strong[2][:16].mean() - 20


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_broken_heatmap_and_an_empty_scale_are_drawn(value):
    heatmap = np.full((10, 10), value, np.float32)
    image = np.zeros((10, 10, 3), np.uint8)
    drawn = heatmap_tiles(image, heatmap=heatmap, regions=[], threshold=0.5, low=0.0, high=0.0, width=16)
    assert drawn["heatmap"].shape == (16, 16, 3)


def test_sizes_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="heatmap"):
        heatmap_tiles(
            np.zeros((8, 9, 3), np.uint8), heatmap=np.zeros((9, 8)), regions=[], threshold=None, low=0, high=1
        )


@pytest.mark.parametrize("name", ["x.png", "x.JPG"])
def test_written_pictures_open_again(tmp_path, name):
    write_picture(tmp_path / "new" / name, make((32, 32))[0])
    assert Image.open(tmp_path / "new" / name).size == (64, 64)


def test_16_bits_become_the_nearest_8():
    values = np.array([0, 128, 129, 40000, 65407, 65535], np.uint16)
    assert as_bytes(values).tolist() == [0, 0, 1, 156, 255, 255]
    assert as_bytes(np.arange(256, dtype=np.uint8)).tolist() == list(range(256))


def test_regions_next_to_each_other_share_a_line_and_others_do_not():
    def lines(*columns):
        regions = [Region(20, column, np.ones((4, 4), bool), 16.0) for column in columns]
        green = np.asarray(make((64, 64), regions=regions)[1][:, :, 1] > 180, np.uint8)
        return cv2.connectedComponents(green)[0] - 1

    assert lines(20) == lines(20, 25) == 1
    assert lines(10, 45) == 2
