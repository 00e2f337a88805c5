"""The tidy table of finished runs: one row per test and metric, with the overrides of each run."""

from __future__ import annotations

from pathlib import Path

import pytest

from adframe.results.frame import FRAME_COLUMNS, load_results
from adframe.results.run_folder import RunFolder
from adframe.results.sweep_folder import SweepRun
from tests.fakes.study_runs import leave_run, sweep_run

AUROC = "image/auroc"


def test_the_table_holds_every_metric_of_every_category_with_interval_and_overrides(tmp_path: Path) -> None:
    for number in range(2):
        leave_run(tmp_path, number, f"coreset=0.{number + 1}", skills={"bolt": 1.0, "tray": 2.0}, seed=number)
    results = load_results([tmp_path / "0", tmp_path / "1"])
    frame = results.frame
    assert list(frame.columns) == [*FRAME_COLUMNS, "coreset"]
    assert set(frame["category"]) == {"bolt", "tray"}
    row = frame[(frame["coreset"] == "0.2") & (frame["category"] == "tray") & (frame["metric"] == AUROC)]
    run = RunFolder.read(tmp_path / "1")
    assert row[["value", "low", "high"]].iloc[0].tolist() == pytest.approx(
        [run.test["tray"][AUROC], *run.intervals["tray"][AUROC]]
    )
    assert row["seed"].tolist() == [1]


def test_draws_belong_to_a_run_a_category_and_a_metric(tmp_path: Path) -> None:
    leave_run(tmp_path, 0, "x=1", skills={"bolt": 1.0})
    (test,) = load_results([tmp_path / "0"]).tests
    assert test.draws[AUROC].shape == (1000,)
    assert (test.draws[AUROC] == RunFolder.read(tmp_path / "0").draws("bolt")[AUROC]).all()


def test_tests_are_paired_only_with_the_same_seed_and_images() -> None:
    runs = [
        sweep_run(0, {}, skills={"bolt": 1.0}),
        sweep_run(1, {}, skills={"bolt": 2.0}),
        sweep_run(2, {}, skills={"bolt": 1.0}, seed=1),
        sweep_run(3, {}, skills={"bolt": 1.0}, images="other"),
    ]
    first, *others = load_results(runs).tests
    assert [first.is_paired_with(other) for other in others] == [True, False, False]


def test_failed_runs_are_left_out_and_selection_keeps_the_order() -> None:
    runs = [sweep_run(number, {}, skills={"bolt": 1.0, "tray": 1.0}) for number in (2, 0)]
    results = load_results([*runs, SweepRun("7", {}, error="no weights")])
    assert [test.run for test in results.select(category="tray").tests] == ["2", "0"]
    assert list(results.by_run()) == ["2", "0"]
    assert all(test.own and test.domain == "" for test in results.tests)
