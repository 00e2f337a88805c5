"""The test images of an error analysis, as all of its sections read them."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Sequence

import numpy as np

from adframe.analysis.compared_runs import ComparedRun, Key
from adframe.errors import AdframeError
from adframe.reporting.document import Section
from adframe.reporting.tables import Table
from adframe.results.predictions import Row

CATEGORIES_WITH_FIGURES = 6  # the tables have all categories
DEPENDENT_IMAGES = (
    " Several images show one part. The test assumes independent images, so its p value is too small and no "
    "conclusion is drawn from it."
)
Analysed = tuple[Section, list[str]]  # a section of the page, and its significant findings as sentences


def check_decided(runs: Sequence[ComparedRun]) -> None:
    """Checks that every run has decisions: without a threshold no decision can be wrong.

    Args:
        runs: the runs to analyse.

    Raises:
        AdframeError: a test image of a run has no decision.
    """
    for run in runs:
        if any(row["decision"] is None for row in run.images.values()):
            raise AdframeError(
                f"{run.run.path} has no decisions in its predictions.parquet; analyse a run with a "
                "calibrated threshold"
            )


def categories_of(runs: Sequence[ComparedRun]) -> list[str]:
    """Returns the categories of the runs, in the order of the predictions.

    Args:
        runs: runs on the same images.
    """
    return list(dict.fromkeys(category for category, _ in runs[0].images))


def keys_of(runs: Sequence[ComparedRun], category: str) -> list[Key]:
    """Returns the keys of a category's images, in an order that does not depend on the predictions.

    Args:
        runs: runs on the same images.
        category: name of the category.
    """
    return sorted(key for key in runs[0].images if key[0] == category)


def rows_of(run: ComparedRun, category: str) -> list[Row]:
    """Returns the predictions of a category, in the order of `keys_of`.

    Args:
        run: the run.
        category: name of the category.
    """
    return [run.images[key] for key in keys_of([run], category)]


def labels_of(rows: Sequence[Row]) -> np.ndarray:
    """Returns the labels of predictions.

    Args:
        rows: n predictions.

    Returns:
        (n,) bool, True for anomalous images.
    """
    return np.array([row["label"] == 1 for row in rows], dtype=bool)


def decisions_of(rows: Sequence[Row]) -> np.ndarray:
    """Returns the decisions of predictions.

    Args:
        rows: n predictions.

    Returns:
        (n,) bool, True for images that are called anomalous.
    """
    return np.array([row["decision"] is True for row in rows], dtype=bool)


def is_wrong(row: Row) -> bool:
    """Returns whether a decision differs from the label.

    Args:
        row: prediction of a labelled image with a decision.
    """
    return bool(row["decision"]) != bool(row["label"])


def validation_deviation(rows: Sequence[Row]) -> float:
    """Computes the standard deviation of normal validation scores from scores and their z-scores.

    A z-score is (score - mean) / deviation, so two images with different scores determine the deviation.

    Args:
        rows: predictions of a category whose normalised scores are z-scores.

    Returns:
        The deviation in units of the raw score; NaN where fewer than two images have a z-score.
    """
    pairs = [(row["score"], row["normalised"]) for row in rows if row["normalised"] is not None]
    if len(pairs) < 2:
        return math.nan
    low, high = min(pairs), max(pairs)
    return (high[0] - low[0]) / (high[1] - low[1]) if high[1] > low[1] else math.nan


def deviations_above_threshold(run: ComparedRun, category: str) -> dict[Key, float]:
    """Computes how far each score is above the threshold, in standard deviations of normal validation scores.

    Args:
        run: the run.
        category: name of the category.

    Returns:
        The distance of each image, negative below the threshold; NaN where the run has no z-scores.
    """
    rows = rows_of(run, category)
    calibration = run.run.config.get("calibration")
    has_z_scores = isinstance(calibration, dict) and calibration.get("normalisation") == "z_score"
    deviation = validation_deviation(rows) if has_z_scores else math.nan
    pairs = zip(keys_of([run], category), rows, strict=True)
    return {key: (row["score"] - row["threshold"]) / deviation for key, row in pairs}


def margin(run: ComparedRun, key: Key) -> float:
    """Computes the distance from the threshold in raw score: positive for a right decision, negative for a
    wrong one.

    Args:
        run: the run.
        key: key of the image.
    """
    row = run.images[key]
    return float(row["score"] - row["threshold"]) * (1 if row["label"] == 1 else -1)


def file_stem(*parts: str) -> str:
    """Returns the name of a file, of letters, digits and `_`; names that differ keep different files.

    Args:
        parts: joined by `_`, such as the figure and the category.
    """
    text = "_".join(parts)
    plain = re.sub(r"[^A-Za-z0-9_]+", "_", text)
    return plain if plain == text else f"{plain}_{zlib.crc32(text.encode()):08x}"


def without_constant_names(table: Table) -> Table:
    """Returns a table without its columns of categories and of runs if they are equal in all rows.

    Args:
        table: the table to shorten for people; the CSV file keeps all columns.
    """
    kept = [
        place
        for place, column in enumerate(table.columns)
        if column.key not in ("category", "run") or len({row[place] for row in table.rows}) > 1
    ]
    columns = tuple(table.columns[place] for place in kept)
    return Table(columns, tuple(tuple(row[place] for place in kept) for row in table.rows))
