"""The test results of a run as plain data, which a bundle carries for its model card."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from adframe.reporting.threshold_summary import promise_sentences
from adframe.results.frame import OWN, load_results
from adframe.results.names import name_of
from adframe.results.run_folder import RunFolder

RESULTS = "results.json"


def run_results(run: Path, *, unit: str) -> dict[str, Any]:
    """Reads how a model was tested.

    Args:
        run: the folder of the run.
        unit: the model: a category, or `global`.

    Returns:
        `dataset`, `licence`, `homepage`, `shift` (of the run's own test images, "" for none), `promises`
        (sentences about the false-positive rate) and `tests`: for each category and domain the numbers of
        images and `metrics`, with [value, low, high] of each; None where an end is unknown.

    Raises:
        AdframeError: a file of the run cannot be read.
    """
    folder = RunFolder.read(run)
    dataset, shift = folder.config.get("dataset") or {}, folder.config.get("shift") or {}
    found = load_results([run])
    frame = found.frame
    tests = []
    for test in found.tests:
        if test.fitted != unit or test.threshold != OWN:
            continue
        own = frame[
            (frame["category"] == test.category)
            & (frame["domain"] == test.domain)
            & (frame["fitted"] == test.fitted)
            & (frame["threshold"] == OWN)
        ]
        metrics = {
            str(row.metric): [_number(row.value), _number(row.low), _number(row.high)]
            for row in own.itertuples()
        }
        tests.append(
            {
                "category": test.category,
                "domain": test.domain,
                "normal": sum(row["label"] == 0 for row in test.rows),
                "anomalous": sum(row["label"] == 1 for row in test.rows),
                "metrics": metrics,
            }
        )
    return {
        "dataset": name_of(dataset),
        "licence": str(dataset.get("licence", "")),
        "homepage": str(dataset.get("homepage", "")),
        "shift": str(shift.get("name", "")) if shift.get("transforms") else "",
        "promises": promise_sentences(folder),
        "tests": tests,
    }


def _number(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None
