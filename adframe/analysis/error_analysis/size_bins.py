"""Test images sorted into bins by what their annotation says of the defect: size, place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from adframe.analysis.compared_runs import Entrant, Key
from adframe.analysis.comparison_table import LEVEL, RESAMPLES
from adframe.analysis.error_analysis.common import decisions_of, keys_of, labels_of, rows_of, seed_of
from adframe.stats.binned import Binned, by_bin, terciles


@dataclass(frozen=True, slots=True)
class Criterion:
    """What of an annotation the images are sorted by."""

    column: str  # of the ledger
    title: str
    names: tuple[str, str, str]
    unit: str
    ends: tuple[str, str]  # the first and the last bin, in a sentence


SIZE = Criterion(
    *("defect_area", "size", ("small", "medium", "large"), "% of the image"),
    ends=("small defects", "large ones"),
)
BORDER = Criterion(
    *("defect_border", "distance from the border", ("near", "between", "far"), "% of the shorter side"),
    ends=("defects near the border", "those far from it"),
)


@dataclass(frozen=True, slots=True)
class Sorted:
    """One run's images of a category, sorted by one criterion."""

    category: str
    run: str
    criterion: Criterion
    names: tuple[str, ...]
    ranges: tuple[str, ...]
    bins: tuple[Binned, ...]


def sorted_by(runs: Sequence[Entrant], category: str, criterion: Criterion, *, seed: int) -> list[Sorted]:
    """One line per run; none where no defect is annotated, or all have the same size."""
    keys = keys_of(runs, category)
    values = np.array([_value(runs, key, criterion.column) for key in keys], dtype=np.float64)
    known = np.isfinite(values)
    limits = terciles(values[known])
    if not limits:
        return []
    place = np.where(known, np.searchsorted(limits, np.nan_to_num(values), side="left"), -1)
    names = criterion.names if len(limits) == 2 else (criterion.names[0], criterion.names[2])
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
            level=LEVEL,
            seed=seed_of(seed, category),
        )
        found.append(Sorted(category, run.name, criterion, names, _ranges(limits), tuple(bins)))
    return found


def _value(runs: Sequence[Entrant], key: Key, column: str) -> float:
    """As the first run that knows it; NaN where none does. Bins must be the same for all."""
    known = (run.images[key][column] for run in runs if run.images[key]["label"] == 1)
    return next((float(value) for value in known if value is not None), float("nan"))


def _ranges(limits: Sequence[float]) -> tuple[str, ...]:
    texts = [f"{100 * limit:.2g}" for limit in limits]
    between = [f"{low} to {high}" for low, high in pairwise(texts)]
    return (f"up to {texts[0]}", *between, f"above {texts[-1]}")
