"""From masks to regions, as the official evaluators see them."""

from __future__ import annotations

import numpy as np
import pytest

from adframe.contracts import Region, Saturation
from adframe.errors import AdframeError
from adframe.ops.regions import channels, components, union


def placed(regions, shape):
    frame = np.zeros((len(regions), *shape), bool)
    for layer, region in zip(frame, regions, strict=True):
        h, w = region.mask.shape
        layer[region.top : region.top + h, region.left : region.left + w] = region.mask
    return frame


def channel(value, area, shape=(8, 9)):
    mask = np.zeros(shape, np.uint8)
    mask.ravel()[:area] = value
    return mask


def test_pixels_that_touch_at_a_corner_are_one_component():
    regions = components(np.eye(5, dtype=bool))
    assert len(regions) == 1
    assert regions[0].saturation == 5.0
    assert np.array_equal(regions[0].mask, np.eye(5, dtype=bool))


@pytest.mark.parametrize("seed", range(3))
def test_components_partition_the_mask(seed):
    mask = np.random.default_rng(seed).random((12, 17)) < 0.25
    layers = placed(components(mask), mask.shape)
    assert np.array_equal(layers.sum(axis=0), mask)
    assert [layer.sum() for layer in layers] == [region.saturation for region in components(mask)]


def test_any_value_above_zero_is_defect_and_none_is_no_region():
    mask = np.array([[0, 1], [255, 0]], np.uint8)
    assert components(mask)[0].saturation == 2
    assert components(np.zeros((3, 3), bool)) == []


def test_a_component_inside_anothers_box_is_left_out_of_it():
    ring = np.ones((5, 5), bool)
    ring[1:4, 1:4] = False
    ring[2, 2] = True
    assert sorted(region.saturation for region in components(ring)) == [1, 16]
    assert all(region.mask.sum() == region.saturation for region in components(ring))


@pytest.mark.parametrize(
    ("threshold", "relative", "area", "expected"),
    [(6, False, 10, 6), (60, False, 10, 10), (0.5, True, 11, 5), (1.0, True, 11, 11), (0.01, True, 11, 1)],
)
def test_saturation_areas_of_the_official_evaluator(threshold, relative, area, expected):
    regions = channels([channel(200, area)], [Saturation(200, threshold, relative)])
    assert [region.saturation for region in regions] == [expected]


def test_a_channel_of_two_islands_is_one_region():
    mask = channel(7, 0)
    mask[1, 1] = mask[6, 8] = 7
    (region,) = channels([mask], [Saturation(7, 5, False)])
    assert (region.top, region.left, region.mask.shape, region.saturation) == (1, 1, (6, 8), 2)
    assert np.array_equal(placed([region], mask.shape)[0], mask > 0)


@pytest.mark.parametrize("values", [[], [3, 4]])
def test_a_channel_with_no_or_several_values_is_refused(values):
    mask = channel(0, 0)
    mask[0, : len(values)] = values
    with pytest.raises(AdframeError, match=r"exactly one.*" + str(values).replace("[", r"\[")):
        channels([mask], [Saturation(3, 1, False)])


def test_a_value_without_an_entry_is_refused():
    with pytest.raises(AdframeError, match=r"value 9 .*\[3\]"):
        channels([channel(9, 2)], [Saturation(3, 1, False)])


def test_union_counts_overlap_once():
    first, second = Region(0, 0, np.ones((2, 2), bool), 4.0), Region(1, 1, np.ones((2, 2), bool), 4.0)
    inside = union([first, second], (4, 5))
    assert inside.shape == (4, 5)
    assert inside.sum() == 7
    assert not union([], (4, 5)).any()


@pytest.mark.parametrize(("top", "left"), [(-1, 0), (3, 0), (0, 4)])
def test_a_region_over_the_edge_is_refused(top, left):
    with pytest.raises(AdframeError, match="4x5"):
        union([Region(top, left, np.ones((2, 2), bool), 4.0)], (4, 5))
