"""The test images of an error analysis, as every part of it reads them."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from adframe.analysis.compared_runs import Entrant, Key
from adframe.errors import AdframeError
from adframe.reporting.document import Section
from adframe.reporting.tables import Table
from adframe.results.predictions import Row

FIGURES = 6  # categories that get figures of their own; tables have all


DEPENDENT = (
    " Several images show one part; the test takes them for independent, so its p is too small and nothing "
    "is concluded from it."
)


@dataclass(frozen=True, slots=True)
class Part:
    """One section, and the sentences that its intervals support."""

    section: Section
    findings: tuple[str, ...] = field(default_factory=tuple)


def check_decided(runs: Sequence[Entrant]) -> None:
    """Refuses runs without a threshold: nothing was decided, so nothing was decided wrongly."""
    for run in runs:
        if any(row["decision"] is None for row in run.images.values()):
            raise AdframeError(
                f"{run.run.path} has no decisions in its predictions.parquet; only a run with a calibrated "
                "threshold can have made mistakes"
            )


def categories_of(runs: Sequence[Entrant]) -> list[str]:
    """The categories of the runs, in the order of the predictions."""
    return list(dict.fromkeys(category for category, _ in runs[0].images))


def keys_of(runs: Sequence[Entrant], category: str) -> list[Key]:
    """A category's images, in an order that does not depend on that of the predictions."""
    return sorted(key for key in runs[0].images if key[0] == category)


def rows_of(run: Entrant, category: str) -> list[Row]:
    """The rows of the images of a category, in the order of `keys_of`."""
    return [run.images[key] for key in keys_of([run], category)]


def labels_of(rows: Sequence[Row]) -> np.ndarray:
    """(n,) bool, True for anomalous."""
    return np.array([row["label"] == 1 for row in rows], dtype=bool)


def decisions_of(rows: Sequence[Row]) -> np.ndarray:
    """(n,) bool, True for images that are called anomalous."""
    return np.array([row["decision"] is True for row in rows], dtype=bool)


def is_wrong(row: Row) -> bool:
    """Whether the decision differs from the label."""
    return bool(row["decision"]) != bool(row["label"])


def spread_of(rows: Sequence[Row]) -> float:
    """Standard deviation of a category's normal validation scores, from scores and their z-scores.

    NaN where the ledger has none. Raw scores differ by what they were divided by, whatever was subtracted.
    """
    pairs = [(row["score"], row["normalised"]) for row in rows if row["normalised"] is not None]
    if len(pairs) < 2:
        return math.nan
    low, high = min(pairs), max(pairs)
    return (high[0] - low[0]) / (high[1] - low[1]) if high[1] > low[1] else math.nan


def is_standardised(run: Entrant) -> bool:
    """Whether the ledger's normalised scores are z-scores."""
    node = run.run.config.get("calibration")
    return isinstance(node, dict) and node.get("normalisation") == "z_score"


def excesses(run: Entrant, category: str) -> dict[Key, float]:
    """How far each score lies above the threshold, in standard deviations of normal validation scores."""
    rows = rows_of(run, category)
    spread = spread_of(rows) if is_standardised(run) else math.nan
    pairs = zip(keys_of([run], category), rows, strict=True)
    return {key: (row["score"] - row["threshold"]) / spread for key, row in pairs}


def margin(run: Entrant, key: Key) -> float:
    """How far on the right side of the threshold, in raw score; below 0 for a mistake."""
    row = run.images[key]
    return float(row["score"] - row["threshold"]) * (1 if row["label"] == 1 else -1)


def seed_of(seed: int, category: str) -> tuple[int, int]:
    """The seed of the draws of a category: with one seed, the draws of all categories would move together."""
    return seed, zlib.crc32(category.encode())


def slug(*parts: str) -> str:
    """The name of a file: letters, digits and `_`; names that differ in other letters stay different."""
    text = "_".join(parts)
    plain = re.sub(r"[^A-Za-z0-9_]+", "_", text)
    return plain if plain == text else f"{plain}_{zlib.crc32(text.encode()):08x}"


def narrow(table: Table) -> Table:
    """A table without its columns of categories and of runs where each would say the same in every row."""
    kept = [
        place
        for place, column in enumerate(table.columns)
        if column.key not in ("category", "run") or len({row[place] for row in table.rows}) > 1
    ]
    columns = tuple(table.columns[place] for place in kept)
    return Table(columns, tuple(tuple(row[place] for place in kept) for row in table.rows))
