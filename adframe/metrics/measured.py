"""Joins the metrics of a category with their bootstrap draws and the number of independent units."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from adframe.metrics.subsets import ImageSelection, condition_selections, subset_selections
from adframe.stats.intervals import MeanOf, Measured, Units, interval_of


def measured_metrics(
    values: Mapping[str, float | None],
    drawn: Mapping[str, np.ndarray],
    *,
    images: Sequence[Mapping[str, Any]],
) -> dict[str, Measured]:
    """Joins metrics with their draws, for their intervals.

    Args:
        values: metric -> value; None or NaN where it is not defined.
        drawn: metric -> (resamples,) draws.
        images: the tested images of the category, with `label`, `subset`, `condition`, `group` and `path`.

    Returns:
        Metric -> the metric with its draws; without metrics that have no value or no draws.
    """
    units = units_by_selection(images)
    found = {}
    for name, draws in drawn.items():
        value = values.get(name)
        prefix = name.split("/")[0]
        own = units.get(prefix, units[""])
        start = f"{prefix}/" if prefix in units and prefix else ""
        measured = Measured(
            name, math.nan if value is None else float(value), draws, own, _called(values, own, start=start)
        )
        if measured.known:
            found[name] = measured
    return found


def intervals_of(measured: Mapping[str, Measured]) -> dict[str, list[float]]:
    """Computes the 95 % intervals of metrics.

    Args:
        measured: metric -> the metric with its draws.

    Returns:
        Metric -> [low, high].
    """
    return {name: list(interval_of(each)) for name, each in measured.items()}


def intervals_of_means(categories: Sequence[Mapping[str, Measured]]) -> dict[str, list[float]]:
    """Computes the 95 % intervals of means over categories.

    Args:
        categories: for each category, metric -> the metric with its draws.

    Returns:
        Metric -> [low, high], for metrics that every category has.
    """
    names = [name for name in categories[0] if all(name in each for each in categories)]
    return {name: list(interval_of(MeanOf([each[name] for each in categories]))) for name in names}


def units_by_selection(images: Sequence[Mapping[str, Any]]) -> dict[str, Units]:
    """Counts the independent units of all labelled images, and of each subset and condition.

    A unit is a photographed part, or an image on its own. A part with normal and anomalous images counts in
    both numbers.

    Args:
        images: the tested images, with `label`, `subset`, `condition`, `group` and `path`.

    Returns:
        Name of the subset or condition, "" for all images -> its units.
    """
    known = [each for each in images if each["label"] is not None]
    selections = [
        ImageSelection(),
        *subset_selections(each["subset"] for each in known),
        *condition_selections(each["condition"] for each in known),
    ]
    found = {}
    for selection in selections:
        parts: dict[bool, set[tuple[str, str]]] = {False: set(), True: set()}
        chosen = 0
        for each in known:
            if selection.includes(subset=each["subset"], condition=each["condition"]):
                chosen += 1
                part = ("part", each["group"]) if each["group"] else ("image", str(each["path"]))
                parts[bool(each["label"])].add(part)
        counts = len(parts[False]), len(parts[True])
        found[selection.subset or selection.condition] = Units(*counts, grouped=chosen > sum(counts))
    return found


def _called(values: Mapping[str, float | None], units: Units, *, start: str) -> float:
    """Returns the number of units that are called anomalous; NaN where decisions are unknown."""
    recall, alarms = values.get(f"{start}image/recall"), values.get(f"{start}image/fpr")
    if recall is None or alarms is None:
        return math.nan
    return recall * units.anomalous + alarms * units.normal
