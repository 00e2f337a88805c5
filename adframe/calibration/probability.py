"""Scores as probabilities of being anomalous, fitted on validation images of both kinds.

They are probabilities for a share of anomalous images like validation's; at another share they are
ranks only. A reliability diagram of test images shows how well they hold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from adframe.errors import AdframeError

PROBABILITY_KINDS = ("none", "isotonic", "platt")


@dataclass(frozen=True, slots=True)
class Probability:
    """A rising map from raw scores to [0, 1]."""

    kind: str
    points: tuple[float, ...]  # isotonic: scores; platt: slope, intercept
    shares: tuple[float, ...] = ()  # isotonic: the probability at each score; straight lines between

    def of(self, score: float) -> float | None:
        """The probability that an image of this raw score is anomalous; None where none was fitted."""
        if self.kind == "isotonic":
            return float(np.interp(score, self.points, self.shares))
        return float(expit(self.points[0] * score + self.points[1])) if self.kind == "platt" else None


def fit_probability(kind: str, normal: np.ndarray, anomalous: np.ndarray) -> Probability:
    """Fits on (n,) normal and (m,) anomalous raw scores.

    `isotonic` is a step-like curve that needs some hundred images to be smooth (Zadrozny and Elkan,
    2002), `platt` a sigmoid of two parameters (Platt, 1999).

    Raises:
        AdframeError: another kind, or no anomalous image.
    """
    if kind not in PROBABILITY_KINDS:
        raise AdframeError(f"calibration.probability={kind} is not possible; it is {', '.join(PROBABILITY_KINDS)}")
    if kind == "none":
        return Probability(kind, ())
    if not len(anomalous):
        raise AdframeError(
            f"calibration.probability={kind} needs anomalous validation images and there are none; "
            "split=mvtec_shift_protocol takes some from test, or leave it at none"
        )
    scores = np.concatenate([normal, anomalous]).astype(np.float64)
    labels = np.repeat([0, 1], [len(normal), len(anomalous)])
    if kind == "isotonic":
        curve = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(scores, labels)
        return Probability(kind, tuple(curve.X_thresholds_.tolist()), tuple(curve.y_thresholds_.tolist()))
    return Probability(kind, _fit_platt(scores, labels))


def _fit_platt(scores: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the sigmoid, with Platt's targets: never quite 0 or 1, or classes that do
    not overlap would have no finite slope. Each score counts as both kinds, by the target's shares.
    """
    mean, deviation = float(scores.mean()), float(scores.std()) or 1.0
    count = np.bincount(labels)
    target = np.where(labels == 1, (count[1] + 1) / (count[1] + 2), 1 / (count[0] + 2))
    standard = ((scores - mean) / deviation)[:, None]
    fitted = LogisticRegression(C=np.inf).fit(
        np.concatenate([standard, standard]),
        np.repeat([1, 0], len(scores)),
        sample_weight=np.concatenate([target, 1 - target]),
    )
    slope = float(fitted.coef_[0, 0]) / deviation
    return slope, float(fitted.intercept_[0]) - slope * mean
