"""Each step of the post-processing does to a mask what its textbook definition says, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from adframe.errors import AdframeError
from adframe.ops.mask_postprocessing import MaskPostprocessing
from adframe.ops.zones import spread_zones


def field(seed: int, shape: tuple[int, int] = (61, 83)) -> np.ndarray:
    """A smooth random map, so that its masks have regions, gaps and holes."""
    noise = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(noise, 2.0).astype(np.float32)


def test_without_a_step_it_is_the_threshold_alone() -> None:
    scores = field(0)
    assert np.array_equal(MaskPostprocessing()(scores, np.float64(0.05)), scores > 0.05)
    empty = MaskPostprocessing(hysteresis=0.5, close=5, fill=True, erode=2, smallest=3)
    assert not empty(scores, np.float64(scores.max())).any()


@pytest.mark.parametrize("threshold", [0.1, -0.02])
def test_hysteresis_keeps_what_a_slow_flood_fill_reaches(threshold: float) -> None:
    scores = field(1)
    lower = threshold - 0.3 * abs(threshold)
    reached, weak = scores > threshold, scores > lower
    while True:  # grows by one pixel at a time
        grown = ndimage.binary_dilation(reached, np.ones((3, 3))) & weak
        if np.array_equal(grown, reached):
            break
        reached = grown
    found = MaskPostprocessing(hysteresis=0.7)(scores, np.float64(threshold))
    assert np.array_equal(found, reached)
    assert (scores > threshold).sum() < found.sum()


def test_a_gap_is_closed_along_a_line_and_not_beyond_its_reach() -> None:
    scores = np.zeros((40, 60), np.float32)
    scores[20, 5:20] = scores[20, 26:40] = 1  # a horizontal crack with a gap of 6
    scores[2:12, 50] = scores[17:30, 50] = 1  # a vertical one with a gap of 5, too far from the other
    found = MaskPostprocessing(close=3, directions=16)(scores, np.float64(0.5))
    assert found[20, 20:26].all()
    assert found[12:17, 50].all()
    assert not found[20, 41:49].any()
    unbridged = MaskPostprocessing(close=2, directions=16)(scores, np.float64(0.5))
    assert not unbridged[20, 20:26].all()


def test_closing_is_the_union_of_closings_along_lines() -> None:
    scores, reach = field(2), 4
    mask = scores > 0.1
    padded = np.pad(mask, 2 * reach)
    flat = np.ones((1, 2 * reach + 1))
    closings = [ndimage.binary_closing(padded, line) for line in (flat, flat.T)]
    expected = (closings[0] | closings[1])[2 * reach : -2 * reach, 2 * reach : -2 * reach] | mask
    found = MaskPostprocessing(close=reach, directions=2)(scores, np.float64(0.1))
    assert np.array_equal(found, expected)


def test_holes_erosion_and_specks() -> None:
    scores = np.zeros((30, 30), np.float32)
    scores[5:15, 5:15] = 1
    scores[9, 9] = 0
    scores[25, 25] = 1
    filled = MaskPostprocessing(fill=True)(scores, np.float64(0.5))
    assert filled[9, 9]
    assert filled.sum() == 101
    eroded = MaskPostprocessing(fill=True, erode=1)(scores, np.float64(0.5))
    assert eroded.sum() == 64  # a disc of radius 1 is a cross: the square loses a pixel on each side
    large = MaskPostprocessing(smallest=2)(scores, np.float64(0.5))
    assert large.sum() == 99


def test_thresholds_of_zones_are_spread_before() -> None:
    scores = field(3)
    table = np.array([[0.05, 0.2], [0.1, 0.0]])
    spread = spread_zones(table, scores.shape)
    assert spread[0, 0] == 0.05
    assert spread[-1, -1] == 0.0
    assert np.array_equal(MaskPostprocessing()(scores, spread), scores > spread)


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"hysteresis": 0}, "hysteresis"), ({"close": -1}, "close"), ({"erode": 1.5}, "erode"),
     ({"directions": 0}, "directions"), ({"smallest": True}, "smallest")],
)  # fmt: skip
def test_impossible_settings_are_named(settings: dict, word: str) -> None:
    with pytest.raises(AdframeError, match=f"postprocess.{word}"):
        MaskPostprocessing(**settings)
