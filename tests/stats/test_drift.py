"""Score drift: in units of the spread before, and of nothing else."""

import math

import numpy as np
import pytest

from adframe.stats.drift import score_drift

RNG = np.random.default_rng(0)
BEFORE = RNG.normal(size=40)
PATHS = [f"{i:03}.png" for i in range(40)]


def drift(
    before: np.ndarray, after: np.ndarray, *, groups: list[str] | None = None
) -> tuple[float, float, float]:
    return score_drift(before, after, groups=groups or [""] * len(before), paths=PATHS, seed=1)


def test_it_is_the_difference_of_means_over_the_spread_before() -> None:
    after = BEFORE * 2 + 3
    assert drift(BEFORE, after)[0] == pytest.approx((after.mean() - BEFORE.mean()) / BEFORE.std())


@pytest.mark.parametrize(("scale", "offset"), [(10, 0), (1, 1e6), (0.001, -5)])
def test_other_units_of_scores_do_not_change_it(scale: float, offset: float) -> None:
    after = BEFORE + RNG.normal(1, 0.3, 40)
    expected = drift(BEFORE, after)
    assert drift(scale * BEFORE + offset, scale * after + offset) == pytest.approx(expected, rel=1e-4)


def test_the_interval_holds_the_value_and_narrows_with_more_images() -> None:
    after = BEFORE + RNG.normal(1, 0.5, 40)
    value, low, high = drift(BEFORE, after)
    many = [np.tile(each, 9) for each in (BEFORE, after)]
    paths = [f"{i:03}.png" for i in range(360)]
    _, tighter, tight = score_drift(*many, groups=[""] * 360, paths=paths, seed=1)
    assert low < value < high
    assert tight - tighter < 0.5 * (high - low)


def test_pictures_of_one_part_are_drawn_together() -> None:
    after = BEFORE + np.repeat(RNG.normal(1, 1, 10), 4)
    alone, together = (
        drift(BEFORE, after, groups=groups) for groups in ([""] * 40, [str(i // 4) for i in range(40)])
    )
    assert together[0] == alone[0]
    assert together[2] - together[1] > 1.2 * (alone[2] - alone[1])


def test_without_spread_there_is_no_unit() -> None:
    assert math.isnan(drift(np.ones(40), BEFORE)[0])
