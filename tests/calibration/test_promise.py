"""The promised false-positive rate against the false alarms on fresh normal images, over many seeds.

Every seed draws its own validation images and one fresh normal image, so that the alarms of all seeds are
independent and their number is binomial: the test is exact. With 4000 seeds, a rate of 1.5 times the promise
is found with a probability above 0.99 for a promise of 5 % or more.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from adframe.calibration.rules import FixedFpr, Quantile, Sample, images_needed

SEEDS = 4000
LEVEL = 1e-3  # of one test; there are some dozens of them, and their draws are fixed
SCORES = {
    "normal": lambda rng, n: rng.normal(size=n),
    "heavy-tailed": lambda rng, n: rng.standard_cauchy(size=n),
    "tied": lambda rng, n: rng.poisson(3, size=n).astype(float),
    "skewed": lambda rng, n: rng.lognormal(sigma=2, size=n),
}


def alarms_of(rule: Quantile | FixedFpr, draw, *, images: int, seed: int) -> int:
    """The number of seeds whose fresh normal image lies above the threshold of its validation images."""
    rng, empty = np.random.default_rng(seed), np.zeros(0)
    found = 0
    for _ in range(SEEDS):
        scores = draw(rng, images + 1)
        found += scores[-1] > rule.choose(Sample.of(scores[:-1], empty))
    return int(found)


def p_above(alarms: int, rate: float) -> float:
    return float(stats.binomtest(alarms, SEEDS, rate, alternative="greater").pvalue)


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize(
    ("fpr", "images"), [(0.2, 4), (0.2, 16), (0.1, 9), (0.1, 50), (0.05, 19), (0.01, 120)]
)
def test_a_conformal_threshold_keeps_its_rate_with_enough_images(name: str, fpr: float, images: int) -> None:
    assert images >= images_needed(fpr)
    alarms = alarms_of(FixedFpr(fpr=fpr), SCORES[name], images=images, seed=images)
    assert p_above(alarms, fpr) > LEVEL, (alarms, fpr * SEEDS)


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize(
    "rule", [Quantile(q=0.8), Quantile(q=0.995), FixedFpr(fpr=0.01)], ids=lambda r: r.statistic()
)
@pytest.mark.parametrize("images", [1, 4, 16, 60])
def test_the_rate_that_is_stated_for_few_images_holds(name: str, rule, images: int) -> None:
    alarms = alarms_of(rule, SCORES[name], images=images, seed=1000 + images)
    assert p_above(alarms, rule.expected_rate(images)) > LEVEL, (alarms, rule.expected_rate(images) * SEEDS)


@pytest.mark.parametrize(
    "rule", [Quantile(q=0.8), FixedFpr(fpr=0.01), FixedFpr(fpr=0.2)], ids=lambda r: r.statistic()
)
def test_the_stated_rate_is_no_larger_than_needed(rule: Quantile | FixedFpr) -> None:
    """Without ties the rate is exact, so that a lower one would be a false promise."""
    alarms = alarms_of(rule, SCORES["normal"], images=16, seed=7)
    assert stats.binomtest(alarms, SEEDS, rule.expected_rate(16)).pvalue > LEVEL


def test_the_number_of_seeds_finds_a_broken_promise() -> None:
    """A plain quantile of 16 scores lets through more than its share; so does a rate with too few images."""
    alarms = alarms_of(Quantile(q=0.8), SCORES["normal"], images=16, seed=8)
    assert p_above(alarms, 0.2) < LEVEL
    alarms = alarms_of(FixedFpr(fpr=0.01), SCORES["normal"], images=4, seed=8)
    assert p_above(alarms, 0.01) < LEVEL
    refused = stats.binom.isf(LEVEL, SEEDS, 0.05)  # more alarms than this are refused
    assert stats.binom.sf(refused, SEEDS, 1.5 * 0.05) > 0.99
