"""Thresholds on raw image scores, fitted on validation and kept in the checkpoint."""

from __future__ import annotations

import math
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
    anomalous: int  # anomalous images that the rule looked at as well
    map_median: float  # of all heatmap pixels of those images: the bottom of every picture's colour scale
    map_max: float
    pixel_threshold: float  # mean + 3 std of those pixels, as MVTec AD 2's makers suggest

    @property
    def fpr_floor(self) -> float:
        """No threshold fitted on n normal images can promise a false positive rate below 1 / (n + 1)."""
        return 1 / (self.n + 1)


class Calibrator(nn.Module):
    """Fits one threshold on the raw scores of validation images.

    A subclass says which: `statistic()` names it, `choose()` computes it.
    """

    uses_anomalous = False  # whether the rule looks at anomalous validation images

    def __init__(self) -> None:
        super().__init__()
        self._fitted: Fitted | None = None

    def statistic(self) -> str:
        """The rule's name with its parameters, stored beside the threshold."""
        raise NotImplementedError

    def choose(self, normal: np.ndarray, anomalous: np.ndarray) -> float:
        """The threshold for (n,) and (m,) float64 raw scores; most rules look at normal images only."""
        raise NotImplementedError

    @property
    def fitted(self) -> Fitted:
        """What was fitted; an error where nothing was."""
        if self._fitted is None:
            raise RuntimeError("no threshold has been fitted: run validation first or load a checkpoint")
        return self._fitted

    def fit(self, scores: np.ndarray, labels: np.ndarray, *, split: str, maps: np.ndarray) -> None:
        """Fits on the labelled images among those given.

        Args:
            scores: (n,) raw image scores.
            labels: (n,) 0 for normal images, 1 for anomalous ones; others are left out.
            split: name of the split they come from.
            maps: heatmap pixels of the normal images, any shape: for the pictures' colour scale and
                the threshold that binarises heatmaps.

        Raises:
            AdframeError: no normal image, a score that is not finite, or too few images for the rule.
        """
        values = np.asarray(scores, dtype=np.float64)
        normal, anomalous = values[np.asarray(labels) == 0], values[np.asarray(labels) == 1]
        if not len(normal):
            raise AdframeError("no normal validation image to fit a threshold on; raise holdout=")
        if not np.isfinite(np.append(normal, anomalous if self.uses_anomalous else [])).all():
            raise AdframeError("validation scores hold NaN or infinity; the method or its weights are broken")
        self._fitted = Fitted(
            threshold=self.choose(normal, anomalous),
            statistic=self.statistic(),
            split=split,
            n=len(normal),
            anomalous=len(anomalous) if self.uses_anomalous else 0,
            map_median=float(np.median(maps)),
            map_max=float(np.max(maps)),
            pixel_threshold=float(np.mean(maps, dtype=np.float64) + 3 * np.std(maps, dtype=np.float64)),
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
            "calibration/pixel_threshold": fitted.pixel_threshold,
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

    def choose(self, normal: np.ndarray, anomalous: np.ndarray) -> float:
        """The score that a share q of the normal images stays at or below."""
        del anomalous
        return float(np.quantile(normal, self.q, method="higher"))


class MeanStd(Calibrator):
    """Mean plus so many standard deviations of normal scores.

    Args:
        deviations: 0 or more; 3 is what MVTec AD 2's makers suggest (on pixels).
    """

    def __init__(self, *, deviations: float = 3.0) -> None:
        super().__init__()
        if deviations < 0:
            raise AdframeError(f"calibration.deviations={deviations} must be 0 or more")
        self.deviations = deviations

    def statistic(self) -> str:
        """Names the rule."""
        return f"mean + {self.deviations:g} std"

    def choose(self, normal: np.ndarray, anomalous: np.ndarray) -> float:
        """Mean and population standard deviation of the normal scores."""
        del anomalous
        return float(normal.mean() + self.deviations * normal.std())


class FixedFpr(Calibrator):
    """The threshold that promises a false positive rate: split conformal prediction (Vovk et al., 2005).

    A new normal image exceeds the ceil((n + 1)(1 - fpr))-th smallest of n normal scores with a
    probability of at most `fpr`, whatever their distribution. Where n is too small for the promise,
    the largest score is taken; the floor 1 / (n + 1) is what can then be promised.

    Args:
        fpr: in (0, 1).
    """

    def __init__(self, *, fpr: float = 0.01) -> None:
        super().__init__()
        if not 0 < fpr < 1:
            raise AdframeError(f"calibration.fpr={fpr} must lie between 0 and 1")
        self.fpr = fpr

    def statistic(self) -> str:
        """Names the rule."""
        return f"fixed_fpr {self.fpr:g}"

    def choose(self, normal: np.ndarray, anomalous: np.ndarray) -> float:
        """An order statistic of the normal scores."""
        del anomalous
        # The product is rounded first: (9 + 1) * (1 - 0.1) is 9.000000000000002 in floating point.
        rank = math.ceil(round((len(normal) + 1) * (1 - self.fpr), 9))
        return float(np.sort(normal)[min(rank, len(normal)) - 1])


class BestF1(Calibrator):
    """The threshold with the best F1 on validation; needs anomalous validation images.

    It lies midway between the lowest score called anomalous and the next lower one, so that neither
    sits on the edge; of equally good ones the highest is taken.
    """

    uses_anomalous = True

    def statistic(self) -> str:
        """Names the rule."""
        return "best F1"

    def choose(self, normal: np.ndarray, anomalous: np.ndarray) -> float:
        """Tries every cut between two different scores, and the one below all."""
        if not len(anomalous):
            raise AdframeError(
                "calibration=f1 needs anomalous validation images and there are none; "
                "split=mvtec_shift_protocol takes some from test, or choose calibration=quantile"
            )
        levels = np.unique(np.concatenate([normal, anomalous]))  # ascending
        found = len(anomalous) - np.searchsorted(np.sort(anomalous), levels)  # at or above a level
        alarms = len(normal) - np.searchsorted(np.sort(normal), levels)
        f1 = 2 * found / (found + alarms + len(anomalous))
        best = len(levels) - 1 - int(np.argmax(f1[::-1]))
        if best == 0:
            return float(np.nextafter(levels[0], -np.inf))
        between = (levels[best - 1] + levels[best]) / 2
        return float(between if between < levels[best] else levels[best - 1])
