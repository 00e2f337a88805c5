"""Test images in bins of what their annotation says of the defect: its size, its distance from the border."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from adframe.analysis.compared_runs import ComparedRun, Key
from adframe.analysis.error_analysis.common import decisions_of, keys_of, labels_of, rows_of
from adframe.stats.binned import Binned, by_bin, terciles
from adframe.stats.bootstrap import RESAMPLES, RESAMPLING_SEED


class Criterion(NamedTuple):
    """A property of the annotation by which images are put into bins.

    Attributes:
        column: column of the predictions.
        title: name of the property in a table.
        names: names of the lowest, the middle and the highest bin.
        unit: unit of the limits.
        ends: names of the defects of the lowest and of the highest bin in a sentence.

    Example:
        >>> SIZE.names, SIZE.unit
        (('small', 'medium', 'large'), '% of the image')
    """

    column: str
    title: str
    names: tuple[str, str, str]
    unit: str
    ends: tuple[str, str]


SIZE = Criterion(
    "defect_area",
    "size",
    ("small", "medium", "large"),
    "% of the image",
    ends=("small defects", "large ones"),
)
BORDER = Criterion(
    "defect_border",
    "distance from the border",
    ("near", "between", "far"),
    "% of the shorter side",
    ends=("defects near the border", "those far from it"),
)


class BinnedRun(NamedTuple):
    """The anomalous images of one run and category in bins of one criterion.

    Attributes:
        category: name of the category.
        run: name of the run.
        criterion: property that decides on the bin.
        names: name of each bin.
        ranges: range of each bin in per cent, such as `up to 1.2`.
        bins: recall and AUROC of each bin.

    Example:
        >>> from adframe.stats.intervals import Measured, Units
        >>> recall = Measured("image/recall", 0.5, np.array([0.0, 0.5, 1.0]), Units(3, 2))
        >>> auroc = Measured("image/auroc", 0.75, np.array([0.5, 0.75, 1.0]), Units(3, 2))
        >>> bins = (Binned(images=2, found=1, recall=recall, auroc=auroc),) * 2
        >>> binned = BinnedRun("bolt", "A", SIZE, ("small", "large"), ("up to 1.2", "above 1.2"), bins)
        >>> [(name, each.found) for name, each in zip(binned.names, binned.bins)]
        [('small', 1), ('large', 1)]
    """

    category: str
    run: str
    criterion: Criterion
    names: tuple[str, ...]
    ranges: tuple[str, ...]
    bins: tuple[Binned, ...]


def binned_runs(runs: Sequence[ComparedRun], category: str, criterion: Criterion) -> list[BinnedRun]:
    """Puts the annotated defects of a category into bins of about equal numbers.

    Args:
        runs: runs on the same images; the bins are the same for all.
        category: name of the category.
        criterion: property that decides on the bin.

    Returns:
        One record per run; none where no defect is annotated, or all have the same value.
    """
    keys = keys_of(runs, category)
    values = np.array([_value_of(runs, key, criterion.column) for key in keys], dtype=np.float64)
    known = np.isfinite(values)
    limits = terciles(values[known])
    if not limits:
        return []
    place = np.where(known, np.searchsorted(limits, np.nan_to_num(values), side="left"), -1)
    names = criterion.names if len(limits) == 2 else (criterion.names[0], criterion.names[2])
    texts = [f"{100 * limit:.2g}" for limit in limits]
    between = [f"{low} to {high}" for low, high in pairwise(texts)]
    ranges = (f"up to {texts[0]}", *between, f"above {texts[-1]}")
    found = []
    for run in runs:
        rows = rows_of(run, category)
        bins = by_bin(
            np.array([row["score"] for row in rows], dtype=np.float64),
            labels=labels_of(rows),
            decisions=decisions_of(rows),
            bins=place,
            groups=[row["group"] for row in rows],
            paths=[key[1] for key in keys],
            resamples=RESAMPLES,
            seed=(RESAMPLING_SEED, zlib.crc32(category.encode())),
        )
        found.append(BinnedRun(category, run.name, criterion, names, ranges, tuple(bins)))
    return found


def _value_of(runs: Sequence[ComparedRun], key: Key, column: str) -> float:
    """The value of the first run that knows it, NaN where none does: bins must be the same for all runs."""
    known = (run.images[key][column] for run in runs if run.images[key]["label"] == 1)
    return next((float(value) for value in known if value is not None), float("nan"))
