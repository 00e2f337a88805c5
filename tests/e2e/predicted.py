"""A model that is loaded from its run says about the test images what the run's own test said."""

from __future__ import annotations

from pathlib import Path

import adframe
from adframe.results.predictions import read_predictions

STORED = ("score", "threshold", "normalised", "probability", "reported", "by_zones")


def assert_predicts_its_own_test(run: Path, *, category: str) -> None:
    """To the last digit, whatever the order of the images and the size of the batches."""
    detector = adframe.load(run, category=category)
    rows = [row for row in read_predictions(run / "predictions.parquet") if row["category"] == category]
    assert rows
    for place, batch_size in ((1, 8), (-1, 3)):
        results = detector.predict([row["path"] for row in rows][::place], batch_size=batch_size)
        for row, result in zip(rows[::place], results, strict=True):
            decision = result.decision
            assert {name: getattr(decision, name) for name in STORED} == {name: row[name] for name in STORED}
            assert (result.name, result.anomalous) == (row["path"], row["decision"])
            assert result.heatmap.shape == (row["height"], row["width"])
