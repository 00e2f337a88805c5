"""Intervals on their way from a category's rows into metrics.json and onto the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adframe.app.folder import RunFolder
from adframe.app.intervals import intervals_of
from adframe.contracts import AdframeError
from adframe.reports.page import write_page
from adframe.reports.run_folder import read_run
from tests.fakes.run_folder import row, write_run

ROWS = [row(score=float(i), label=int(i > 3), subset="anomaly" if i > 3 else "good") for i in range(9)]


def test_every_interval_holds_low_and_high_and_undefined_ones_are_left_out() -> None:
    found = intervals_of([*ROWS, row(score=2.5, label=None)], seed=0)
    assert found["image/auroc"] == [1.0, 1.0]
    assert all(0 <= low <= high <= 1 for low, high in found.values())
    assert "image/auroc" not in intervals_of([row(), row()], seed=0)
    assert "image/f1" not in intervals_of([row(threshold=None, decision=None)], seed=0)


def test_a_resumed_run_keeps_the_intervals_that_it_had(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.open(config={}, environment={})
    folder.add("a", results={"image/auroc": 0.9}, rows=[], pictures=[], intervals={"image/auroc": [0.8, 1]})
    again = RunFolder(folder.path)
    again.reopen()
    again.add("b", results={"image/auroc": 0.7}, rows=[], pictures=[], intervals={"image/auroc": [0.6, 0.8]})
    stored = json.loads((folder.path / "metrics.json").read_text())["intervals"]
    assert stored == {"test": {"a": {"image/auroc": [0.8, 1]}, "b": {"image/auroc": [0.6, 0.8]}}}


def test_the_page_shows_them_below_their_numbers_and_does_without(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", pictures=0)
    assert "95% interval" not in write_page(run).read_text()
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["intervals"] = {"test": {"tray": {"image/auroc": [0.512, 0.903]}}}
    (run / "metrics.json").write_text(json.dumps(metrics))
    assert write_page(run).read_text().count(">51.2 to 90.3</small>") == 1


def test_intervals_of_another_shape_are_refused_with_the_file(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", pictures=0)
    metrics = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text(json.dumps(metrics | {"intervals": {"test": {"tray": {"x": [1]}}}}))
    with pytest.raises(AdframeError, match=r"metrics\.json"):
        read_run(run)
