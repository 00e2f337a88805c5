"""How often the pages call two equal methods different: no more often than the level says."""

from __future__ import annotations

import math

import pytest

from adframe.analysis.compare import ALPHA
from benchmarks.levels import CLAIMS, share_of_claims

QUICK = 40
FAST = ("errors: types of defect", "errors: false alarms", "features: layers")


def most_false_claims(sweeps: int) -> float:
    """The level and three standard errors of so many simulations."""
    return ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / sweeps)


@pytest.mark.parametrize("claim", FAST)
def test_equal_methods_rarely_come_out_as_different(claim: str) -> None:
    """Over a whole family of comparisons, which Holm's correction is for."""
    sweep, _, _ = CLAIMS[claim]
    assert share_of_claims(sweep, better=0.0, sweeps=QUICK, seed=1) <= most_false_claims(QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("claim", [claim for claim in CLAIMS if claim not in FAST])
def test_no_kind_of_claim_is_false_more_often_than_one_in_twenty(claim: str) -> None:
    sweep, _, _ = CLAIMS[claim]
    assert share_of_claims(sweep, better=0.0, sweeps=QUICK, seed=2) <= most_false_claims(QUICK)


def test_a_method_that_is_better_mostly_comes_out_as_such() -> None:
    """Else never saying anything would pass the tests above."""
    sweep, better, _ = CLAIMS["ablation, means, AUROC, AP and F1-max"]
    assert share_of_claims(sweep, better=better, sweeps=15, seed=3) > 0.8
