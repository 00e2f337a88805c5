import io

import numpy as np
import pytest
import torch

from adframe.calibration.threshold import BestF1, Calibrator, FixedFpr, MeanStd, Quantile
from adframe.contracts import AdframeError

SCORES = np.random.default_rng(0).normal(size=200)
MAPS = np.linspace(-1, 3, 101)


def fitted(scores: np.ndarray = SCORES, *, q: float = 0.9, labels: np.ndarray | None = None) -> Quantile:
    calibrator = Quantile(q=q)
    calibrator.fit(scores, np.zeros(len(scores)) if labels is None else labels, split="val", maps=MAPS)
    return calibrator


@pytest.mark.parametrize("q", [0.05, 0.5, 0.9, 0.995])
@pytest.mark.parametrize("n", [1, 2, 3, 20, 200])
def test_the_threshold_is_a_score_that_a_share_q_does_not_exceed(q: float, n: int) -> None:
    scores = SCORES[:n]
    threshold = fitted(scores, q=q).fitted.threshold
    assert threshold in scores
    assert (scores <= threshold).mean() >= q
    lower = scores[scores < threshold]
    assert len(lower) <= np.ceil(q * (n - 1))  # the next score down would let too many through


def test_no_more_than_one_minus_q_of_the_normals_are_accused() -> None:
    calibrator = fitted(q=0.9)
    assert sum(calibrator.decide(score).anomalous for score in SCORES) <= 20
    assert not calibrator.decide(calibrator.fitted.threshold).anomalous
    assert calibrator.decide(np.nextafter(calibrator.fitted.threshold, np.inf)).anomalous


def test_order_does_not_matter_and_the_scale_carries_over() -> None:
    threshold = fitted().fitted.threshold
    assert fitted(SCORES[::-1]).fitted.threshold == threshold
    assert fitted(SCORES * 1000 + 7).fitted.threshold == pytest.approx(threshold * 1000 + 7)


def test_only_normal_images_count() -> None:
    scores = np.concatenate([SCORES, [100.0, np.nan, 500.0]])
    labels = np.concatenate([np.zeros(200), [1, 1, -1]])
    assert fitted(scores, labels=labels).fitted == fitted().fitted


def test_it_says_what_it_was_fitted_on() -> None:
    fit = fitted(q=0.995).fitted
    assert (fit.statistic, fit.split, fit.n) == ("quantile 0.995", "val", 200)
    assert (fit.map_median, fit.map_max) == (1.0, 3.0)
    assert fit.pixel_threshold == pytest.approx(MAPS.mean() + 3 * MAPS.std())
    assert fit.fpr_floor == 1 / 201
    facts = fitted(SCORES[:9]).facts()
    assert facts["calibration/n"] == 9
    assert facts["calibration/fpr_floor"] == 0.1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(AdframeError, match="validation scores hold NaN or infinity"):
        fitted(np.array([1.0, bad, 2.0]))


@pytest.mark.parametrize("labels", [[], [1, 1], [-1]])
def test_without_a_normal_image_nothing_is_fitted(labels: list[int]) -> None:
    calibrator = Quantile()
    with pytest.raises(AdframeError, match="no normal validation image"):
        calibrator.fit(np.ones(len(labels)), np.array(labels), split="val", maps=np.zeros(0))
    with pytest.raises(RuntimeError, match="no threshold has been fitted"):
        calibrator.decide(1.0)


def test_it_survives_a_file_that_may_hold_no_code() -> None:
    buffer, fresh = io.BytesIO(), Quantile(q=0.5)
    torch.save(fitted().state_dict(), buffer)
    buffer.seek(0)
    fresh.load_state_dict(torch.load(buffer, weights_only=True), strict=True)
    assert fresh.fitted == fitted().fitted
    assert fresh.decide(1.0) == fitted().decide(1.0)


def test_one_that_was_never_fitted_stays_so() -> None:
    fresh = fitted()
    fresh.load_state_dict(Quantile().state_dict())
    with pytest.raises(RuntimeError, match="no threshold"):
        _ = fresh.fitted


@pytest.mark.parametrize("q", [0, 1, -0.5, 99.5])
def test_an_impossible_q_is_refused(q: float) -> None:
    with pytest.raises(AdframeError, match=rf"calibration\.q={q} must lie between 0 and 1"):
        Quantile(q=q)


def test_the_rule_is_the_subclasss() -> None:
    with pytest.raises(NotImplementedError):
        Calibrator().fit(SCORES, np.zeros(200), split="val", maps=MAPS)


def threshold_of(calibrator: Calibrator, normal: np.ndarray, anomalous: np.ndarray | None = None) -> float:
    anomalous = np.zeros(0) if anomalous is None else anomalous
    labels = np.repeat([0, 1], [len(normal), len(anomalous)])
    calibrator.fit(np.concatenate([normal, anomalous]), labels, split="val", maps=MAPS)
    return calibrator.fitted.threshold


def test_mean_and_deviations() -> None:
    assert threshold_of(MeanStd(deviations=2), SCORES) == pytest.approx(SCORES.mean() + 2 * SCORES.std())
    with pytest.raises(AdframeError, match=r"calibration\.deviations=-1 must be 0 or more"):
        MeanStd(deviations=-1)


@pytest.mark.parametrize(("n", "fpr"), [(9, 0.1), (19, 0.1), (50, 0.05), (99, 0.01)])
def test_the_promised_rate_holds_for_the_next_image(n: int, fpr: float) -> None:
    draws = np.random.default_rng(1).random((4000, n + 1))  # each row: n to fit on, then a new normal image
    rates = [draw[-1] > threshold_of(FixedFpr(fpr=fpr), draw[:-1]) for draw in draws]
    assert np.mean(rates) <= fpr + 3 * np.sqrt(fpr * (1 - fpr) / 4000)
    assert np.mean(rates) >= fpr - 1 / (n + 1) - 3 * np.sqrt(fpr * (1 - fpr) / 4000)


def test_too_few_images_for_the_promise_take_the_largest() -> None:
    assert threshold_of(FixedFpr(fpr=0.001), SCORES) == SCORES.max()


def f1_at(threshold: float, normal: np.ndarray, anomalous: np.ndarray) -> float:
    found, alarms = (anomalous > threshold).sum(), (normal > threshold).sum()
    return 2 * found / (found + alarms + len(anomalous))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shift", [0.0, 1.0, 9.0])
def test_no_threshold_has_a_better_f1(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    normal, anomalous = rng.normal(size=30).round(1), (rng.normal(size=20) + shift).round(1)
    threshold = threshold_of(BestF1(), normal, anomalous)
    tried = [f1_at(t, normal, anomalous) for t in np.linspace(-9, 19, 5601)]
    assert f1_at(threshold, normal, anomalous) == pytest.approx(max(tried))


def test_the_best_f1_needs_anomalous_images() -> None:
    with pytest.raises(AdframeError, match="needs anomalous validation images and there are none"):
        threshold_of(BestF1(), SCORES)
    calibrator = BestF1()
    assert threshold_of(calibrator, np.array([0.0, 1.0]), np.array([3.0])) == 2.0
    assert (calibrator.fitted.n, calibrator.fitted.anomalous) == (2, 1)


def test_neighbouring_numbers_are_told_apart() -> None:
    low = 1.0
    high = np.nextafter(low, 2)
    threshold = threshold_of(BestF1(), np.array([low]), np.array([high]))
    assert low <= threshold < high
