"""Whether probabilities mean what they say: reliability diagrams, Brier score, calibration error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adframe.analysis.compared_runs import Entrant
from adframe.analysis.comparison_table import LEVEL, RESAMPLES
from adframe.analysis.error_analysis.common import (
    FIGURES,
    Part,
    categories_of,
    labels_of,
    narrow,
    rows_of,
    seed_of,
    slug,
)
from adframe.reporting.document import Block, Section, TableBlock
from adframe.reporting.figures import reliability as reliability_figure
from adframe.reporting.tables import Cell, Column, Table
from adframe.stats.bootstrap import multiplicities, percentile_interval, strata_of
from adframe.stats.calibration_error import brier, calibration_error, reliability_bins

_BINS = 10
_TITLE = "Probabilities"
_COLUMNS = (
    *(Column("category", "category"), Column("run", "run"), Column("images", "images")),
    *(Column("share", "anomalous", True), Column("predicted", "mean probability", True)),
    *(Column("brier", "Brier score"), Column("brier_ends", "95% interval"), Column("ece", "ECE", True)),
)
_NONE = (
    "No run has probabilities. calibration.probability=platt or isotonic fits them where validation has "
    "anomalous images, which split=mvtec_shift_protocol takes from test."
)
_HOW = (
    "Probabilities hold for a share of anomalous images like validation's; where test has another share, the "
    "whole curve lies off the diagonal. The calibration error (ECE) of few images is above 0 by chance."
)


def by_probability(runs: Sequence[Entrant], *, seed: int) -> Part:
    """How well the probabilities of each run are calibrated, where it has any."""
    known = {
        (category, run.name): (
            np.array([row["probability"] for row in rows], np.float64),
            labels_of(rows),
            rows,
        )
        for category in categories_of(runs)
        for run in runs
        if (rows := rows_of(run, category)) and all(row["probability"] is not None for row in rows)
    }
    if not known:
        return Part(Section(_TITLE, (_NONE,)))
    lines: list[tuple[Cell, ...]] = []
    for (category, name), (probabilities, labels, rows) in known.items():
        weights = multiplicities(
            strata_of(labels, subsets=np.array([row["subset"] for row in rows], dtype=str)),
            groups=[row["group"] for row in rows],
            values=(np.array([row["path"] for row in rows], dtype=str),),
            resamples=RESAMPLES,
            seed=seed_of(seed, category),
        ).astype(np.float64)
        drawn = weights @ (probabilities - labels) ** 2 / weights.sum(axis=1)
        low, high = percentile_interval(drawn, level=LEVEL)
        means = (float(labels.mean()), float(probabilities.mean()))
        error = calibration_error(probabilities, labels, bins=_BINS)
        lines.append(
            (
                category,
                name,
                len(labels),
                *means,
                brier(probabilities, labels),
                f"{low:.3f} to {high:.3f}",
                error,
            )
        )
    numbers = TableBlock(
        "probabilities",
        "Brier score (mean squared distance from the truth, lower is better) and expected calibration error.",
        narrow(Table(_COLUMNS, tuple(lines))),
    )
    blocks: list[Block] = [_HOW, numbers]
    for category in list(dict.fromkeys(category for category, _ in known))[:FIGURES]:
        series = {
            f"run {name}": reliability_bins(p, truth, bins=_BINS)
            for (own, name), (p, truth, _) in known.items()
            if own == category
        }
        caption = f"Share of the images of {category} that are anomalous, by predicted probability."
        blocks.append(reliability_figure(slug("reliability", category), caption=caption, series=series))
    return Part(Section(_TITLE, tuple(blocks)))
