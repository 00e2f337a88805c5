"""The page of any sweep, from what its runs left."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from adframe.analysis.studies.ablation import Ablation
from adframe.analysis.studies.ablation_figures import numeric_key
from adframe.analysis.studies.ablation_results import AblationResults, read_ablation
from adframe.analysis.study import failure_notes
from adframe.results.sweep_folder import read_sweep
from tests.fakes.study_runs import leave_failure, leave_run

METRICS = ["image/auroc", "pixel/aupro_0.3"]


def board_of(sweep: Path) -> AblationResults:
    board = read_ablation(read_sweep(sweep), METRICS)
    assert board is not None
    return board


def test_a_page_with_tables_and_figures_of_all_that_finished(tmp_path: Path) -> None:
    for number, (share, skill) in enumerate((("0.01", 0.2), ("0.1", 1.0), ("1.0", 4.0))):
        leave_run(tmp_path, number, f"coreset={share}", skills={"bolt": skill, "tray": skill + 0.5})
    leave_failure(tmp_path, 3, "coreset=2")
    page = Ablation(metrics=METRICS).write(read_sweep(tmp_path))
    assert page == tmp_path / "study.html"
    text = page.read_text()
    assert "Run 3 (coreset=2) failed and is not included in any number here: no such thing" in text
    assert "you choose it on test data" in text
    names = {path.stem for path in (tmp_path / "figures").glob("*.svg")}
    assert names >= {"curve_image_auroc", "bars_image_auroc", "categories_heatmap", "pairs_heatmap", "roc"}
    rows = list(csv.DictReader((tmp_path / "tables/results.csv").open()))
    assert {row["category"] for row in rows} == {"bolt", "tray", "mean"}
    assert {row["coreset"] for row in rows} == {"0.01", "0.1", "1.0"}


def test_runs_that_failed_with_the_same_advice_share_a_note(tmp_path: Path) -> None:
    for number, error in enumerate(("no a; fetch it", "no such thing", "no b; fetch it", "no c; buy it")):
        leave_failure(tmp_path, number, f"model={number}", error=error)
    leave_run(tmp_path, 4, "model=4", skills={"bolt": 1.0})
    assert failure_notes(read_sweep(tmp_path)) == [
        "2 runs failed and are not included in any number here. Run 0 (model=0): no a. "
        "Run 2 (model=2): no b. For all of them: fetch it",
        "Run 1 (model=1) failed and is not included in any number here: no such thing",
        "Run 3 (model=3) failed and is not included in any number here: no c; buy it",
    ]


def test_with_fewer_than_two_finished_runs_there_is_no_page(tmp_path: Path) -> None:
    leave_run(tmp_path, 0, "x=1", skills={"bolt": 1.0})
    leave_failure(tmp_path, 1, "x=2")
    assert Ablation().write(read_sweep(tmp_path)) is None
    assert not (tmp_path / "study.html").exists()


def test_what_the_images_cannot_show_is_not_claimed(tmp_path: Path) -> None:
    for number in range(3):
        leave_run(tmp_path, number, f"x={number}", skills={"bolt": 1.0})
    study = Ablation().study(board_of(tmp_path))
    assert study.title == "x: no significant difference in image AUROC"
    assert "no significant difference between any two of the 3 settings" in study.findings[0]
    assert re.search(r"for x \d compared with x \d \(", study.findings[0])  # a bare number says nothing
    assert not any("higher" in text or "highest" in text for text in study.findings)


def test_what_they_show_names_the_better_one_and_the_difference(tmp_path: Path) -> None:
    for number, skill in enumerate((0.0, 4.0, 4.0)):
        leave_run(tmp_path, number, f"x={'abc'[number]}", skills={"bolt": skill})
    study, means = Ablation().study(board_of(tmp_path)), board_of(tmp_path).means("image/auroc")
    best, second = sorted("bc", key=lambda name: -means[name].value)
    assert f"{best} has a significantly higher image AUROC than 1 of 2 others" in study.title
    assert (
        f"It is significantly above a by {100 * (means[best].value - means['a'].value):.1f}"
        in study.findings[0]
    )
    assert f"It does not differ significantly from {second}" in study.findings[0]


def test_of_many_settings_figures_show_eight_and_say_so(tmp_path: Path) -> None:
    for number in range(10):
        leave_run(tmp_path, number, f"x=v{number}", skills={"bolt": number / 3})
    board = board_of(tmp_path)
    assert len(board.shown) == 8
    assert len(board.pairs) == 45
    assert any("show 8 of 10 settings" in note for note in Ablation().study(board).notes)


def test_seeds_are_replicates_with_a_spread(tmp_path: Path) -> None:
    for number in range(4):
        told = f"x={number // 2}", f"seed={number % 2}"
        leave_run(tmp_path, number, *told, skills={"bolt": 0.5 + number}, seed=number % 2)
    board = board_of(tmp_path)
    assert [each.name for each in board.settings] == ["0", "1"]
    pair = board.settings[0].values("bolt", "image/auroc")
    found = board.means("image/auroc")["0"]
    assert (found.value, found.seeds) == (pytest.approx(sum(pair) / 2), 2)
    assert found.spread == pytest.approx(abs(pair[0] - pair[1]) / 2**0.5)


def test_a_number_that_was_swept_is_an_axis_and_words_are_not(tmp_path: Path) -> None:
    values = [("0.1", "pca"), ("0.2", "pca"), ("0.5", "none")]
    for number, (share, word) in enumerate(values):
        leave_run(tmp_path, number, f"coreset={share}", f"reduce={word}", skills={"bolt": 1.0})
    assert numeric_key(board_of(tmp_path).settings) == "coreset"
