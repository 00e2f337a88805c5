"""Checks whether the validation images of a finished run resemble its test images, and warns if not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adframe.calibration.rules import rate_text
from adframe.reporting.format import counted, p_equals, percent
from adframe.reporting.notes import warn
from adframe.reporting.threshold_summary import UNLIKE_VALIDATION
from adframe.results.predictions import Row
from adframe.results.run_folder import RunFolder
from adframe.results.validation_scores import ValidationScores, read_scores
from adframe.stats.score_shift import comparable_scores, score_shift_p
from adframe.stats.significance import holm

LEVEL = 0.01  # one run in 100 is warned without a reason, whatever the number of its categories


@dataclass(frozen=True, slots=True)
class ScoreCheck:
    """The comparison of a category's normal validation images with its normal test images.

    Attributes:
        category: its name.
        known: (n,) one score per part of the validation images.
        new: (m,) one score per part of the test images.
        images: number of normal test images.
        alarms: number of them that are called anomalous.
        promised: the false-positive rate that the threshold promises; None for a rule without a rate.
        p: p value that both have scores of one distribution.

    Example:
        >>> known, new = np.zeros(32), np.ones(41)
        >>> check = ScoreCheck("cloth", known, new, images=41, alarms=25, promised=0.2, p=0.0001)
        >>> check.sentence(0.0001).partition(": ")[0]
        'the validation images do not look like the test images'
    """

    category: str
    known: np.ndarray
    new: np.ndarray
    images: int
    alarms: int
    promised: float | None
    p: float

    def sentence(self, p: float) -> str:
        """Writes the warning.

        Args:
            p: the p value after the correction for the number of categories.

        Returns:
            One line with the promised and the observed false-positive rate.
        """
        side = "higher" if np.mean(self.new) >= np.mean(self.known) else "lower"
        several = len(self.new) < self.images
        test = counted(self.images, "normal test image")
        test += f" of {counted(len(self.new), 'part')}" if several else ""
        validation = counted(len(self.known), "part" if several else "image")
        rates = f"observed: {percent(self.alarms / self.images)} ({self.alarms} of {self.images} images)"
        if self.promised is not None:
            rates = f"promised for images like those of validation: {rate_text(self.promised)}, {rates}"
        return (
            f"the validation images do not look like the test images: {test} score {side} on average than "
            f"{validation} of validation ({p_equals(p)}), so no false-positive rate can be promised for "
            f"them; {rates}"
        )


def check_validation(folder: RunFolder, *, validation: Path | None = None) -> list[ScoreCheck]:
    """Compares the scores of normal validation images with those of normal test images, by category.

    The labels of the test images serve this report only: no threshold, model or setting is chosen by the
    result. A model which validation images joined after they were scored scores all normal images lower, so
    that only higher scores of test images are a difference there.

    Args:
        folder: the folder of the run or of its evaluation, with the results of all categories.
        validation: the folder of the run whose validation scores gave the thresholds; None for `folder`.

    Returns:
        One check per category with validation scores and labelled normal test images.
    """
    checks = []
    for category in folder.done:
        scores = read_scores(validation or folder.path, category=category)
        rows = [row for row in folder.rows if row["category"] == category and row["label"] == 0]
        rows = [row for row in rows if math.isfinite(row["score"]) and row["decision"] is not None]
        if scores is not None and rows and scores.parts.get(category):
            facts = folder.facts_of(category)
            rates = [facts.get(f"calibration/{name}_fpr") for name in ("promised", "expected")]
            # With too few images the threshold guarantees a higher rate than the rule asks for.
            promised = max((rate for rate in rates if rate is not None), default=None)
            upward = scores.joined_the_model(folder.config)
            checks.append(_check_of(category, scores, rows, promised, upward=upward))
    return checks


def warn_of_unlike_validation(
    folder: RunFolder, *, validation: Path | None = None, printed: bool = True
) -> None:
    """Adds a warning to the run for each category whose validation images differ from its
    test images.

    The p values are corrected by Holm's method for the number of categories, and tested at the level of 0.01.

    Args:
        folder: the folder of the run or of its evaluation, with the results of all categories.
        validation: as in `check_validation`.
        printed: whether the terminal shows the warning as well as the report.
    """
    checks = check_validation(folder, validation=validation)
    found = {}
    for check, p in zip(checks, holm([check.p for check in checks]), strict=True):
        if p < LEVEL:
            found[check.category] = p
            line = check.sentence(p)
            folder.add_warnings(check.category, [line])
            if printed:
                warn(f"{check.category}: {line}")
    if found or UNLIKE_VALIDATION in folder.environment:
        folder.add_facts({UNLIKE_VALIDATION: found})


def _check_of(
    category: str, scores: ValidationScores, rows: Sequence[Row], promised: float | None, *, upward: bool
) -> ScoreCheck:
    old, groups = scores.parts[category], _parts_of(rows)
    known, new = comparable_scores(old, groups)
    alarms = sum(bool(row["decision"]) for row in rows)
    # The exceedance test needs an order statistic of these very images, and one image per part.
    counts = None
    if promised is not None and len(known) == len(scores.normal) and len(new) == len(rows):
        above = int(np.sum(scores.normal > rows[0]["threshold"]))
        counts = (above, len(known)), (alarms, len(rows))
    p = score_shift_p(known, new, alarms=counts, upward=upward)
    return ScoreCheck(category, known, new, images=len(rows), alarms=alarms, promised=promised, p=p)


def _parts_of(rows: Sequence[Row]) -> list[np.ndarray]:
    """Returns the scores of each part's images, in the order of their paths."""
    parts: dict[str, list[float]] = {}
    for row in sorted(rows, key=lambda row: str(row["path"])):
        parts.setdefault(row["group"] or row["path"], []).append(row["score"])
    return [np.array(part, dtype=np.float64) for part in parts.values()]
