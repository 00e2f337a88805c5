"""Pixel metrics against the slow definitions, and the corners of those definitions."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from adframe.contracts import Region
from adframe.errors import AdframeError
from adframe.metrics.pixel import PixelMetrics
from adframe.metrics.pixel_measures import pixel_f1_max
from adframe.ops.regions import components
from tests.metrics import reference
from tests.metrics.maps import DRAWS, EXACT, fed, images_of, loco
from tests.metrics.reference import Image


@pytest.mark.parametrize("draw", DRAWS)
def test_every_temper_of_map_agrees_with_the_definition(draw):
    images = images_of(draw)
    metrics, expected = fed(images), reference.all_metrics(images)
    ours, bound = metrics.compute(), metrics.bound()
    assert ours.keys() == expected.keys()
    for name, slack in bound.items():
        assert ours[name] == pytest.approx(expected[name], abs=slack + 1e-10)
        assert slack < 2e-3


@pytest.mark.parametrize("draw", EXACT)
def test_few_distinct_scores_are_exact_in_all_metrics(draw):
    metrics = fed(images_of(draw))
    assert metrics.compute() == pytest.approx(reference.all_metrics(images_of(draw)), abs=1e-10)
    assert set(metrics.bound().values()) == {0.0}


def test_any_limit():
    limits = (0.01, 0.1, 1.0)
    images = images_of("tied", seed=3)
    ours, expected = fed(images, limits=limits).compute(), reference.all_metrics(images, limits=limits)
    assert ours == pytest.approx(expected, abs=1e-10)


def test_agrees_with_scikit_learn():
    images = images_of("tied", seed=1)
    scores = np.concatenate([image.heatmap.ravel() for image in images])
    truth = np.concatenate(
        [np.any([*reference.masks_of(i), i.heatmap > np.inf], axis=0).ravel() for i in images]
    )
    ours = fed(images).compute()
    assert ours["pixel/auroc"] == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    assert ours["pixel/ap"] == pytest.approx(average_precision_score(truth, scores), abs=1e-12)


def test_perfect_map_is_one():
    mask = images_of("random")[1].regions
    truth = np.any(reference.masks_of(Image(np.zeros((10, 10)), mask)), axis=0)
    ours = fed([Image(truth.astype(np.float32) * 3 - 9, mask)]).compute()
    assert ours == pytest.approx(dict.fromkeys(ours, 1.0), abs=1e-12)


def test_constant_map_is_half_the_limit():
    ours = fed(images_of("constant"), limits=(0.3, 0.05, 1.0)).compute()
    assert ours["pixel/auroc"] == pytest.approx(0.5, abs=1e-12)
    assert [ours[f"pixel/aupro_{limit}"] for limit in ("0.3", "0.05", "1")] == pytest.approx(
        [0.15, 0.025, 0.5]
    )


def test_without_a_region_every_metric_is_nan_and_costs_no_warning(recwarn):
    ours = fed([image for image in images_of("random") if not image.regions]).compute()
    assert np.isnan(list(ours.values())).all()
    assert not recwarn.list


def test_without_a_normal_pixel_every_metric_is_nan():
    everything = components(np.ones((4, 4), bool))
    ours = fed([Image(np.arange(16, dtype=np.float32).reshape(4, 4), everything)]).compute()
    assert np.isnan(list(ours.values())).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_no_metric_can_rank_are_refused_by_path(bad):
    heatmap = np.zeros((4, 4), np.float32)
    heatmap[2, 1] = bad
    metrics = PixelMetrics()
    with pytest.raises(AdframeError, match=r"good/000\.png"):
        metrics.update(heatmap=heatmap, regions=[], defect="good", subset="good", path="good/000.png")
    assert not metrics._histograms.groups  # nothing of the image was counted


def test_a_region_outside_the_frame_is_refused_by_path():
    region = Region(8, 0, np.ones((3, 3), bool), saturation=9.0)
    with pytest.raises(AdframeError, match=r"x\.png.*original frame"):
        fed([Image(np.zeros((10, 10), np.float32), [region])])


def test_a_limit_outside_zero_to_one_is_refused():
    with pytest.raises(AdframeError, match=r"\[1.5\]"):
        PixelMetrics(limits=(0.3, 1.5))


def test_tensors_of_any_float_and_arrays_count_alike():
    images = images_of("tied")
    tensors = [
        image._replace(heatmap=torch.tensor(image.heatmap).half().requires_grad_())  # type: ignore[arg-type]
        for image in images
    ]
    assert fed(tensors).compute() == fed(images).compute()


def test_loco_subsets_share_the_good_images_and_their_mean_is_the_headline():
    images = loco()
    ours = fed(images, saturated=True).compute()
    for subset in ("logical", "structural"):
        part = [image for image in images if image.subset in ("good", subset)]
        for name, value in reference.all_metrics(part, overlap="auspro").items():
            assert ours[f"{subset}/{name}"] == pytest.approx(value, abs=1e-10)
    halves = [ours[f"{subset}/pixel/auspro_0.05"] for subset in ("logical", "structural")]
    assert ours["pixel/auspro_0.05"] == pytest.approx(np.mean(halves), abs=1e-12)


def test_plain_auroc_of_loco_pools_all_images_and_subsets_can_be_left_out():
    ours = fed(loco(), saturated=True, subsets=False).compute()
    assert ours["pixel/auroc"] == pytest.approx(reference.all_metrics(loco())["pixel/auroc"], abs=1e-12)
    assert not [name for name in ours if not name.startswith("pixel/")]


def test_per_defect_counts_good_images_and_that_defect_only():
    images = images_of("tied", count=8)
    table = fed(images).per_defect()
    assert set(table) == {"scratch", "dent"}
    for defect, ours in table.items():
        part = [image for image in images if image.defect in ("good", defect)]
        assert ours == pytest.approx(reference.all_metrics(part), abs=1e-10)


@pytest.mark.parametrize("step", [0.0, 1e-12, -1e-12])
def test_segf1_is_exact_and_strict_at_a_score_whatever_the_bins(step):
    images = images_of("unit", count=8)
    threshold = float(images[3].heatmap[3, 3]) + step
    truth = np.stack([np.any([*reference.masks_of(i), i.heatmap > 9], axis=0) for i in images])
    above = np.stack([image.heatmap.astype(float) > threshold for image in images])
    ours = fed(images, threshold=threshold, max_bins=512).compute()
    assert ours["pixel/segf1"] == 2 * np.sum(truth & above) / (truth.sum() + above.sum())
    assert ours["pixel/iou"] == np.sum(truth & above) / np.sum(truth | above)


def test_a_condition_has_its_own_good_images_and_all_its_subsets():
    images = [image._replace(condition="dark") for image in loco()]
    images += [image._replace(condition="bright", path="b") for image in loco(1)] + loco(2)
    ours = fed(images).compute()
    for condition in ("dark", "bright"):
        part = [image for image in images if image.condition == condition]
        for name, value in reference.all_metrics(part).items():
            assert ours[f"{condition}/{name}"] == pytest.approx(value, abs=1e-10)
    assert {name.split("/")[0] for name in ours} == {"pixel", "logical", "structural", "dark", "bright"}
    assert fed(images).bound().keys() <= ours.keys()
    assert not [name for name in fed(images, subsets=False).compute() if "dark" in name]


def test_conditions_change_nothing_for_all_images_the_subsets_and_the_defects():
    lit = [image._replace(condition="ab"[i % 2]) for i, image in enumerate(loco())]
    plain, ours = fed(loco(), saturated=True), fed(lit, saturated=True)
    assert plain.compute().items() <= ours.compute().items()
    assert plain.per_defect() == ours.per_defect()


def test_every_zone_is_held_against_its_own_threshold():
    images = images_of("unit", count=8)
    zones = np.array([[0.2, 0.5, 0.7], [float(images[1].heatmap[7, 1]), 0.9, -1.0]])
    metrics = PixelMetrics(threshold=0.5)
    metrics.zone_thresholds = zones
    metrics.reset()
    for image in images:
        metrics.update(**image._asdict())
    grown = zones[[0] * 5 + [1] * 5][:, [0] * 3 + [1] * 3 + [2] * 4]  # 10 rows in 2, 10 columns in 3
    truth = np.stack([np.any([*reference.masks_of(i), i.heatmap > 9], axis=0) for i in images])
    above = np.stack([image.heatmap.astype(float) > grown for image in images])
    ours = metrics.compute()
    assert ours["zones/pixel/segf1"] == 2 * np.sum(truth & above) / (truth.sum() + above.sum())
    assert ours["zones/pixel/iou"] == np.sum(truth & above) / np.sum(truth | above)
    assert ours["pixel/iou"] == fed(images, threshold=0.5).compute()["pixel/iou"] != ours["zones/pixel/iou"]


@pytest.mark.parametrize("wrong", [np.zeros(3), np.array([[0.0, np.nan]])])
def test_zone_thresholds_that_are_no_grid_of_numbers_are_refused(wrong):
    metrics = PixelMetrics()
    metrics.zone_thresholds = wrong
    with pytest.raises(AdframeError, match="rows, columns"):
        metrics.reset()


def test_the_threshold_of_the_best_f1_reaches_it():
    images = images_of("tied", seed=5)
    metrics = fed(images)
    best, threshold = pixel_f1_max(metrics._histograms.tally(metrics._histograms.groups))
    assert fed(images, threshold=threshold).compute()["pixel/segf1"] == best


def test_reset_forgets_everything():
    metrics = fed(images_of("random"))
    metrics.reset()
    for image in images_of("tied"):
        metrics.update(**image._asdict())
    assert metrics.compute() == fed(images_of("tied")).compute()


def test_a_threshold_set_before_reset_counts():
    metrics = PixelMetrics()
    metrics.threshold = 0.25
    metrics.reset()
    metrics.update(**images_of("tied")[1]._asdict())
    assert metrics.compute() == fed(images_of("tied")[1:2], threshold=0.25).compute()


def test_a_copy_goes_its_own_way():
    metrics = fed(images_of("random"))
    copy, before = metrics.clone(), metrics.compute()
    copy.update(**images_of("tied")[1]._asdict())
    assert copy.compute() != before
    assert pickle.loads(pickle.dumps(metrics)).compute() == before == metrics.compute()


def test_values_of_single_batches_are_refused():
    with pytest.raises(NotImplementedError, match="update"):
        PixelMetrics()(heatmap=np.zeros((2, 2), np.float32))
