import numpy as np
import pytest

from adframe.calibration.scales import SCALE_KINDS, fit_scale
from adframe.errors import AdframeError

NORMAL = np.random.default_rng(0).normal(5, 2, size=60)


@pytest.mark.parametrize("kind", SCALE_KINDS)
@pytest.mark.parametrize("normal", [NORMAL, NORMAL.round(), NORMAL[:1], np.full(9, 3.0)])
def test_ranks_are_kept_however_far_a_score_lies(kind: str, normal: np.ndarray) -> None:
    scores = np.unique(np.concatenate([NORMAL, np.linspace(-1e4, 1e4, 4001), [-1e9, 1e9], normal]))
    scaled = np.array([fit_scale(kind, normal).of(score) for score in scores])
    assert np.isfinite(scaled).all()
    assert (np.diff(scaled) > 0).all()


def test_z_scores_count_deviations_from_the_normal_mean() -> None:
    scale = fit_scale("z_score", NORMAL)
    scaled = np.array([scale.of(score) for score in NORMAL])
    assert (scaled.mean(), scaled.std()) == pytest.approx((0, 1))


def test_the_empirical_scale_says_how_rare_a_score_is() -> None:
    scale = fit_scale("ecdf", np.arange(99.0))
    assert scale.of(49.0) == pytest.approx(np.log10(2), abs=0.01)  # half of the normal images reach it
    assert scale.of(89.0) == pytest.approx(1, abs=0.01)  # one in ten
    assert scale.of(98.0) == pytest.approx(2)  # beyond it, at most one in a hundred


def test_another_kind_is_refused() -> None:
    with pytest.raises(AdframeError, match=r"calibration\.normalisation=minmax is not possible"):
        fit_scale("minmax", NORMAL)
