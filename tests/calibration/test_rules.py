import numpy as np
import pytest

from adframe.calibration.rules import (
    BestF1,
    FixedFpr,
    MeanStd,
    Quantile,
    Rule,
    Sample,
    images_needed,
    promise_sentence,
)
from adframe.errors import AdframeError

SCORES = np.random.default_rng(0).normal(size=200)
RULES = [Quantile(q=0.9), MeanStd(deviations=2), FixedFpr(fpr=0.05), BestF1()]


def threshold_of(rule: Rule, normal: np.ndarray, anomalous: np.ndarray | None = None) -> float:
    return rule.choose(Sample.of(normal, np.zeros(0) if anomalous is None else anomalous))


@pytest.mark.parametrize("q", [0.05, 0.5, 0.9, 0.995])
def test_the_quantile_is_a_score_that_a_share_q_does_not_exceed(q: float) -> None:
    for n in (1, 2, 3, 20, 200):
        threshold = threshold_of(Quantile(q=q), SCORES[:n])
        assert threshold == np.quantile(SCORES[:n], q, method="higher"), n
        assert (SCORES[:n] <= threshold).mean() >= q, n


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.statistic())
def test_counted_scores_and_single_ones_give_the_same_threshold(rule: Rule) -> None:
    rng = np.random.default_rng(1)
    normal, anomalous = rng.normal(size=500).round(1), (rng.normal(size=300) + 1).round(1)
    values = np.unique(np.concatenate([normal, anomalous]))
    counts = [(kind == values[:, None]).sum(1) for kind in (normal, anomalous)]
    assert rule.choose(Sample(values, *counts)) == threshold_of(rule, normal, anomalous)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.statistic())
def test_order_does_not_matter_and_the_scale_carries_over(rule: Rule) -> None:
    threshold = threshold_of(rule, SCORES, SCORES + 1)
    assert threshold_of(rule, SCORES[::-1], SCORES + 1) == threshold
    moved = threshold_of(rule, SCORES * 1000 + 7, (SCORES + 1) * 1000 + 7)
    assert moved == pytest.approx(threshold * 1000 + 7)


@pytest.mark.parametrize("rule", RULES[:3], ids=lambda rule: rule.statistic())
def test_most_rules_look_at_normal_scores_only(rule: Rule) -> None:
    assert threshold_of(rule, SCORES, SCORES[:50] + 5) == threshold_of(rule, SCORES)
    assert not rule.uses_anomalous


def test_mean_and_deviations_far_from_zero() -> None:
    expected = SCORES.mean() + 2 * SCORES.std()
    assert threshold_of(MeanStd(deviations=2), SCORES) == pytest.approx(expected)
    assert threshold_of(MeanStd(deviations=2), SCORES + 1e8) - 1e8 == pytest.approx(expected, abs=1e-6)


def test_too_few_images_for_the_promise_take_the_largest() -> None:
    assert threshold_of(FixedFpr(fpr=0.001), SCORES) == SCORES.max()


def f1_at(threshold: float, normal: np.ndarray, anomalous: np.ndarray) -> float:
    found, alarms = (anomalous > threshold).sum(), (normal > threshold).sum()
    return 2 * found / (found + alarms + len(anomalous))


@pytest.mark.parametrize("shift", [0.0, 1.0, 9.0])
def test_no_threshold_has_a_better_f1(shift: float) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        normal, anomalous = rng.normal(size=30).round(1), (rng.normal(size=20) + shift).round(1)
        threshold = threshold_of(BestF1(), normal, anomalous)
        scores = np.concatenate([normal, anomalous])  # rounded to 0.1: between two of them nothing changes
        tried = [f1_at(t, normal, anomalous) for t in np.arange(scores.min() - 0.05, scores.max() + 0.1, 0.1)]
        assert f1_at(threshold, normal, anomalous) == pytest.approx(max(tried)), seed


def test_the_best_f1_needs_anomalous_images() -> None:
    with pytest.raises(AdframeError, match="needs anomalous validation images and there are none"):
        threshold_of(BestF1(), SCORES)
    assert threshold_of(BestF1(), np.array([0.0, 1.0]), np.array([3.0])) == 2.0


def test_neighbouring_numbers_are_told_apart() -> None:
    high = np.nextafter(1.0, 2)
    assert 1.0 <= threshold_of(BestF1(), np.array([1.0]), np.array([high])) < high


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Quantile(q=1), "q=1 must lie between 0 and 1"),
        (lambda: Quantile(q=99.5), "q=99.5"),
        (lambda: FixedFpr(fpr=0), "fpr=0"),
        (lambda: MeanStd(deviations=-1), "deviations=-1 must be a finite number, 0 or more"),
    ],
)
def test_impossible_numbers_are_refused(make, word: str) -> None:
    with pytest.raises(AdframeError, match=word):
        make()


@pytest.mark.parametrize(
    ("rate", "count"), [(0.01, 99), (0.005, 199), (0.05, 19), (0.2, 4), (0.3, 3), (0.9, 1)]
)
def test_the_number_of_images_that_a_rate_needs_is_exact(rate: float, count: int) -> None:
    assert images_needed(rate) == count
    assert FixedFpr(fpr=rate).expected_rate(count) <= rate + 1e-12
    if count > 1:
        assert FixedFpr(fpr=rate).expected_rate(count - 1) > rate


@pytest.mark.parametrize(
    "rule", [Quantile(q=0.995), Quantile(q=0.8), FixedFpr(fpr=0.05)], ids=lambda rule: rule.statistic()
)
@pytest.mark.parametrize("n", [1, 4, 19, 199, 250])
def test_the_expected_rate_is_that_of_the_order_statistic(rule: Quantile | FixedFpr, n: int) -> None:
    scores = np.arange(float(n))
    above = int((scores > threshold_of(rule, scores)).sum())
    assert rule.expected_rate(n) == pytest.approx((above + 1) / (n + 1))
    if isinstance(rule, Quantile):
        assert (
            rule.expected_rate(n) <= max(rule.promised_rate + (2 * rule.q - 1) / (n + 1), 1 / (n + 1)) + 1e-12
        )


def test_the_sentence_on_a_quantile_says_where_it_lets_more_through() -> None:
    exact = promise_sentence(0.005, images=199, expected=Quantile(q=0.995).expected_rate(199))
    assert exact == "A false-positive rate of 0.5% needs 199 normal validation images, and there are 199."
    more = promise_sentence(0.005, images=250, expected=Quantile(q=0.995).expected_rate(250))
    assert "there are 250, but a quantile of so few scores lets through up to 0.797% on average" in more
    assert "there is only 1:" in promise_sentence(0.2, images=1, expected=0.5)
