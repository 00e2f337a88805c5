"""Whether probabilities agree with frequencies: reliability diagrams, Brier score, calibration error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from adframe.analysis.compared_runs import ComparedRun
from adframe.analysis.error_analysis.common import (
    CATEGORIES_WITH_FIGURES,
    Analysed,
    categories_of,
    file_stem,
    labels_of,
    rows_of,
    without_constant_names,
)
from adframe.metrics.measured import intervals_of, measured_metrics
from adframe.metrics.resampled import resample_weights
from adframe.reporting.document import Block, Section, TableBlock
from adframe.reporting.figures import reliability as reliability_figure
from adframe.reporting.tables import Column, table_of_columns
from adframe.stats.calibration_error import brier, calibration_error, reliability_bins

_BINS = 10  # of predicted probabilities
_TITLE = "Probabilities"
_COLUMNS = (
    Column("category", "category"),
    Column("run", "run"),
    Column("images", "images"),
    Column("share", "anomalous", True),
    Column("predicted", "mean probability", True),
    Column("brier", "Brier score"),
    Column("brier_ends", "95% interval"),
    Column("ece", "ECE", True),
)
_NONE = (
    "No run has probabilities. calibration.probability=platt or isotonic fits them where validation has "
    "anomalous images, which split=mvtec_shift_protocol takes from test."
)
_HOW = (
    "Probabilities are valid for a share of anomalous images like that of validation; where test has another "
    "share, the whole curve is off the diagonal. The calibration error (ECE) of few images is above 0 by "
    "chance."
)


def analyse_probabilities(runs: Sequence[ComparedRun]) -> Analysed:
    """Measures how well the probabilities of each run are calibrated, where it has any.

    Args:
        runs: runs on the same images.
    """
    known = {
        (category, run.name): rows
        for category in categories_of(runs)
        for run in runs
        if (rows := rows_of(run, category)) and all(row["probability"] is not None for row in rows)
    }
    if not known:
        return Section(_TITLE, (_NONE,)), []
    records: list[dict[str, Any]] = []
    bins: dict[str, dict[str, Any]] = {}  # category -> run -> bins of the diagram
    for (category, name), rows in known.items():
        probabilities = np.array([row["probability"] for row in rows], np.float64)
        labels = labels_of(rows)
        weights = resample_weights(rows).astype(np.float64)
        drawn = weights @ (probabilities - labels) ** 2 / weights.sum(axis=1)
        value = brier(probabilities, labels)
        measured = measured_metrics({"image/brier": value}, {"image/brier": drawn}, images=rows)
        low, high = intervals_of(measured)["image/brier"]
        records.append(
            {
                "category": category,
                "run": name,
                "images": len(labels),
                "share": float(labels.mean()),
                "predicted": float(probabilities.mean()),
                "brier": value,
                "brier_ends": f"{low:.3f} to {high:.3f}",
                "ece": calibration_error(probabilities, labels, bins=_BINS),
            }
        )
        bins.setdefault(category, {})[f"run {name}"] = reliability_bins(probabilities, labels, bins=_BINS)
    numbers = TableBlock(
        "probabilities",
        "Brier score (mean squared distance from the truth, lower is better) and expected calibration error.",
        without_constant_names(table_of_columns(_COLUMNS, records)),
    )
    figures: list[Block] = [
        reliability_figure(
            file_stem("reliability", category),
            caption=f"Share of the images of {category} that are anomalous, by predicted probability.",
            series=series,
        )
        for category, series in list(bins.items())[:CATEGORIES_WITH_FIGURES]
    ]
    return Section(_TITLE, (_HOW, numbers, *figures)), []
