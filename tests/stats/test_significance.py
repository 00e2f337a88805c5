"""Tests across categories against their definitions, slowly, and against known values."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from adframe.stats.significance import holm, wilcoxon


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
