"""Converts scores to probabilities of being anomalous, fitted on normal and anomalous validation images.

The probabilities assume the share of anomalous images of validation; at another share they are only ranks. A
reliability diagram of the test images shows how accurate they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from adframe.errors import AdframeError

PROBABILITY_KINDS = ("none", "isotonic", "platt")


@dataclass(frozen=True, slots=True)
class Probability:
    """An increasing map from raw scores to [0, 1].

    Attributes:
        kind: `none`, `isotonic` or `platt`.
        points: isotonic: ascending scores; platt: slope and intercept of the sigmoid's argument.
        shares: isotonic: the probability at each score, with straight lines between; otherwise empty.

    Example:
        >>> fitted = fit_probability("isotonic", np.array([0.1, 0.2]), np.array([0.8, 0.9]))
        >>> fitted.of(0.0), round(fitted.of(0.5), 6), fitted.of(2.0)
        (0.0, 0.5, 1.0)
    """

    kind: str
    points: tuple[float, ...]
    shares: tuple[float, ...] = ()

    def of(self, score: float) -> float | None:
        """Returns the probability that an image is anomalous.

        Args:
            score: its raw score.

        Returns:
            A value in [0, 1]; None for the kind `none`.
        """
        if self.kind == "isotonic":
            return float(np.interp(score, self.points, self.shares))
        return float(expit(self.points[0] * score + self.points[1])) if self.kind == "platt" else None


def fit_probability(kind: str, normal: np.ndarray, anomalous: np.ndarray) -> Probability:
    """Fits the probabilities of a kind.

    `isotonic` is a step-like curve that needs some hundred images to be smooth (Zadrozny and Elkan, 2002),
    `platt` a sigmoid with two parameters (Platt, 1999).

    Args:
        kind: `none`, `isotonic` or `platt`.
        normal: (n,) raw scores of normal images.
        anomalous: (m,) raw scores of anomalous images.

    Returns:
        The fitted map.

    Raises:
        AdframeError: if the kind is unknown, or there is no anomalous image.
    """
    if kind not in PROBABILITY_KINDS:
        raise AdframeError(
            f"calibration.probability={kind} is not possible; choose one of: {', '.join(PROBABILITY_KINDS)}"
        )
    if kind == "none":
        return Probability(kind, ())
    if not len(anomalous):
        raise AdframeError(
            f"calibration.probability={kind} needs anomalous validation images and there are none; "
            "set split=mvtec_shift_protocol, which takes some from test, or calibration.probability=none"
        )
    scores = np.concatenate([normal, anomalous]).astype(np.float64)
    labels = np.repeat([0, 1], [len(normal), len(anomalous)])
    if kind == "isotonic":
        from sklearn.isotonic import IsotonicRegression  # only fitting needs scikit-learn

        curve = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(scores, labels)
        return Probability(kind, tuple(curve.X_thresholds_.tolist()), tuple(curve.y_thresholds_.tolist()))
    return Probability(kind, _fit_platt(scores, labels))


def _fit_platt(scores: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Fits slope and intercept of the sigmoid.

    Platt's targets are never exactly 0 or 1; with these, classes that do not overlap would have no finite
    slope. Each score enters with both labels, weighted by its target.
    """
    mean, deviation = float(scores.mean()), float(scores.std()) or 1.0
    count = np.bincount(labels)
    target = np.where(labels == 1, (count[1] + 1) / (count[1] + 2), 1 / (count[0] + 2))
    standard = ((scores - mean) / deviation)[:, None]
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=np.inf).fit(
        np.concatenate([standard, standard]),
        np.repeat([1, 0], len(scores)),
        sample_weight=np.concatenate([target, 1 - target]),
    )
    slope = float(fitted.coef_[0, 0]) / deviation
    return slope, float(fitted.intercept_[0]) - slope * mean
