"""Summaries of predictions: decisions, groups such as types of defect, and latency."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adframe.metrics.curve_points import roc_points
from adframe.reporting.format import counted
from adframe.results.predictions import Row

NO_LIGHT = "(none)"  # title of images without a light condition


@dataclass(frozen=True, slots=True)
class Confusion:
    """Numbers of images by decision and label; a rate is None where its divisor is 0.

    Attributes:
        found: anomalous images that are called anomalous.
        missed: anomalous images that are called normal.
        false_alarms: normal images that are called anomalous.
        passed: normal images that are called normal.

    Example:
        >>> counts = Confusion(found=8, missed=2, false_alarms=1, passed=9)
        >>> counts.recall, counts.fpr
        (0.8, 0.1)
        >>> counts.decisions
        'found 8 of 10 defects, false alarms on 1 of 10 normal images'
    """

    found: int
    missed: int
    false_alarms: int
    passed: int

    @property
    def recall(self) -> float | None:
        """The share of anomalous images that are called anomalous."""
        return _share_or_none(self.found, self.found + self.missed)

    @property
    def precision(self) -> float | None:
        """The share of images called anomalous that are anomalous."""
        return _share_or_none(self.found, self.found + self.false_alarms)

    @property
    def fpr(self) -> float | None:
        """The share of normal images that are called anomalous."""
        return _share_or_none(self.false_alarms, self.false_alarms + self.passed)

    @property
    def f1(self) -> float | None:
        """The harmonic mean of precision and recall."""
        return _share_or_none(2 * self.found, 2 * self.found + self.missed + self.false_alarms)

    @property
    def balanced_accuracy(self) -> float:
        """The mean of the known ones of recall and 1 - FPR; NaN without images."""
        shares = [self.recall, None if self.fpr is None else 1 - self.fpr]
        known = [share for share in shares if share is not None]
        return sum(known) / len(known) if known else math.nan

    @property
    def total(self) -> int:
        """The number of images with both a label and a decision."""
        return self.found + self.missed + self.false_alarms + self.passed

    @property
    def decisions(self) -> str:
        """The decisions in words, such as `found 22 of 40 defects, false alarms on 2 of 40 normal images`."""
        defects, normal = self.found + self.missed, self.false_alarms + self.passed
        parts = [f"found {self.found} of {counted(defects, 'defect')}"] if defects else []
        alarms = f"false alarms on {self.false_alarms} of {counted(normal, 'normal image')}"
        return ", ".join([*parts, alarms] if normal else parts)


@dataclass(frozen=True, slots=True)
class GroupSummary:
    """The anomalous images of a group (a type of defect, a light) compared with normal images.

    Attributes:
        name: of the group.
        images: number of anomalous images.
        found: number of them that are called anomalous; None where nothing was decided.
        recall: share of them that are called anomalous, in [0, 1]; None where nothing was decided.
        auroc: of image scores, in [0, 1]; None where one of the two kinds is missing.

    Example:
        >>> GroupSummary("scratch", images=20, found=18, recall=0.9, auroc=0.98).recall
        0.9
    """

    name: str
    images: int
    found: int | None
    recall: float | None
    auroc: float | None


def confusion(rows: Sequence[Row]) -> Confusion:
    """Counts the rows that have both a label and a decision.

    Args:
        rows: predictions.

    Returns:
        The counts.
    """
    pairs = [(row["label"], row["decision"]) for row in rows]
    return Confusion(
        found=sum(label == 1 and decision is True for label, decision in pairs),
        missed=sum(label == 1 and decision is False for label, decision in pairs),
        false_alarms=sum(label == 0 and decision is True for label, decision in pairs),
        passed=sum(label == 0 and decision is False for label, decision in pairs),
    )


def by_defect(rows: Sequence[Row]) -> list[GroupSummary]:
    """Compares each type of defect with all normal images of the same rows.

    Args:
        rows: predictions of one category.

    Returns:
        One summary per type, by name.
    """
    normals = [row for row in rows if row["label"] == 0]
    names = sorted({row["defect"] for row in rows if row["label"] == 1})
    return [
        _summarise_group(name, [row for row in rows if row["label"] == 1 and row["defect"] == name], normals)
        for name in names
    ]


def by_condition(rows: Sequence[Row]) -> list[GroupSummary]:
    """Summarises each light condition by itself.

    Args:
        rows: predictions of one category.

    Returns:
        One summary per condition, by name; [] unless there are several.
    """
    names = sorted({row["condition"] for row in rows})
    if len(names) < 2:
        return []
    parts = [(name, [row for row in rows if row["condition"] == name]) for name in names]
    return [
        _summarise_group(
            name or NO_LIGHT, [r for r in part if r["label"] == 1], [r for r in part if r["label"] == 0]
        )
        for name, part in parts
    ]


def latency_summary(rows: Sequence[Row]) -> tuple[float | None, float | None]:
    """Returns the median and the 95th percentile of the time per image.

    Args:
        rows: predictions.

    Returns:
        Milliseconds; None where no image was timed.
    """
    values = [row["milliseconds"] for row in rows if math.isfinite(row["milliseconds"])]
    if not values:
        return None, None
    return float(np.median(values)), float(np.percentile(values, 95))


def _summarise_group(name: str, anomalous: list[Row], normals: list[Row]) -> GroupSummary:
    both = [*anomalous, *normals]
    curve = roc_points([row["score"] for row in both], [row["label"] for row in both])
    counts = confusion(anomalous)
    found = counts.found if counts.total else None
    return GroupSummary(name, len(anomalous), found, counts.recall, None if curve is None else curve.area)


def _share_or_none(part: int, whole: int) -> float | None:
    return part / whole if whole else None
