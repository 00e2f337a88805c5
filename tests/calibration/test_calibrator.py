import io

import numpy as np
import pytest
import torch

from adframe.calibration.calibrator import Calibrator
from adframe.calibration.rules import BestF1, MeanStd, Quantile, Sample
from adframe.errors import AdframeError

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=200)
PEAKS = RNG.normal(size=(200, 2, 2)) + np.array([[0, 10], [0, 0]])
MAPS = np.linspace(-1, 3, 101)
MAP = np.zeros((4, 4))


def fitted(labels: np.ndarray | None = None, *, scores: np.ndarray = SCORES, **settings) -> Calibrator:
    rules = {"image": Quantile(q=0.9), "pixel": MeanStd(deviations=3)}
    calibrator = Calibrator(**(rules | settings))
    pixels = {
        (row, column): Sample.of(MAPS + 10 * row, np.zeros(0)) for row in range(2) for column in range(2)
    }
    calibrator.fit(
        scores,
        np.zeros(len(scores)) if labels is None else labels,
        split="val",
        pixels=pixels,
        whole=Sample.of(MAPS, np.zeros(0)),
        peaks=PEAKS[: len(scores)],
    )
    return calibrator


def test_it_says_what_it_was_fitted_on() -> None:
    fit = fitted(image=Quantile(q=0.995)).fitted
    assert (fit.statistic, fit.split, fit.n, fit.anomalous) == ("quantile 0.995", "val", 200, 0)
    assert (fit.map_median, fit.map_max, fit.pixels) == (1.0, 3.0, 101)
    assert (fit.pixel_threshold, fit.pixel_statistic) == (
        pytest.approx(MAPS.mean() + 3 * MAPS.std()),
        "mean + 3 std",
    )
    assert fit.fpr_floor == 1 / 201
    assert fitted(scores=SCORES[:9]).facts()["calibration/fpr_floor"] == 0.1


def test_only_labelled_images_count() -> None:
    scores, labels = np.append(SCORES[:199], 500.0), np.append(np.zeros(199), -1)
    assert fitted(labels, scores=scores).fitted.threshold == fitted(scores=SCORES[:199]).fitted.threshold


def test_anomalous_images_are_counted_where_something_looks_at_them() -> None:
    labels = np.repeat([0, 1], 100)
    assert fitted(labels).fitted.anomalous == 0
    assert fitted(labels, image=BestF1()).fitted.anomalous == 100
    assert fitted(labels, probability="platt").fitted.anomalous == 100


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(AdframeError, match="validation scores hold NaN or infinity"):
        fitted(scores=np.array([1.0, bad, 2.0]))


@pytest.mark.parametrize("labels", [[], [1, 1], [-1]])
def test_without_a_normal_image_nothing_is_fitted(labels: list[int]) -> None:
    with pytest.raises(AdframeError, match="no normal validation image"):
        fitted(np.array(labels), scores=np.ones(len(labels)))
    with pytest.raises(RuntimeError, match="no threshold has been fitted"):
        Calibrator(image=Quantile(), pixel=Quantile()).decide(1.0, heatmap=np.zeros((2, 2)))


@pytest.mark.parametrize("settings", [{}, {"zones": 2, "normalisation": "ecdf", "probability": "isotonic"}])
def test_it_survives_a_file_that_may_hold_no_code(settings: dict) -> None:
    labels, buffer = np.repeat([0, 1], 100), io.BytesIO()
    torch.save(fitted(labels, **settings).state_dict(), buffer)
    buffer.seek(0)
    fresh = Calibrator(image=Quantile(), pixel=Quantile())
    fresh.load_state_dict(torch.load(buffer, weights_only=True), strict=True)
    assert fresh.fitted == fitted(labels, **settings).fitted
    assert fresh.decide(1.0, heatmap=PEAKS[0]) == fitted(labels, **settings).decide(1.0, heatmap=PEAKS[0])


def test_one_that_was_never_fitted_stays_so() -> None:
    fresh = fitted()
    fresh.load_state_dict(Calibrator(image=Quantile(), pixel=Quantile()).state_dict())
    with pytest.raises(RuntimeError, match="no threshold"):
        _ = fresh.fitted


def test_a_decision_is_strict_and_carries_its_scales() -> None:
    calibrator = fitted(np.repeat([0, 1], 100), probability="platt")
    at = calibrator.decide(calibrator.fitted.threshold, heatmap=MAP)
    above = calibrator.decide(np.nextafter(calibrator.fitted.threshold, np.inf), heatmap=MAP)
    assert (at.anomalous, above.anomalous) == (False, True)
    assert at.normalised == (at.threshold - SCORES[:100].mean()) / SCORES[:100].std()
    assert 0 < at.probability < 1


def test_zones_have_thresholds_of_their_own_and_raise_no_more_alarms() -> None:
    calibrator = fitted(zones=2)
    table = np.array(calibrator.fitted.zone_thresholds)
    assert table[0, 1] == pytest.approx(table[0, 0] + 10, abs=1)
    alarms = [calibrator.decide(0.0, heatmap=peaks).by_zones for peaks in PEAKS]
    assert np.mean(alarms) <= 0.1  # the image rule's quantile, for all four zones together
    assert calibrator.decide(0.0, heatmap=PEAKS[0] + [[6, 0], [0, 0]]).by_zones  # 6 is usual at the top right


def test_few_images_and_many_zones_raise_no_more_alarms_on_new_images() -> None:
    rng, alarms = np.random.default_rng(3), []
    for _ in range(60):
        known, new = rng.normal(size=(2, 12, 4, 4))
        calibrator = Calibrator(image=Quantile(q=0.9), pixel=Quantile(), zones=4)
        pixel = Sample.of(MAPS, np.zeros(0))
        calibrator.fit(SCORES[:12], np.zeros(12), split="val", pixels={}, whole=pixel, peaks=known)
        alarms += [calibrator.decide(0.0, heatmap=heatmap).by_zones for heatmap in new]
    assert np.mean(alarms) < 0.2  # a quantile of 12 images promises 1 in 13 or worse; in-sample it is 0.5


def test_a_map_is_reported_where_a_pixel_exceeds_the_pixel_threshold() -> None:
    calibrator = fitted()
    above = np.where(np.eye(4) > 0, np.nextafter(calibrator.fitted.pixel_threshold, np.inf), 0.0)
    assert calibrator.decide(0.0, heatmap=above).reported
    assert not calibrator.decide(0.0, heatmap=MAP + calibrator.fitted.pixel_threshold).reported


def test_masks_follow_the_zones() -> None:
    scores = np.array([[5.0, 5.0], [5.0, 5.0], [5.0, 5.0], [5.0, 16.0]])
    assert fitted(zones=2).mask(scores).tolist() == [
        [True, True],
        [True, True],
        [False, False],
        [False, True],
    ]
    assert fitted().mask(scores).all()


def test_a_zone_without_defects_takes_the_threshold_of_the_whole_for_f1() -> None:
    calibrator = Calibrator(image=Quantile(q=0.9), pixel=BestF1(), zones=2)
    places = [(0, 0), (0, 1), (1, 0), (1, 1)]
    pixels = {place: Sample.of(np.array([0.0, 1.0]), np.zeros(0)) for place in places}
    pixels[0, 0] = Sample.of(np.array([0.0, 1.0]), np.array([9.0]))
    whole = Sample.of(np.array([0.0, 1.0]), np.array([7.0, 9.0]))
    calibrator.fit(SCORES, np.zeros(200), split="val", pixels=pixels, whole=whole, peaks=PEAKS)
    assert calibrator.fitted.zone_pixel_thresholds == ((5.0, 4.0), (4.0, 4.0))


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"zones": 0}, "zones=0"), ({"normalisation": "x"}, "x"), ({"probability": "x"}, "x")],
)
def test_impossible_settings_are_refused_before_any_work(settings: dict, word: str) -> None:
    with pytest.raises(AdframeError, match=word):
        Calibrator(image=Quantile(), pixel=Quantile(), **settings)


def test_a_mask_is_post_processed_as_the_metrics_count_it() -> None:
    from adframe.contracts import Region
    from adframe.metrics.pixel import PixelMetrics
    from adframe.ops.mask_postprocessing import MaskPostprocessing

    masks = MaskPostprocessing(hysteresis=0.5, fill=True)
    calibrator = fitted(postprocess=masks)
    threshold = calibrator.fitted.pixel_threshold
    heatmap = np.full((8, 8), threshold * 0.7, np.float32)
    heatmap[:, :2] = 0
    heatmap[4, 5] = threshold * 1.5
    found = calibrator.mask(heatmap)
    assert found.sum() == 48  # all that is connected to the one pixel above the threshold
    metrics = PixelMetrics(threshold=threshold)
    metrics.masks = masks
    metrics.reset()
    region = Region(top=0, left=2, mask=np.ones((8, 3), bool), saturation=24)
    metrics.update(heatmap=heatmap, regions=[region], defect="x", subset="anomaly", path="a.png")
    assert metrics.compute()["pixel/iou"] == pytest.approx(24 / 48)


def test_a_quantile_times_a_factor_promises_no_rate() -> None:
    sample = Sample.of(np.arange(1.0, 102.0), np.zeros(0))
    rule = Quantile(q=0.95, factor=1.421)
    assert rule.choose(sample) == pytest.approx(1.421 * 96)
    assert (rule.statistic(), rule.promised_rate) == ("quantile 0.95 x 1.421", None)
    assert "calibration/promised_fpr" not in fitted(image=Quantile(q=0.5, factor=2)).facts()
    with pytest.raises(AdframeError, match="positive scores"):
        rule.choose(Sample.of(-np.arange(1.0, 102.0), np.zeros(0)))
    with pytest.raises(AdframeError, match="factor=0"):
        Quantile(factor=0)
