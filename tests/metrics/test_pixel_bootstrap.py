"""Draws of pixel metrics from sketches: against metrics of copied images, and what must not change them."""

from __future__ import annotations

import numpy as np
import pytest

from adframe.metrics import pixel_bootstrap
from adframe.metrics.pixel_bootstrap import Resamples
from adframe.metrics.resampled import image_resampled
from adframe.metrics.sketch import SEGMENTS
from adframe.stats.bootstrap import percentile_interval
from benchmarks.pixel_metrics import make_samples
from tests.metrics import maps, reference
from tests.metrics.maps import DRAWS, fed, images_of, loco
from tests.metrics.reference import Image


def once(monkeypatch, metrics):
    """Every image drawn once."""
    ones = lambda strata, **_: np.ones((1, len(strata)), np.uint16)  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(pixel_bootstrap, "multiplicities", ones)
        return {key: float(values[0]) for key, values in metrics.resampled(resamples=1, seed=0).items()}


def typical(count=20, *, size=256, seed=0):
    """Smooth maps, lit in two ways, three pictures of a part."""
    return [
        Image(heatmap, regions, *names, path=f"{i}.png", condition="ab"[i % 4 // 2], group=f"part{i // 3}")
        for i, (heatmap, regions) in enumerate(make_samples(count, size=size, seed=seed))
        for names in [("scratch", "anomaly") if regions else ("good", "good")]
    ]


@pytest.mark.parametrize("draw", DRAWS)
def test_few_distinct_scores_give_what_compute_gives(draw, monkeypatch):
    metrics = fed(images_of(draw), threshold=0.5)
    assert once(monkeypatch, metrics) == pytest.approx(metrics.compute(), abs=1e-12)


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("size", [30, 100])
def test_many_distinct_scores_cost_little(draw, size, monkeypatch):
    monkeypatch.setattr(maps, "SIZE", size)
    metrics = fed(images_of(draw, count=16), threshold=0.5)
    assert once(monkeypatch, metrics) == pytest.approx(metrics.compute(), abs=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_typical_maps_are_close_in_every_line(seed, monkeypatch):
    metrics = fed(typical(size=512, seed=seed), threshold=2.0)
    ours, expected = once(monkeypatch, metrics), metrics.compute()
    assert {"a/pixel/ap", "b/pixel/aupro_0.05", "pixel/iou"} <= set(ours)
    assert ours == pytest.approx(expected, abs=5e-4)
    assert list(ours) == list(expected)


def test_loco_headline_is_the_mean_of_the_subsets_in_every_draw():
    drawn = fed(loco(), saturated=True).resampled(resamples=9, seed=0)
    halves = [drawn[f"{subset}/pixel/auspro_0.05"] for subset in ("logical", "structural")]
    assert drawn["pixel/auspro_0.05"] == pytest.approx(np.mean(halves, axis=0))
    assert drawn["pixel/auspro_0.05"] != pytest.approx(halves[0])


@pytest.mark.slow
def test_every_draw_is_the_definition_on_copied_images():
    images = sorted(images_of("random", count=8) + images_of("tied", count=8), key=lambda image: image.path)
    metrics = fed(images)
    drawn = metrics.resampled(resamples=25, seed=5)
    weights = Resamples(metrics._histograms.sketches, resamples=25, seed=5).weights
    slow = [
        reference.all_metrics([image for image, n in zip(images, row, strict=True) for _ in range(n)])
        for row in weights
    ]
    for key, values in drawn.items():
        assert values == pytest.approx([row[key] for row in slow], abs=1e-9), key
        assert percentile_interval(values, level=0.9) == pytest.approx(
            np.quantile([row[key] for row in slow], [0.05, 0.95])
        )


def test_every_draw_of_a_condition_is_compute_on_its_copied_images():
    images = sorted(typical(size=256), key=lambda image: image.path)
    drawn = fed(images, threshold=2.0).resampled(resamples=6, seed=1)
    weights = Resamples(fed(images)._histograms.sketches, resamples=6, seed=1).weights
    for place, row in enumerate(weights):
        copies = [image for image, n in zip(images, row, strict=True) for _ in range(n)]
        expected = fed(copies, threshold=2.0).compute()
        assert {key: values[place] for key, values in drawn.items()} == pytest.approx(expected, abs=2e-3)


def test_order_changes_no_digit_and_the_seed_does():
    images = [*typical(8), *images_of("twelve_orders", count=5)]
    first, last = (
        fed(each, max_bins=2048).resampled(resamples=20, seed=3) for each in (images, images[::-1])
    )
    assert all(np.array_equal(first[key], last[key], equal_nan=True) for key in first)
    other = fed(images, max_bins=2048).resampled(resamples=20, seed=4)
    assert not np.array_equal(first["pixel/auroc"], other["pixel/auroc"])


def test_image_metrics_and_pixel_metrics_draw_the_same_images():
    images = typical(24, size=32)
    truth = [bool(image.regions) for image in images]
    reported = [bool((image.heatmap > 3).any()) for image in images]
    drawn = image_resampled(
        scores=np.random.default_rng(0).random(24),
        labels=truth,
        subsets=[image.subset for image in images],
        groups=[image.group for image in images],
        conditions=[image.condition for image in images],
        paths=[image.path for image in images],
        reported=reported,
        threshold=None,
        resamples=30,
        seed=2,
    )
    sketches = fed(images)._histograms.sketches
    weights = Resamples(sketches, resamples=30, seed=2).weights.astype(int)
    order = np.argsort([image.path for image in images])
    y, told = np.array(truth)[order], np.array(reported)[order]
    f1 = 2 * weights @ (y & told) / (weights @ y + weights @ told)
    assert drawn["image/class_f1"] == pytest.approx(f1)
    assert len(set(drawn["image/class_f1"])) > 1


def test_zones_and_thresholds_are_exact_in_every_draw():
    images = sorted(typical(8, size=64), key=lambda image: image.path)
    zones, metrics = np.array([[2.0, 9.0]]), fed([])
    metrics.zone_thresholds = zones
    metrics.reset()
    for image in images:
        metrics.update(**image._asdict())
    drawn = metrics.resampled(resamples=5, seed=0)
    left = fed([image._replace(heatmap=np.where(np.arange(64) < 32, image.heatmap, -99)) for image in images],
               threshold=2.0).resampled(resamples=5, seed=0)  # fmt: skip
    assert (max(image.heatmap.max() for image in images)) < 9
    assert drawn["zones/pixel/segf1"] == pytest.approx(left["pixel/segf1"])
    assert drawn["a/zones/pixel/iou"] == pytest.approx(left["a/pixel/iou"])


def test_without_regions_or_images_every_draw_is_nan_and_warns_of_nothing(recwarn):
    for images in ([], [image for image in images_of("random") if not image.regions]):
        drawn = fed(images, threshold=0.5).resampled(resamples=4, seed=0)
        assert all(np.isnan(values).all() and values.shape == (4,) for values in drawn.values())
    assert not recwarn.list


def test_resamples_are_worked_on_in_pieces_with_the_same_result(monkeypatch):
    metrics = fed(typical(8, size=64))
    whole = metrics.resampled(resamples=20, seed=0)
    monkeypatch.setattr(pixel_bootstrap, "_CHUNK_VALUES", 7 * 2048)
    assert all(
        values == pytest.approx(whole[key]) for key, values in metrics.resampled(resamples=20, seed=0).items()
    )


def test_a_sketch_is_small_and_counts_every_pixel():
    metrics = fed(typical(4, size=512))
    for sketch in metrics._histograms.sketches:
        assert 200 < len(sketch.found) <= SEGMENTS
        assert sketch.pixels.sum() == 512**2
        assert sum(array.nbytes for array in (sketch.ends, sketch.pixels, sketch.found)) < 10_000
