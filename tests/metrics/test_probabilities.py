import numpy as np
import pytest

from adframe.metrics.probabilities import probability_resampled
from adframe.stats.calibration_error import brier, calibration_error


def test_each_draw_is_the_plain_number_of_the_images_in_it() -> None:
    rng = np.random.default_rng(0)
    probabilities, labels = rng.random(40), rng.random(40) > 0.5
    weights = rng.integers(0, 4, size=(7, 40)).astype(np.uint16)
    found = probability_resampled(probabilities, labels=labels, weights=weights)
    for number, counts in enumerate(weights):
        drawn, truth = np.repeat(probabilities, counts), np.repeat(labels, counts)
        assert found["image/ece"][number] == pytest.approx(calibration_error(drawn, truth))
        assert found["image/brier"][number] == pytest.approx(brier(drawn, truth))
