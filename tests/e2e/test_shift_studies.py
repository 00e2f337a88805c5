"""Studies of models tested elsewhere: tables are the runs' own numbers; a stopped one ends alike."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from adframe.results.predictions import read_predictions
from tests.e2e.scripts import call, metrics_of
from tests.fakes.pages import words_of

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("blank_figures")]  # whole sweeps and trainings

TWO = "category=[weave,tray]"


def table(sweep: Path, name: str) -> list[dict[str, str]]:
    with (sweep / "tables" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def swept(experiment: str, folder: Path, *given: str) -> Path:
    outcome = call("sweep", f"experiment={experiment}", *given, f"hydra.sweep.dir={folder}")
    assert (outcome.code, outcome.err) == (0, "")
    assert f"study: {folder / 'study.html'}" in outcome.out
    return folder


@pytest.fixture(scope="module")
def shifted(base: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nobody may change it."""
    return swept("domain_shift", tmp_path_factory.mktemp("shifted") / "sweep", *base, TWO, "model=patchcore")


def test_the_conditions_are_the_tests_of_the_two_runs(shifted: Path) -> None:
    rows = {(row["category"], row["condition"]): row for row in table(shifted, "conditions")}
    folders = {"clean": shifted / "0", "nothing adapted": shifted / "0/domains/shifted"}
    folders["model refitted"] = shifted / "1"
    for condition, folder in folders.items():
        for category in ("weave", "tray", "mean"):
            expected = metrics_of(folder)["test"][category]
            for metric in ("image/auroc", "pixel/auroc", "image/fpr"):
                assert float(rows[category, condition][metric]) == pytest.approx(expected[metric])


def test_differences_are_between_conditions_in_the_mean_over_classes(shifted: Path) -> None:
    own, moved, refitted = (
        metrics_of(shifted / place)["test"]["mean"]["image/auroc"]
        for place in ("0", "0/domains/shifted", "1")
    )
    found = {row["question"]: float(row["difference"]) for row in table(shifted, "effects")}
    assert found["image AUROC lost to the shift"] == pytest.approx(moved - own)
    assert found["image AUROC after refitting"] == pytest.approx(refitted - moved)
    assert found["image AUROC after refitting, compared with clean"] == pytest.approx(refitted - own)


def test_drift_is_of_the_same_normal_images_under_the_unchanged_model(shifted: Path) -> None:
    scores = []
    for place in ("0", "0/domains/shifted"):
        rows = read_predictions(shifted / place / "predictions.parquet")
        normal = {
            row["path"]: row["score"] for row in rows if row["category"] == "tray" and row["label"] == 0
        }
        scores.append(np.array([normal[path] for path in sorted(normal)]))
    (row,) = (row for row in table(shifted, "alarms") if row["category"] == "tray")
    assert float(row["drift"]) == pytest.approx((scores[1] - scores[0]).mean() / scores[0].std())


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_study_that_was_stopped_half_way_ends_in_the_same_tables(shifted: Path, tmp_path: Path) -> None:
    stopped = Path(shutil.copytree(shifted, tmp_path / "stopped"))
    for lost in ("1", "tables", "figures", "0/domains"):
        shutil.rmtree(stopped / lost)
    for lost in ("study.html", "leaderboard.csv", "0/report.html"):
        (stopped / lost).unlink()
    outcome = call("sweep", f"resume={stopped}")
    assert (outcome.code, outcome.err) == (0, "")
    names = sorted(path.name for path in (shifted / "tables").glob("*.csv"))
    assert names
    for name in names:
        assert (stopped / "tables" / name).read_text() == (shifted / "tables" / name).read_text()


def test_a_sweep_without_a_shift_has_its_table_and_says_what_the_study_needs(
    base: list[str], tmp_path: Path
) -> None:
    given = ("study=domain_shift", "coreset=0.1,0.2", "category=weave", f"hydra.sweep.dir={tmp_path / 's'}")
    outcome = call("sweep", "-m", *base, *given)
    assert outcome.code == 2
    assert "no shift to study" in outcome.err
    assert (tmp_path / "s/leaderboard.csv").is_file()


@pytest.mark.slow
def test_each_shift_is_fitted_under_once_and_tested_under_all(base: list[str], tmp_path: Path) -> None:
    given = (
        "shift=none,photometric",
        "~shift@domains.geometric",
        "~shift@domains.illumination",
        "category=weave",
    )
    sweep = swept("cross_shift", tmp_path / "sweep", *base, *given)
    cells = {(row["fitted"], row["tested"]): float(row["image/auroc"]) for row in table(sweep, "all_tests")}
    assert set(cells) == {(a, b) for a in ("none", "photometric") for b in ("none", "photometric")}
    places = {("none", "none"): "0", ("none", "photometric"): "0/domains/photometric"}
    places["photometric", "none"] = "1/domains/none"
    for cell, place in places.items():
        assert cells[cell] == pytest.approx(metrics_of(sweep / place)["test"]["weave"]["image/auroc"])


@pytest.mark.slow
@pytest.mark.exhaustive
def test_every_categorys_model_on_every_other_and_the_distances_between_them(
    base: list[str], tmp_path: Path
) -> None:
    given = ("model=patchcore", "callbacks.patches.count=40", "study.permutations=20")
    sweep = swept("cross_category", tmp_path / "sweep", *base, *given)
    cells = {(row["fitted"], row["tested"]): float(row["image/auroc"]) for row in table(sweep, "all_tests")}
    names = ("weave", "bracket", "tray")
    assert set(cells) == {(a, b) for a in names for b in names}
    book = metrics_of(sweep / "0/transfer/tray")["test"]
    assert cells["tray", "weave"] == pytest.approx(book["weave"]["image/auroc"])
    found = table(sweep, "distances_0")
    assert {row["layer"] for row in found} == {"layer2", "layer3"}
    assert len(found) == 2 * 6
    assert "3 categories are too few to show whether the loss" in words_of(sweep / "study.html")
