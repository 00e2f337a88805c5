"""Training images that the others do not explain, as an unnoticed defect among the normal images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adframe.contracts import Record
from adframe.stats.outliers import high_outliers

MOST_LEFT_OUT = (
    0.1  # share of the images: a larger one is no contamination, but another kind of normal images
)
MIN_IMAGES = 8  # with fewer, median and deviations say little
_MOST_NAMED = 10  # images in a line


@dataclass(frozen=True, slots=True)
class Screening:
    """The comparison of each training image with all others.

    Attributes:
        records: the images, in the order in which they were collected.
        scores: (N,) float64, of each image by all others.
        left_out: (N,) bool.
        limit: images with a higher score are left out; infinity where none can be.
    """

    records: Sequence[Record]
    scores: np.ndarray
    left_out: np.ndarray
    limit: float

    @property
    def line(self) -> str:
        """A sentence for the terminal and the report that names the images that were left out."""
        total = len(self.records)
        if total < MIN_IMAGES:
            return (
                f"model.robust= needs {MIN_IMAGES} training images, and there are {total}: none was left out"
            )
        if not self.left_out.any():
            return f"model.robust= left none of {total} training images out (limit {self.limit:.4g})"
        worst = [place for place in np.argsort(-self.scores, kind="stable") if self.left_out[place]]
        named = [f"{self.records[i].path.name} ({self.scores[i]:.4g})" for i in worst[:_MOST_NAMED]]
        more = f" and {len(worst) - _MOST_NAMED} more" if len(worst) > _MOST_NAMED else ""
        cap = ""
        if (above := int((self.scores > self.limit).sum())) > len(worst):
            cap = f"; {above} are above it, and not more than {MOST_LEFT_OUT:.0%} of the images are left out"
        return (
            f"model.robust= left {len(worst)} of {total} training images out, whose score by the others is "
            f"above {self.limit:.4g}: {', '.join(named)}{more}{cap}"
        )


def screen(records: Sequence[Record], scores: np.ndarray, *, deviations: float) -> Screening:
    """Decides which training images are left out.

    The score of an image is a maximum, so that scores of normal images are skewed to the right, about as a
    Gumbel distribution is: of these, 1 in 400 lies 5 deviations above the median, and 1 in 75 lies 3.5 above.

    Args:
        records: the N images.
        scores: (N,) score of each by all others.
        deviations: limit in scaled median absolute deviations above the median.

    Returns:
        The decisions.
    """
    values = np.asarray(scores, np.float64)
    if len(records) < MIN_IMAGES:
        return Screening(records, values, np.zeros(len(values), bool), float("inf"))
    left_out, limit = high_outliers(values, deviations=deviations, most=MOST_LEFT_OUT)
    return Screening(records, values, left_out, limit)
