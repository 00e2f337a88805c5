"""Thresholds on raw image scores, fitted on validation and kept in the checkpoint."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from torch import nn

from adframe.contracts import AdframeError, Decision


@dataclass(frozen=True, slots=True)
class Fitted:
    """A threshold and what it was fitted on."""

    threshold: float
    statistic: str  # `quantile 0.995`
    split: str  # the split the scores came from
    n: int  # normal images they came from
    map_median: float  # of all heatmap pixels of those images: the bottom of every picture's colour scale
    map_max: float

    @property
    def fpr_floor(self) -> float:
        """No threshold fitted on n normal images can promise a false positive rate below 1 / (n + 1)."""
        return 1 / (self.n + 1)


class Calibrator(nn.Module):
    """Fits one threshold on the raw scores of normal validation images.

    A subclass says which: `statistic()` names it, `choose()` computes it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._fitted: Fitted | None = None

    def statistic(self) -> str:
        """The rule's name with its parameters, stored beside the threshold."""
        raise NotImplementedError

    def choose(self, normal: np.ndarray) -> float:
        """The threshold for (n,) float64 raw scores of normal images."""
        raise NotImplementedError

    @property
    def fitted(self) -> Fitted:
        """What was fitted; an error where nothing was."""
        if self._fitted is None:
            raise RuntimeError("no threshold has been fitted: run validation first or load a checkpoint")
        return self._fitted

    def fit(self, scores: np.ndarray, labels: np.ndarray, *, split: str, maps: np.ndarray) -> None:
        """Fits on the normal images among those given.

        Args:
            scores: (n,) raw image scores.
            labels: (n,) 0 for normal images; others are left out.
            split: name of the split they come from.
            maps: heatmap pixels of those images, any shape, for the pictures' colour scale.

        Raises:
            AdframeError: no normal image, or a score that is not finite.
        """
        normal = np.asarray(scores, dtype=np.float64)[np.asarray(labels) == 0]
        if not len(normal):
            raise AdframeError("no normal validation image to fit a threshold on; raise holdout=")
        if not np.isfinite(normal).all():
            raise AdframeError("validation scores hold NaN or infinity; the method or its weights are broken")
        self._fitted = Fitted(
            threshold=self.choose(normal),
            statistic=self.statistic(),
            split=split,
            n=len(normal),
            map_median=float(np.median(maps)),
            map_max=float(np.max(maps)),
        )

    def decide(self, score: float) -> Decision:
        """Holds a raw score against the threshold."""
        return Decision(score=score, threshold=self.fitted.threshold)

    def facts(self) -> dict[str, float]:
        """The numbers a report states."""
        fitted = self.fitted
        return {
            "calibration/threshold": fitted.threshold,
            "calibration/n": fitted.n,
            "calibration/fpr_floor": fitted.fpr_floor,
        }

    def get_extra_state(self) -> dict[str, Any]:
        """Goes into the checkpoint with the state dict."""
        return {} if self._fitted is None else asdict(self._fitted)

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Comes back from a checkpoint."""
        self._fitted = Fitted(**state) if state else None


class Quantile(Calibrator):
    """The q-quantile of normal scores; the next larger score where q falls between two.

    Args:
        q: in (0, 1); 0.995 asks for one false alarm in 200 normal images.
    """

    def __init__(self, *, q: float = 0.995) -> None:
        super().__init__()
        if not 0 < q < 1:
            raise AdframeError(f"calibration.q={q} must lie between 0 and 1")
        self.q = q

    def statistic(self) -> str:
        """Names the rule."""
        return f"quantile {self.q:g}"

    def choose(self, normal: np.ndarray) -> float:
        """The score that a share q of the normal images stays at or below."""
        return float(np.quantile(normal, self.q, method="higher"))
