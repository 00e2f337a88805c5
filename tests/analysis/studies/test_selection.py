"""A setting is chosen by synthetic anomalies, whatever the test images say."""

from __future__ import annotations

import csv
from pathlib import Path

import yaml

from adframe.analysis.studies.selection import Selection
from adframe.io.files import write_json
from adframe.results.sweep_folder import read_sweep
from tests.fakes.pages import words_of
from tests.fakes.study_runs import leave_run


def leave_synthetic(
    sweep: Path, number: int, values: dict[str, tuple[float, float]], *, unit: str = ""
) -> None:
    """Adds metrics on synthetic anomalies to a run: category -> image AUROC and AU-PRO 0.3."""
    file = sweep / str(number) / "metrics.json"
    books = yaml.safe_load(file.read_text())
    for category, (image, pixel) in values.items():
        facts = {"synthetic/image/auroc": image, "synthetic/pixel/aupro_0.3": pixel}
        books["val"].setdefault(unit or category, {}).update(facts)
    write_json(file, books)


def test_the_highest_mean_of_the_criteria_is_chosen_in_each_category(tmp_path: Path) -> None:
    skills = {"bolt": 1.0, "nut": 1.0}
    # The test prefers setting 2 clearly; the synthetic anomalies do not.
    for number, (bolt, nut) in enumerate([((0.9, 0.8), (0.7, 0.7)), ((0.8, 0.85), (0.9, 0.6))]):
        leave_run(
            tmp_path, number, f"tiling=t{number}", skills={k: v + 3 * number for k, v in skills.items()}
        )
        leave_synthetic(tmp_path, number, {"bolt": bolt, "nut": nut})
    page = Selection(metrics=["image/auroc"]).write(read_sweep(tmp_path))
    assert page is not None
    text = words_of(page)
    assert "Synthetic anomalies choose tiling=t0 for bolt; tiling=t1 for nut" in text
    assert "bolt: tiling=t0 has the highest mean of image AUROC and AU-PRO 0.3 on synthetic anomalies" in text
    with (tmp_path / "tables/selection.csv").open() as file:
        rows = list(csv.DictReader(file))
    chosen = {(row["category"], row["setting"]) for row in rows if row["chosen"] == "1"}
    assert chosen == {("bolt", "t0"), ("nut", "t1")}
    assert len(rows) == 4
    assert {round(float(row["criterion"]), 6) for row in rows} == {0.85, 0.825, 0.7, 0.75}


def test_one_model_for_all_categories_is_found_under_its_own_name(tmp_path: Path) -> None:
    for number, value in enumerate((0.6, 0.9)):
        leave_run(tmp_path, number, f"tiling=t{number}", skills={"bolt": 1.0})
        file = tmp_path / str(number) / "metrics.json"
        books = yaml.safe_load(file.read_text())
        books["val"] = {}
        write_json(file, books)
        leave_synthetic(tmp_path, number, {"bolt": (value, value)}, unit="global")
    page = Selection().write(read_sweep(tmp_path))
    assert page is not None
    assert "Synthetic anomalies choose tiling=t1" in words_of(page)


def test_without_synthetic_anomalies_it_says_what_to_set(tmp_path: Path) -> None:
    for number in range(2):
        leave_run(tmp_path, number, f"x={number}", skills={"bolt": 1.0})
    page = Selection().write(read_sweep(tmp_path))
    assert page is not None
    assert "synthesis=any_size and refit=false" in words_of(page)
