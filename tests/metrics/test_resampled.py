"""Intervals on their way from a category's rows into metrics.json and onto the page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from adframe.contracts import Region
from adframe.errors import AdframeError
from adframe.metrics.pixel import PixelMetrics
from adframe.metrics.resampled import drawn_metrics
from adframe.reporting.run_page import write_page
from adframe.results.run_folder import RunFolder
from adframe.stats.bootstrap import mean_of, percentile_intervals
from tests.fakes.run_folder import row, write_run

ROWS = [row(score=float(i), label=int(i > 3), subset="anomaly" if i > 3 else "good") for i in range(9)]


def pixels(rows: list[dict], **settings: object) -> PixelMetrics:
    """Maps whose pixels are drawn around their image's score, with a defect in the anomalous ones."""
    pixel, rng = PixelMetrics(limits=(0.3,), **settings), np.random.default_rng(0)
    for place, each in enumerate(rows):
        square = [Region(2, 2, np.ones((4, 4), bool), 16.0)] if each["label"] else []
        heatmap = (rng.normal(size=(12, 12)) + each["score"]).astype(np.float32)
        pixel.update(heatmap=heatmap, regions=square, defect="x", subset=each["subset"], path=str(place))
    return pixel


def intervals(rows: list[dict]) -> dict[str, list[float]]:
    return percentile_intervals(drawn_metrics(rows, pixel=pixels(rows), seed=0))


def test_every_interval_holds_low_and_high_and_undefined_ones_are_left_out() -> None:
    found = intervals([*ROWS, row(score=2.5, label=None)])
    assert found["image/auroc"] == [1.0, 1.0]
    assert {"pixel/auroc", "pixel/aupro_0.3"} < set(found)
    assert all(0 <= low <= high <= 1 for low, high in found.values())
    assert "image/auroc" not in intervals([row(), row()])
    assert "image/f1" not in intervals([row(threshold=None, decision=None)])


def test_decisions_by_zones_and_probabilities_have_intervals_where_there_are_such() -> None:
    extra = [each | {"by_zones": i % 2 == 0, "probability": i / 9} for i, each in enumerate(ROWS)]
    found = intervals(extra)
    new = {"zones/image/f1", "zones/image/recall", "image/ece", "image/brier"}
    assert new <= set(found)
    assert not new & set(intervals(ROWS))
    low, high = found["zones/image/recall"]
    assert low < 3 / 5 < high


def test_categories_are_drawn_apart_and_their_mean_is_drawn_by_drawn() -> None:
    one, other = ([each | {"category": name} for each in ROWS] for name in ("a", "b"))
    drawn = [drawn_metrics(rows, pixel=pixels(rows), seed=0) for rows in (one, other)]
    assert not np.array_equal(drawn[0]["pixel/f1_max"], drawn[1]["pixel/f1_max"])
    expected = (drawn[0]["pixel/f1_max"] + drawn[1]["pixel/f1_max"]) / 2
    assert np.array_equal(mean_of(drawn)["pixel/f1_max"], expected)


def test_a_resumed_run_keeps_the_intervals_that_it_had(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.open(config={}, environment={})
    drawn = {name: {"image/auroc": np.linspace(low, 1, 401)} for name, low in (("a", 0.8), ("b", 0.6))}
    add = {"rows": [], "pictures": [], "defects": {}}
    folder.add("a", results={"image/auroc": 0.9}, drawn=drawn["a"], **add)
    again = RunFolder(folder.path)
    again.reopen()
    again.add("b", results={"image/auroc": 0.7}, drawn=drawn["b"], **add)
    stored = json.loads((folder.path / "metrics.json").read_text())["intervals"]["test"]
    ends = {"a": [0.805, 0.995], "b": [0.61, 0.99], "mean": [0.7075, 0.9925]}
    assert {name: each["image/auroc"] for name, each in stored.items()} == {
        name: pytest.approx(each) for name, each in ends.items()
    }


def test_the_page_shows_them_below_their_numbers_and_does_without(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", pictures=0)
    assert "95 % bootstrap" not in write_page(run).read_text()
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["intervals"] = {"test": {"tray": {"image/auroc": [0.512, 0.903]}}}
    (run / "metrics.json").write_text(json.dumps(metrics))
    assert write_page(run).read_text().count("(51.2 to 90.3)") == 1


def test_intervals_of_another_shape_are_refused_with_the_file(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", pictures=0)
    metrics = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text(json.dumps(metrics | {"intervals": {"test": {"tray": {"x": [1]}}}}))
    with pytest.raises(AdframeError, match=r"metrics\.json"):
        RunFolder.read(run)
