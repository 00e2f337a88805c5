"""What a model says about one image: decision, scores, heatmap, mask and regions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from adframe.contracts import Decision
from adframe.errors import AdframeError

TRAINED = "trained"  # name of the thresholds that the run itself fitted
ERROR, ANOMALOUS, NORMAL = "error", "anomalous", "normal"  # values of the column `decision`
COLUMNS = (
    "image", "decision", "score", "normalised", "probability", "threshold", "calibration", "regions", "area",
    "milliseconds", "warnings", "error",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class AnomalousRegion:
    """One connected region of the mask, in pixels of the original image.

    Attributes:
        top: first row.
        left: first column.
        height: rows of the bounding box.
        width: columns of the bounding box.
        area: number of anomalous pixels.
        peak: highest raw score in it.
        mean: mean raw score of its pixels.
    """

    top: int
    left: int
    height: int
    width: int
    area: int
    peak: float
    mean: float


class ImageResult:
    """The result of one image; an image that could not be read has `error` and nothing else.

    Args:
        name: the path as it was given, or the place in the list.
        decision: the score compared with the threshold; None where the image could not be read.
        heatmap: (H0, W0) float32 raw scores in the original frame; None as above.
        threshold_map: returns the (H0, W0) bool mask of a heatmap at the pixel threshold.
        milliseconds: time of the network and the search per image, without decoding.
        calibration: name of the thresholds: `trained`, or those of `adframe calibrate`.
        warnings: doubts about the image, such as another kind of pixels than the model was fitted to.
        error: why the image could not be read.
        inside: (H0, W0) bool, the region of interest; None where the whole image is inspected.

    Example:
        >>> decision = Decision(score=0.7, threshold=0.5)
        >>> heatmap = np.zeros((4, 6), np.float32)
        >>> heatmap[1:3, 2:5] = 0.9
        >>> result = ImageResult("plate.png", decision, heatmap, threshold_map=lambda values: values > 0.5)
        >>> result.anomalous, result.regions[0].left, result.regions[0].area
        (True, 2, 6)
    """

    def __init__(
        self,
        name: str,
        decision: Decision | None,
        heatmap: np.ndarray | None,
        *,
        threshold_map: Callable[[np.ndarray], np.ndarray],
        milliseconds: float = float("nan"),
        calibration: str = "trained",
        warnings: tuple[str, ...] = (),
        error: str | None = None,
        inside: np.ndarray | None = None,
    ) -> None:
        self.inside = inside
        self.name, self.milliseconds, self.warnings, self.error = name, milliseconds, warnings, error
        self.calibration = calibration
        self._decision, self._heatmap, self._threshold_map = decision, heatmap, threshold_map

    @property
    def decision(self) -> Decision:
        """The score compared with the threshold.

        Raises:
            AdframeError: the image could not be read.
        """
        if self._decision is None:
            raise AdframeError(f"{self.name} has no result: {self.error}")
        return self._decision

    @property
    def heatmap(self) -> np.ndarray:
        """(H0, W0) float32 raw scores in the original frame.

        Raises:
            AdframeError: the image could not be read.
        """
        if self._heatmap is None:
            raise AdframeError(f"{self.name} has no result: {self.error}")
        return self._heatmap

    @property
    def anomalous(self) -> bool:
        """Whether the score exceeds the threshold."""
        return self.decision.anomalous

    @property
    def score(self) -> float:
        """The raw score of the image; larger is more anomalous."""
        return self.decision.score

    @property
    def normalised(self) -> float | None:
        """The score on the readable scale of the run; None without one."""
        return self.decision.normalised

    @property
    def probability(self) -> float | None:
        """The probability of being anomalous, where the run was calibrated for it."""
        return self.decision.probability

    @property
    def threshold(self) -> float:
        """The threshold of raw scores."""
        return self.decision.threshold

    @cached_property
    def mask(self) -> np.ndarray:
        """(H0, W0) bool, True where the heatmap exceeds the pixel threshold."""
        return self._threshold_map(self.heatmap)

    @cached_property
    def regions(self) -> list[AnomalousRegion]:
        """The 8-connected regions of the mask, highest peak first."""
        return regions_of(self.mask, self.heatmap)

    def row(self) -> dict[str, Any]:
        """Returns the result as one row of a table, with the keys of `COLUMNS`.

        Values are strings and numbers; None where a value does not exist.
        """
        if self._decision is None:
            known: dict[str, Any] = {"decision": ERROR, "error": self.error}
        else:
            known = {
                "decision": ANOMALOUS if self.anomalous else NORMAL,
                "score": self.score,
                "normalised": self.normalised,
                "probability": self.probability,
                "threshold": self.threshold,
                "calibration": self.calibration,
                "regions": len(self.regions),
                "area": int(self.mask.sum()),
                "milliseconds": self.milliseconds,
                "warnings": "; ".join(self.warnings) or None,
            }
        return dict.fromkeys(COLUMNS) | {"image": self.name} | known

    def record(self) -> dict[str, Any]:
        """Returns the result as plain data for JSON: the row, with all regions and the size of the image."""
        if self._decision is None:
            return self.row()
        height, width = self.heatmap.shape
        return self.row() | {
            "height": height,
            "width": width,
            "regions": [asdict(region) for region in self.regions],
            "warnings": list(self.warnings),
            "reported": self.decision.reported,
            "by_zones": self.decision.by_zones,
        }

    def __repr__(self) -> str:
        if self._decision is None:
            return f"ImageResult({self.name!r}, error={self.error!r})"
        state = ANOMALOUS if self.anomalous else NORMAL
        return f"ImageResult({self.name!r}, {state}, score {self.score:.4g}, threshold {self.threshold:.4g})"


def regions_of(mask: np.ndarray, heatmap: np.ndarray) -> list[AnomalousRegion]:
    """Lists the 8-connected regions of a mask with their scores.

    Args:
        mask: (H, W) bool.
        heatmap: (H, W) float32 raw scores.

    Returns:
        The regions, highest peak first.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count == 1:  # the background alone
        return []
    inside = labels > 0
    own, values = np.asarray(labels[inside], dtype=np.intp), heatmap[inside].astype(np.float64)
    peaks = np.full(count, -np.inf)
    np.maximum.at(peaks, own, values)
    sums = np.bincount(own, weights=values, minlength=count)
    found = [
        AnomalousRegion(
            top=int(stats[number, cv2.CC_STAT_TOP]),
            left=int(stats[number, cv2.CC_STAT_LEFT]),
            height=int(stats[number, cv2.CC_STAT_HEIGHT]),
            width=int(stats[number, cv2.CC_STAT_WIDTH]),
            area=int(stats[number, cv2.CC_STAT_AREA]),
            peak=float(peaks[number]),
            mean=float(sums[number] / stats[number, cv2.CC_STAT_AREA]),
        )
        for number in range(1, count)
    ]
    return sorted(found, key=lambda region: -region.peak)
