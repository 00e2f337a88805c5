"""Tests between two runs against their definitions, slowly, and against known values."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from adframe.errors import AdframeError
from adframe.stats.significance import bootstrap_difference, delong, holm, wilcoxon


def draw(seed, *, n=70, gain=0.5):
    rng = np.random.default_rng(seed)
    labels = rng.random(n) < 0.4
    part = rng.normal(size=n)
    a, b = (np.round(part + rng.normal(size=n) + (1 + more) * labels, 1) for more in (0, gain))
    return a, b, labels


def slow_delong(a, b, labels):
    """The paper's equations, a pair at a time."""
    parts = []
    for scores in (a, b):
        wins = [[(x > y) + (x == y) / 2 for y in scores[~labels]] for x in scores[labels]]
        parts.append((np.mean(wins, axis=1), np.mean(wins, axis=0)))
    s10, s01 = (np.cov(np.stack([parts[0][side], parts[1][side]])) for side in (0, 1))
    covariance = s10 / labels.sum() + s01 / (~labels).sum()
    contrast = np.array([-1, 1])
    difference = contrast @ [parts[0][0].mean(), parts[1][0].mean()]
    z = difference / math.sqrt(contrast @ covariance @ contrast)
    return difference, 2 * stats.norm.sf(abs(z))


@pytest.mark.parametrize("seed", range(5))
def test_delong_by_midranks_is_delong_by_pairs(seed):
    a, b, labels = draw(seed)
    difference, p = delong(a, b, labels=labels)
    assert (difference, p) == pytest.approx(slow_delong(a, b, labels))
    assert difference == pytest.approx(roc_auc_score(labels, b) - roc_auc_score(labels, a))


def test_delong_reads_ranks_only_and_turns_with_the_runs():
    a, b, labels = draw(1)
    difference, p = delong(a, b, labels=labels)
    assert delong(b, a, labels=labels) == pytest.approx((-difference, p))
    assert delong(np.exp(3 * a) * 1e6, b - 1e3, labels=labels) == pytest.approx((difference, p))


def test_delong_keeps_its_level_where_there_is_no_difference():
    ps = [
        delong(*draw(seed, n=120, gain=0)[:2], labels=draw(seed, n=120, gain=0)[2])[1] for seed in range(400)
    ]
    assert 0.02 < np.mean(np.array(ps) < 0.05) < 0.085


def test_delong_says_nothing_where_it_has_nothing_to_go_by():
    labels, up = np.array([False, False, True, True]), np.arange(4.0)
    assert delong(up, 10 * up, labels=labels) == (0, 1)
    difference, p = delong(up[::-1], up, labels=labels)
    assert difference == 1
    assert math.isnan(p)
    assert math.isnan(delong(up[:3], up[:3], labels=labels[:3])[1])  # one anomalous image
    assert all(map(math.isnan, delong(up, up, labels=labels & False)))


def test_other_images_are_refused():
    with pytest.raises(AdframeError, match="3 scores and 4"):
        delong(np.arange(3), np.arange(4), labels=np.zeros(4, bool))


@pytest.mark.parametrize(
    ("metric", "official"), [("image/auroc", roc_auc_score), ("image/ap", average_precision_score)]
)
def test_the_difference_lies_in_its_interval_and_is_the_official_one(metric, official):
    a, b, labels = draw(2)
    got = bootstrap_difference(a, b, labels=labels, groups=[""] * 70, metric=metric, seed=0)
    assert got.value == pytest.approx(official(labels, b) - official(labels, a))
    assert got.low < got.value < got.high


def test_the_bootstrap_agrees_with_delong_on_many_images():
    a, b, labels = draw(3, n=600, gain=0.15)
    difference, p = delong(a, b, labels=labels)
    got = bootstrap_difference(a, b, labels=labels, groups=[""] * 600, resamples=4000, seed=0)
    spread = abs(difference) / stats.norm.isf(p / 2)
    assert got.high - got.low == pytest.approx(2 * 1.96 * spread, rel=0.1)
    assert got.p == pytest.approx(p, abs=0.03)


def test_pairing_counts():
    a, _, labels = draw(4)
    same = bootstrap_difference(a, a * 2, labels=labels, groups=[""] * 70, seed=0)
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_the_order_of_images_changes_nothing():
    a, b, labels = draw(5)
    groups, order = [f"{y}{i % 9}" for i, y in enumerate(labels)], np.random.default_rng(0).permutation(70)
    got = bootstrap_difference(a, b, labels=labels, groups=groups, seed=1)
    mixed = [groups[i] for i in order]
    assert bootstrap_difference(a[order], b[order], labels=labels[order], groups=mixed, seed=1) == got


@pytest.mark.parametrize("seed", range(3))
def test_wilcoxon_is_the_share_of_sign_flips_that_are_as_extreme(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.random(8), rng.random(8) + 0.2
    ranks, signs = stats.rankdata(abs(b - a)), np.sign(b - a)
    flips = np.array(list(itertools.product([-1, 1], repeat=8))) @ ranks
    assert wilcoxon(a, b) == pytest.approx(np.mean(abs(flips) >= abs(signs @ ranks) - 1e-9))


def test_wilcoxon_without_differences_or_pairs(recwarn):
    assert wilcoxon([0.5, 0.6], [0.5, 0.6]) == 1
    assert math.isnan(wilcoxon([math.nan], [0.5]))
    assert wilcoxon([0, 0, 0, 0, 0, math.nan, 0.3], [1, 2, 3, 4, 5, 1, 0.3]) == pytest.approx(2 / 2**5)
    assert not recwarn.list


def test_holm_on_a_textbook_case():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1, 1]
    assert holm([]) == []


def test_holm_does_not_count_what_was_not_tested():
    adjusted = holm([0.02, math.nan, 0.03])
    assert [adjusted[0], adjusted[2]] == pytest.approx([0.04, 0.04])
    assert math.isnan(adjusted[1])
