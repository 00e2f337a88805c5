"""Mistakes that evaluations are known to make, each with a case in which it would show."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from adframe.metrics.image import image_metrics
from tests.metrics import maps, reference
from tests.metrics.maps import DRAWS, fed, images_of
from tests.metrics.reference import Image


def image_auroc(scores, labels):
    subsets = ["anomaly" if label else "good" for label in labels]
    return image_metrics(scores=scores, labels=labels, subsets=subsets, threshold=None)["image/auroc"]


def test_scores_are_not_clamped_to_one():
    images = images_of("twelve_orders")
    clamped = [image._replace(heatmap=image.heatmap.clip(0, 1)) for image in images]
    ours, expected = fed(images).compute()["pixel/auroc"], reference.all_metrics(images)["pixel/auroc"]
    assert ours == pytest.approx(expected, abs=2e-3)
    assert abs(ours - fed(clamped).compute()["pixel/auroc"]) > 0.01
    assert image_auroc([2.0, 3.0, 5.0], [0, 1, 1]) == 1.0  # all the same when clamped


def test_no_sigmoid_is_put_over_scores_of_single_batches():
    # float32 sigmoids of 17 and more are all 1: such an AUROC is 0.5
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.normal(25, 2, 200), rng.normal(30, 2, 200)]).astype(np.float32)
    labels = [0] * 200 + [1] * 200
    assert image_auroc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))
    assert image_auroc(scores, labels) == pytest.approx(0.96, abs=0.02)
    pixels = [
        Image(np.full((2, 2), score, np.float32), images_of("unit")[1].regions[:1] if label else [],
              *(("scratch", "anomaly") if label else ("good", "good")))
        for score, label in zip(scores, labels, strict=True)
    ]  # fmt: skip
    assert fed(pixels).compute()["pixel/auroc"] > 0.75  # normal pixels of anomalous images score high, too


@pytest.mark.parametrize("draw", ["random", "twelve_orders", "tied"])
def test_order_and_processes_change_no_digit(draw):
    images = images_of(draw, count=9)
    mixed = [images[i] for i in np.random.default_rng(0).permutation(9)]
    assert fed(mixed).compute() == fed(images).compute()


def test_masks_are_not_shrunk_to_the_heatmap():
    # a thin defect: where a mask is resized with its nearest pixel, it all but goes
    native = maps.images_of("random", count=6)
    halved = [_shrunk(image) for image in native]
    ours, exact = fed(native).compute(), reference.all_metrics(native)
    assert ours["pixel/aupro_0.3"] == pytest.approx(exact["pixel/aupro_0.3"], abs=2e-3)
    assert abs(fed(halved).compute()["pixel/aupro_0.3"] - ours["pixel/aupro_0.3"]) > 0.02


def _shrunk(image):
    mask = np.any([*reference.masks_of(image), np.zeros(image.heatmap.shape, bool)], axis=0)
    small = cv2.resize(mask.astype(np.uint8), (5, 5), interpolation=cv2.INTER_NEAREST)
    heatmap = cv2.resize(image.heatmap, (5, 5), interpolation=cv2.INTER_AREA)
    return image._replace(heatmap=heatmap, regions=maps.components(small))


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("lift", [0.0, 1.0])
def test_no_area_exceeds_one(draw, lift):
    limits = (0.001, 0.01, 0.05, 0.3, 0.7, 1.0)
    images = images_of(draw, count=8)
    if lift:  # perfect maps: rounding alone gets above one
        ranks = [image.heatmap.argsort(axis=None).reshape(10, 10) / 7 for image in images]
        images = [
            i._replace(heatmap=rank + sum(reference.masks_of(i), np.zeros((10, 10))) * 99)
            for i, rank in zip(images, ranks, strict=True)
        ]
    ours = fed(images, limits=limits)
    drawn = ours.resampled(resamples=20, seed=0)
    assert max(ours.compute().values()) <= 1.0
    assert max(float(values.max()) for values in drawn.values()) <= 1.0


def test_normal_pixels_of_good_images_count_as_false_positives():
    images = images_of("random", count=6)
    without = [image for image in images if image.regions]
    noisy = [*without, *(image._replace(heatmap=image.heatmap + 50) for image in images if not image.regions)]
    for name in ("pixel/auroc", "pixel/aupro_0.3", "pixel/aupro_0.05"):
        ours = fed(noisy).compute()[name]
        assert ours == pytest.approx(reference.all_metrics(noisy)[name], abs=1e-3)
        assert ours < 0.7 * fed(without).compute()[name]
