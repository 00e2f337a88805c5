"""Intervals on their way from a category's rows into metrics.json and onto the page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from adframe.contracts import Region
from adframe.errors import AdframeError
from adframe.metrics.image import image_metrics
from adframe.metrics.measured import intervals_of, measured_metrics
from adframe.metrics.pixel import PixelMetrics
from adframe.metrics.resampled import drawn_metrics
from adframe.reporting.run_page import write_page
from adframe.results.run_folder import RunFolder
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
    pixel = pixels(rows)
    labels, scores = [each["label"] for each in rows], [each["score"] for each in rows]
    values = image_metrics(
        scores=scores,
        labels=labels,
        subsets=[each["subset"] for each in rows],
        threshold=rows[0]["threshold"],
    )
    drawn = drawn_metrics(rows, pixel=pixel)
    # Other metrics need only a value: here it is the mean of the draws.
    means = {name: float(np.mean(draws)) for name, draws in drawn.items()}
    return intervals_of(measured_metrics(means | values | pixel.compute(), drawn, images=rows))


def test_every_interval_holds_low_and_high_and_undefined_ones_are_left_out() -> None:
    found = intervals([*ROWS, row(score=2.5, label=None)])
    low, high = found["image/auroc"]  # a perfect ranking of nine images
    assert (low < 0.8, high) == (True, 1.0)
    assert {"pixel/auroc", "pixel/aupro_0.3"} < set(found)
    assert all(0 <= low < high <= 1 for low, high in found.values())
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


def test_categories_are_drawn_apart() -> None:
    one, other = ([each | {"category": name} for each in ROWS] for name in ("a", "b"))
    drawn = [drawn_metrics(rows, pixel=pixels(rows)) for rows in (one, other)]
    assert not np.array_equal(drawn[0]["pixel/f1_max"], drawn[1]["pixel/f1_max"])


def test_a_resumed_run_keeps_its_intervals_and_that_of_the_mean_is_shorter(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.open(config={}, environment={})
    drawn = {"image/auroc": np.linspace(0.7, 1, 401)}
    add = {"pictures": [], "defects": {}, "drawn": drawn, "results": {"image/auroc": 0.9}}
    rows = {name: [each | {"category": name, "path": f"{n}"} for n, each in enumerate(ROWS)] for name in "ab"}
    folder.add("a", rows=rows["a"], **add)
    first = folder.intervals["a"]["image/auroc"]
    again = RunFolder(folder.path)
    again.reopen()
    again.add("b", rows=rows["b"], **add)
    stored = json.loads((folder.path / "metrics.json").read_text())
    ends = {name: tuple(each["image/auroc"]) for name, each in stored["intervals"]["test"].items()}
    assert ends["a"] == ends["b"] == first
    assert stored["resampling_seeds"] == {"a": 0, "b": 0}
    low, high = ends["mean"]
    assert 1 / np.sqrt(2) - 0.1 < (high - low) / (first[1] - first[0]) < 0.85


def test_an_earlier_runs_percentiles_are_replaced_where_its_draws_are_there(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.open(config={}, environment={})
    rows = [each | {"category": "a", "path": f"{n}"} for n, each in enumerate(ROWS)]
    add = {"pictures": [], "defects": {}, "results": {"image/auroc": 1.0}}
    folder.add("a", rows=rows, drawn={"image/auroc": np.ones(100)}, **add)
    expected = folder.intervals
    file = folder.path / "metrics.json"
    metrics = json.loads(file.read_text())
    del metrics["resampling_seeds"]
    metrics["intervals"]["test"] = {name: {"image/auroc": [1.0, 1.0]} for name in ("a", "mean")}
    file.write_text(json.dumps(metrics))
    assert RunFolder.read(folder.path).intervals == expected
    (folder.path / "resamples" / "a.npz").unlink()
    assert RunFolder.read(folder.path).intervals["a"]["image/auroc"] == (1.0, 1.0)


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
