"""Ours against the official evaluators' own way of counting, quirks included."""

from __future__ import annotations

import numpy as np
import pytest

from adframe.calibration.rules import MeanStd, Sample
from adframe.contracts import Region, Saturation
from adframe.metrics.image import image_metrics
from adframe.ops.regions import channels, components
from benchmarks.pixel_metrics import make_samples
from tests.metrics import official
from tests.metrics.maps import DRAWS, fed, images_of
from tests.metrics.official import LocoImage
from tests.metrics.reference import Image, masks_of

LIMITS = (0.01, 0.05, 0.3, 1.0)


def planes(images):
    """Maps and whole masks, as the scripts read them."""
    empty = [np.zeros_like(image.heatmap, bool) for image in images]
    return [image.heatmap for image in images], [
        np.any([*masks_of(image), none], axis=0) for image, none in zip(images, empty, strict=True)
    ]


def drawn(draw, *, seed):
    """Overlapping channels that saturate early: from one pixel to a wide one, logical and structural."""
    rng, images = np.random.default_rng(seed), []
    for place in range(9):
        subset = ("good", "logical", "structural")[place % 3]
        heatmap = draw(rng, place).astype(np.float32)
        regions = []
        for side in () if subset == "good" else (1, 4, 20)[place % 2 :]:
            top, left = rng.integers(0, 76, 2).tolist()
            area = np.ones((side, side), bool)
            regions.append(Region(top, left, area, saturation=max(side * side // 3, 1)))
            heatmap[top : top + side, left : left + side] += 1.5
        images.append(Image(heatmap, regions, subset, subset, f"{place}.png"))
    return images


def smooth(rng, place):
    return make_samples(1, size=96, seed=int(rng.integers(1 << 30)) + place)[0][0]


def plateaus(rng, place):
    return np.round(rng.normal(size=(96, 96)) * 2) / 2


def uniform(rng, place):
    return rng.normal(size=(96, 96))


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("limit", LIMITS)
def test_aupro_is_mvtec_ads_but_for_what_binning_may_cost(draw, limit):
    images = images_of(draw, count=12)
    metrics = fed(images, limits=(limit,))
    maps, masks = planes(images)
    name = f"pixel/aupro_{limit:g}"
    slack = metrics.bound()[name]  # 0 on plateaus
    theirs = official.ad_aupro(maps, masks=masks, limit=limit)
    assert metrics.compute()[name] == pytest.approx(theirs, abs=slack + 1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_float32_rates_of_millions_of_pixels_change_aupro_in_the_seventh_digit(seed):
    samples = make_samples(8, size=512, seed=seed)
    images = [Image(heatmap.round(2), regions) for heatmap, regions in samples]  # few scores: exact bins
    maps, masks = planes(images)
    ours = fed(images, limits=LIMITS).compute()
    for limit in LIMITS:
        exact = official.ad_aupro(maps, masks=masks, limit=limit, dtype=np.float64)
        assert ours[f"pixel/aupro_{limit:g}"] == pytest.approx(exact, abs=1e-10)
        assert official.ad_aupro(maps, masks=masks, limit=limit) == pytest.approx(exact, abs=1e-6)


def test_corners_that_touch_make_one_region_and_images_count_by_their_regions():
    rng, mask, lone = np.random.default_rng(0), np.zeros((12, 12), bool), np.zeros((12, 12), bool)
    mask[:6, :6] = mask[6:8, 6:8] = mask[10, 1] = lone[4, 4:9] = True  # a chain of two squares, a pixel
    heatmaps = [rng.choice(30, (12, 12)).astype(np.float32) + 9 * np.triu(mask) for _ in range(2)]
    images = [Image(heatmaps[0], components(mask)), Image(heatmaps[1], components(lone))]
    assert [len(image.regions) for image in images] == [2, 1]
    theirs = official.ad_aupro(heatmaps, masks=[mask, lone])
    assert fed(images, limits=(0.3,)).compute()["pixel/aupro_0.3"] == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("draw", [smooth, plateaus, uniform])
@pytest.mark.parametrize("seed", range(3))
def test_auspro_is_mvtec_locos_but_for_its_sampling(draw, seed):
    images = drawn(draw, seed=seed)
    theirs = official.loco_auspro(_loco(images), seed=0, distinct=draw is plateaus)
    metrics = fed(images, saturated=True, limits=official.MAX_FPRS)
    ours, slack = metrics.compute(), metrics.bound()
    for name, value in theirs.items():
        subset, _, limit = name.rpartition("/")
        own = f"{subset}/pixel/auspro_{limit}".lstrip("/")
        assert ours[own] == pytest.approx(value, abs=2e-4 + slack[own]), own


def _loco(images):
    return [
        LocoImage(
            i.heatmap, [(m, r.saturation) for m, r in zip(masks_of(i), i.regions, strict=True)], i.subset
        )
        for i in images
    ]


def test_plateaus_stop_the_official_script_and_not_ours():
    with pytest.raises(AssertionError):
        official.loco_auspro(_loco(drawn(plateaus, seed=0)), seed=0)


@pytest.mark.parametrize(
    ("threshold", "relative"), [(0.5, True), (1.0, True), (0.999, True), (7, False), (9000, False)]
)
def test_saturation_areas_are_mvtec_locos(threshold, relative):
    mask = np.zeros((20, 20), np.uint8)
    mask[3:8, 2:9] = 200
    region = channels([mask], [Saturation(pixel_value=200, threshold=threshold, relative=relative)])[0]
    assert region.saturation == official.loco_saturation(threshold, relative=relative, area=35)


def test_a_saturation_area_of_nothing_is_one_pixel_to_us():
    mask = np.zeros((20, 20), np.uint8)
    mask[3:8, 2:9] = 200
    assert official.loco_saturation(0.01, relative=True, area=35) == 0  # they divide by it
    region = channels([mask], [Saturation(pixel_value=200, threshold=0.01, relative=True)])[0]
    assert region.saturation == 1


@pytest.mark.parametrize("draw", ["random", "twelve_orders", "tied", "negative"])
def test_ad2s_threshold_and_both_f1_are_equal(draw):
    validation = [image.heatmap for image in images_of(draw, seed=9, count=6)[::2]]
    pixels = np.concatenate([heatmap.ravel() for heatmap in validation])
    threshold = MeanStd(deviations=3).choose(Sample.of(pixels, np.zeros(0)))
    assert threshold == pytest.approx(official.ad2_threshold(validation), rel=1e-12)
    for at in (threshold, float(np.median(pixels))):
        images = images_of(draw, count=12)
        maps, masks = planes(images)
        found = image_metrics(
            scores=[0.0] * 12,
            labels=[int(mask.any()) for mask in masks],
            subsets=[image.subset for image in images],
            reported=[bool(float(scores.max()) > at) for scores in maps],
            threshold=None,
        )
        ours = fed(images, threshold=at).compute()["pixel/segf1"], found["image/class_f1"]
        assert ours == official.ad2_f1(maps, masks=masks, threshold=at)
