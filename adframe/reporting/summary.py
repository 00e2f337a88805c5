"""Summaries of predictions: decisions, groups such as defect types, time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adframe.metrics.curve_points import roc_points
from adframe.results.predictions import Row
from adframe.stats.proportions import wilson

NO_LIGHT = "(none)"  # images without a noted light


@dataclass(frozen=True, slots=True)
class Confusion:
    """Decisions compared with labels, in images; a rate is None where the divisor is 0."""

    found: int  # anomalous, called anomalous
    missed: int  # anomalous, called normal
    false_alarms: int  # normal, called anomalous
    passed: int  # normal, called normal

    @property
    def recall(self) -> float | None:
        return _ratio(self.found, self.found + self.missed)

    @property
    def precision(self) -> float | None:
        return _ratio(self.found, self.found + self.false_alarms)

    @property
    def fpr(self) -> float | None:
        return _ratio(self.false_alarms, self.false_alarms + self.passed)

    @property
    def f1(self) -> float | None:
        return _ratio(2 * self.found, 2 * self.found + self.missed + self.false_alarms)

    @property
    def total(self) -> int:
        return self.found + self.missed + self.false_alarms + self.passed


@dataclass(frozen=True, slots=True)
class Group:
    """The anomalous images of one kind (a defect type, a light) against the normal ones."""

    name: str
    images: int  # anomalous images
    found: int | None  # of them called anomalous; None where nothing was decided
    recall: float | None
    auroc: float | None


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds per image."""

    name: str
    images: int
    median: float | None
    slowest: float | None  # 95th percentile

    @property
    def per_second(self) -> float | None:
        return 1000 / self.median if self.median else None


def confusion(rows: Sequence[Row]) -> Confusion:
    """Count the rows that have both a label and a decision."""
    pairs = [(row["label"], row["decision"]) for row in rows]
    return Confusion(
        found=sum(label == 1 and decision is True for label, decision in pairs),
        missed=sum(label == 1 and decision is False for label, decision in pairs),
        false_alarms=sum(label == 0 and decision is True for label, decision in pairs),
        passed=sum(label == 0 and decision is False for label, decision in pairs),
    )


def by_defect(rows: Sequence[Row]) -> list[Group]:
    """Each defect type against all the normal images of the same rows."""
    normals = [row for row in rows if row["label"] == 0]
    names = sorted({row["defect"] for row in rows if row["label"] == 1})
    return [
        _group(name, [row for row in rows if row["label"] == 1 and row["defect"] == name], normals)
        for name in names
    ]


def by_condition(rows: Sequence[Row]) -> list[Group]:
    """Each light condition by itself; empty unless there are several."""
    names = sorted({row["condition"] for row in rows})
    if len(names) < 2:
        return []
    parts = [(name, [row for row in rows if row["condition"] == name]) for name in names]
    return [
        _group(name or NO_LIGHT, [r for r in part if r["label"] == 1], [r for r in part if r["label"] == 0])
        for name, part in parts
    ]


def timing(rows: Sequence[Row], *, name: str) -> Timing:
    """Median and 95th percentile of the rows' milliseconds."""
    values = [row["milliseconds"] for row in rows if math.isfinite(row["milliseconds"])]
    if not values:
        return Timing(name, len(rows), None, None)
    return Timing(name, len(rows), float(np.median(values)), float(np.percentile(values, 95)))


def interval(part: int, whole: int) -> tuple[float, float] | None:
    """The 95% Wilson interval of a share; None without images."""
    return wilson(part, whole) if whole else None


def _group(name: str, anomalous: list[Row], normals: list[Row]) -> Group:
    both = [*anomalous, *normals]
    curve = roc_points([row["score"] for row in both], [row["label"] for row in both])
    counts = confusion(anomalous)
    found = counts.found if counts.total else None
    return Group(name, len(anomalous), found, counts.recall, None if curve is None else curve.area)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
