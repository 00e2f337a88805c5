import numpy as np
import pytest
from sklearn.calibration import _SigmoidCalibration

from adframe.calibration.probability import fit_probability
from adframe.errors import AdframeError
from adframe.stats.calibration_error import calibration_error

RNG = np.random.default_rng(0)
NORMAL, ANOMALOUS = RNG.normal(10, 1, 300), RNG.normal(12, 1, 150)
BOTH, TRUTH = np.concatenate([NORMAL, ANOMALOUS]), np.repeat([False, True], [300, 150])


def probabilities(kind: str, scores: np.ndarray) -> np.ndarray:
    fitted = fit_probability(kind, NORMAL, ANOMALOUS)
    return np.array([fitted.of(score) for score in scores])


@pytest.mark.parametrize("kind", ["isotonic", "platt"])
def test_they_rise_with_the_score_and_stay_between_0_and_1(kind: str) -> None:
    found = probabilities(kind, np.linspace(-100, 100, 2001))
    assert (np.diff(found) >= 0).all()
    assert (found[0], found[-1]) == pytest.approx((0, 1), abs=1e-6)


@pytest.mark.parametrize("kind", ["isotonic", "platt"])
def test_they_hold_for_new_images_of_the_same_kind(kind: str) -> None:
    rng = np.random.default_rng(1)
    scores = np.concatenate([rng.normal(10, 1, 20000), rng.normal(12, 1, 10000)])
    truth = np.repeat([False, True], [20000, 10000])
    assert calibration_error(probabilities(kind, scores), truth) < 0.03
    assert calibration_error(probabilities(kind, scores) ** 3, truth) > 0.05  # and others do not


def test_platts_sigmoid_is_that_of_scikit_learns_own_calibration() -> None:
    own = _SigmoidCalibration().fit(BOTH, TRUTH)
    assert probabilities("platt", BOTH) == pytest.approx(own.predict(BOTH), abs=2e-4)


def test_classes_that_do_not_overlap_and_large_scales_stay_finite() -> None:
    fitted = fit_probability("platt", NORMAL * 1e6, ANOMALOUS * 1e6 + 1e9)
    assert fitted.of(10e6) < 0.01 < 0.99 < fitted.of(1e9 + 12e6)


def test_without_anomalous_images_there_is_none() -> None:
    with pytest.raises(AdframeError, match="platt needs anomalous validation images"):
        fit_probability("platt", NORMAL, np.zeros(0))
    with pytest.raises(AdframeError, match=r"probability=softmax is not possible"):
        fit_probability("softmax", NORMAL, ANOMALOUS)
    assert fit_probability("none", NORMAL, np.zeros(0)).of(3.0) is None
