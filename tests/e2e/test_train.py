"""Whole runs on the toy data: what they leave, and that they repeat to the last digit."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from adframe.results.predictions import SCHEMA, read_predictions
from tests.e2e.scripts import call, metrics_of, numbers_of, train_here
from tests.fakes.pages import words_of

IMAGE = {
    f"image/{name}" for name in ("auroc", "ap", "f1_max", "f1", "accuracy", "precision", "recall", "fpr")
}
PIXEL = {f"pixel/{name}" for name in ("auroc", "ap", "f1_max", "aupro_0.3", "aupro_0.05")}


def test_a_run_leaves_exactly_what_the_plan_says(finished: Path) -> None:
    found = {path.name for path in finished.iterdir()} - {"evaluations"}
    assert found == {
        "config.yaml", "environment.json", "metrics.json", "predictions.parquet", "checkpoints", "heatmaps",
        "resamples", "report.html", "validation",
    }  # fmt: skip
    assert {path.name for path in (finished / "checkpoints").iterdir()} == {"weave.ckpt", "tray.ckpt"}
    assert not list(finished.rglob("*.tmp"))


def test_metrics_have_the_fixed_names_and_a_mean_row(finished: Path) -> None:
    metrics = metrics_of(finished)
    assert list(metrics["test"]) == ["weave", "tray", "mean"]
    assert set(metrics["val"]) == {"weave", "tray"}
    assert all(set(row) >= IMAGE | PIXEL for row in metrics["test"].values())
    weave, tray, mean = (row["image/auroc"] for row in metrics["test"].values())
    assert mean == (weave + tray) / 2


def test_the_ledger_has_a_row_an_image_and_the_fixed_columns(finished: Path) -> None:
    rows = read_predictions(finished / "predictions.parquet")
    assert list(rows[0]) == SCHEMA.names
    assert [row["category"] for row in rows] == ["weave"] * 7 + ["tray"] * 7
    assert all(row["decision"] == (row["score"] > row["threshold"]) for row in rows)
    assert {row["label"] for row in rows} == {0, 1}


def test_config_and_environment_tell_how_to_repeat_the_run(finished: Path, toy: Path) -> None:
    config = yaml.safe_load((finished / "config.yaml").read_text())
    noted = json.loads((finished / "environment.json").read_text())
    assert "${" not in (finished / "config.yaml").read_text()
    assert config["dataset"]["root"] == str(toy)
    assert noted["seed"] == 42
    assert "category=[weave,tray]" in noted["command"]
    assert set(noted["data_fingerprint"]) == {"weave", "tray"}
    assert {"versions", "git_revision", "hardware", "wall_seconds", "peak_memory_bytes"} <= set(noted)


def test_the_report_is_one_file_that_loads_nothing(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert "weave" in page
    assert "tray" in page
    assert re.findall(r'<(?:link|script|img|iframe)[^>]+(?:src|href)="(?!data:)', page) == []
    assert not re.search('id="(learning|features)"', page)  # a method without them has no such section


def test_the_same_seed_gives_the_same_numbers_to_the_last_digit(
    finished: Path, base: list[str], tmp_path: Path
) -> None:
    again = train_here(*base, "category=[weave,tray]", f"paths.run={tmp_path / 'again'}")
    assert numbers_of(again) == numbers_of(finished)


def test_a_category_does_not_depend_on_which_others_run(
    finished: Path, base: list[str], tmp_path: Path
) -> None:
    alone = train_here(*base, "category=tray", f"paths.run={tmp_path / 'alone'}")
    assert metrics_of(alone)["test"]["tray"] == metrics_of(finished)["test"]["tray"]
    assert list(metrics_of(alone)["test"]) == ["tray", "mean"]


@pytest.mark.slow
def test_seed_0_is_a_seed(base: list[str], tmp_path: Path) -> None:
    runs = [
        train_here(*base, "category=weave", f"seed={seed}", f"paths.run={tmp_path / str(seed)}")
        for seed in (0, 1)
    ]
    assert [json.loads((run / "environment.json").read_text())["seed"] for run in runs] == [0, 1]
    assert numbers_of(runs[0]) != numbers_of(runs[1])


@pytest.mark.slow
def test_all_takes_every_category_on_disk(base: list[str], tmp_path: Path) -> None:
    run = train_here(*base, f"paths.run={tmp_path / 'run'}")
    assert set(metrics_of(run)["test"]) == {"bracket", "tray", "weave", "mean"}


@pytest.mark.slow
def test_one_global_model_is_tested_category_by_category(base: list[str], tmp_path: Path) -> None:
    run = train_here(*base, "scope=global", "category=[weave,tray]", f"paths.run={tmp_path / 'run'}")
    metrics = metrics_of(run)
    assert list(metrics["test"]) == ["weave", "tray", "mean"]
    assert list(metrics["val"]) == ["global"]
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["global.ckpt"]
    assert len({row["threshold"] for row in read_predictions(run / "predictions.parquet")}) == 1


def test_loco_gives_spro_and_the_logical_and_structural_split(base: list[str], tmp_path: Path) -> None:
    places = (f"dataset.root={tmp_path / 'loco'}", f"paths.run={tmp_path / 'run'}")
    run = train_here(*base, "dataset.layout=mvtec_loco", "category=tray", *places)
    row = metrics_of(run)["test"]["tray"]
    subsets = {
        f"{subset}/{name}"
        for subset in ("logical", "structural")
        for name in ("image/auroc", "pixel/auspro_0.05")
    }
    assert subsets | {"pixel/auspro_0.05"} <= set(row)
    assert not any("aupro" in name for name in row)
    assert {row["subset"] for row in read_predictions(run / "predictions.parquet")} == {
        "good",
        "logical",
        "structural",
    }


@pytest.mark.slow
def test_ad2_is_calibrated_on_its_validation_split(base: list[str], tmp_path: Path) -> None:
    places = (f"dataset.root={tmp_path / 'ad2'}", f"paths.run={tmp_path / 'run'}")
    run = train_here(*base, "dataset.layout=mvtec_ad2", "category=weave", *places)
    metrics = metrics_of(run)
    assert metrics["val"]["weave"]["calibration/n"] == 2
    assert {"image/auroc", "pixel/aupro_0.05"} <= set(metrics["test"]["weave"])
    assert len({row["condition"] for row in read_predictions(run / "predictions.parquet")}) > 1


@pytest.mark.parametrize("holder", ["a run", "other files"])
def test_a_folder_that_holds_something_is_refused_and_untouched(
    holder: str, base: list[str], tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    file = tmp_path / "full" / ("config.yaml" if holder == "a run" else "thesis.tex")
    file.write_text("precious")
    with pytest.raises(Exception, match=r"already holds a run|not an empty folder"):
        train_here(*base, "category=weave", f"paths.run={tmp_path / 'full'}")
    assert file.read_text() == "precious"


@pytest.mark.slow
def test_the_report_says_where_binning_may_show(base: list[str], tmp_path: Path) -> None:
    run = train_here(*base, "category=weave", "metrics.max_bins=1024", f"paths.run={tmp_path / 'run'}")
    fine = train_here(*base, "category=weave", f"paths.run={tmp_path / 'fine'}")
    assert "may be off by up to" in (run / "report.html").read_text()
    assert "may be off by up to" not in (fine / "report.html").read_text()


def test_the_terminal_ends_with_decisions_and_with_what_the_rate_needs(
    base: list[str], tmp_path: Path
) -> None:
    given = ("category=weave", "calibration=fixed_fpr", f"paths.run={tmp_path / 'run'}")
    outcome = call("train", *base, *given)
    assert (outcome.code, outcome.err) == (0, "")
    facts = metrics_of(tmp_path / "run")["val"]["weave"]
    assert re.search(
        r"PatchCore on weave .*: found \d of \d defects, false alarms on \d of \d normal", outcome.out
    )
    needs = "A false-positive rate of 1% needs 99 normal validation images, but there is only 1"
    assert f"{needs}: the threshold is the highest score" in outcome.out
    assert needs in words_of(tmp_path / "run/report.html")
    assert (facts["calibration/promised_fpr"], facts["calibration/n"]) == (0.01, 1)
