import math

import numpy as np
import pytest

from adframe.stats.calibration_error import Bin, brier, calibration_error, reliability_bins

GIVEN = np.array([0.0, 0.04, 0.55, 0.55, 1.0])
TRUTH = np.array([False, False, True, False, True])


def test_bins_hold_what_falls_into_them() -> None:
    assert reliability_bins(GIVEN, TRUTH) == [Bin(2, 0.02, 0.0), Bin(2, 0.55, 0.5), Bin(1, 1.0, 1.0)]


def test_the_error_is_the_mean_distance_by_image() -> None:
    assert calibration_error(GIVEN, TRUTH) == pytest.approx((2 * 0.02 + 2 * 0.05) / 5)
    assert brier(GIVEN, TRUTH) == pytest.approx((0.04**2 + 0.45**2 + 0.55**2) / 5)


def test_certainty_that_is_right_costs_nothing() -> None:
    assert calibration_error(TRUTH.astype(float), TRUTH) == brier(TRUTH.astype(float), TRUTH) == 0
    assert calibration_error(1 - TRUTH.astype(float), TRUTH) == 1


def test_without_images_there_is_no_number() -> None:
    assert math.isnan(calibration_error(np.zeros(0), np.zeros(0, bool)))
    assert math.isnan(brier(np.zeros(0), np.zeros(0, bool)))
