"""A fitted model under other domains and on other categories: the numbers that other ways give."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from adframe.metrics.image import decision_metrics
from adframe.results.predictions import read_predictions
from adframe.results.validation_scores import read_scores
from tests.e2e.scripts import call, metrics_of, numbers_of, train_here
from tests.e2e.test_bad_input import refused

TWO = ("category=[weave,tray]", "refit=false")
SEVERE = "+shift@domains.severe=severe"


@pytest.fixture(scope="module")
def run(base: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nobody may change it."""
    place = f"paths.run={tmp_path_factory.mktemp('further') / 'run'}"
    return train_here(*base, *TWO, SEVERE, "+shift@domains.none=none", "transfer=true", place)


def test_a_domain_is_what_a_run_whose_test_images_are_shifted_measures(
    run: Path, base: list[str], tmp_path: Path
) -> None:
    alone = train_here(*base, *TWO, "shift=severe", f"paths.run={tmp_path / 'alone'}")
    further = run / "domains/severe"
    assert metrics_of(further)["test"] == metrics_of(alone)["test"]
    assert numbers_of(further)[2] == numbers_of(alone)[2]


@pytest.mark.slow
def test_the_recalibrated_threshold_is_that_of_a_run_whose_validation_is_shifted_as_well(
    run: Path, base: list[str], tmp_path: Path
) -> None:
    place = f"paths.run={tmp_path / 'both'}"
    both = train_here(*base, *TWO, "shift=severe", "shift.splits=[val,test]", place)
    found = metrics_of(run / "domains/severe")["recalibrated"]
    for name in ("weave", "tray"):
        own = metrics_of(both)["val"][name]["calibration/threshold"]
        assert found["test"][name]["threshold"] == found["val"][name]["calibration/threshold"] == own


def test_recalibrated_decisions_are_the_ledgers_scores_above_the_new_threshold(run: Path) -> None:
    rows = read_predictions(run / "domains/severe/predictions.parquet")
    for name, found in metrics_of(run / "domains/severe")["recalibrated"]["test"].items():
        own = [row for row in rows if row["category"] == name]
        above = np.array([row["score"] > found["threshold"] for row in own])
        truth = np.array([row["label"] == 1 for row in own])
        expected = decision_metrics(above, labels=truth)
        assert {key: found[key] for key in expected} == expected


def test_the_domain_of_the_run_itself_is_not_tested_twice(run: Path) -> None:
    assert [path.name for path in (run / "domains").iterdir()] == ["severe"]


def test_another_category_is_scored_by_the_model_that_never_saw_it(run: Path) -> None:
    own = {row["path"]: row for row in read_predictions(run / "predictions.parquet")}
    for fitted, tested in (("weave", "tray"), ("tray", "weave")):
        rows = read_predictions(run / "transfer" / fitted / "predictions.parquet")
        threshold = metrics_of(run)["val"][fitted]["calibration/threshold"]
        assert {row["category"] for row in rows} == {tested}
        assert {row["threshold"] for row in rows} == {threshold}
        assert all(own[row["path"]]["score"] != row["score"] for row in rows)


def test_validation_scores_are_kept_and_the_domains_are_other_ones(run: Path) -> None:
    plain, shifted = (read_scores(place, category="tray") for place in (run, run / "domains/severe"))
    assert plain
    assert shifted
    assert len(plain.normal) == len(shifted.normal) == metrics_of(run)["val"]["tray"]["calibration/n"]
    assert not np.array_equal(plain.normal, shifted.normal)


@pytest.mark.slow
def test_a_run_that_was_stopped_between_its_tests_goes_on_to_the_same_numbers(
    run: Path, tmp_path: Path
) -> None:
    stopped = Path(shutil.copytree(run, tmp_path / "stopped"))
    (stopped / "report.html").unlink()
    shutil.rmtree(stopped / "transfer" / "tray")
    place = stopped / "domains/severe/metrics.json"
    book = json.loads(place.read_text())
    for part in ("test", "intervals"):  # as if killed before the new threshold of the second model
        del book["recalibrated"][part]["tray"]
    place.write_text(json.dumps(book))
    outcome = call("train", f"resume={stopped}")
    assert outcome.code == 0, outcome.err
    for folder in ("", "domains/severe", "transfer/weave", "transfer/tray"):
        assert numbers_of(stopped / folder) == numbers_of(run / folder)
    assert metrics_of(stopped / "domains/severe") == metrics_of(run / "domains/severe")
    assert (stopped / "transfer/tray/report.html").is_file()


@pytest.mark.slow
def test_one_model_for_all_is_recalibrated_once(base: list[str], tmp_path: Path) -> None:
    run = train_here(*base, *TWO, "scope=global", SEVERE, f"paths.run={tmp_path / 'run'}")
    found = metrics_of(run / "domains/severe")["recalibrated"]
    assert list(found["val"]) == ["global"]
    assert found["test"]["weave"]["threshold"] == found["test"]["tray"]["threshold"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((SEVERE, "refit=true"), "set refit=false"),
        (("transfer=true", "category=tray"), "two categories or more"),
        (("transfer=true", "scope=global"), "two categories or more"),
        (("domains=severe",), "domains must be shifts by name"),
    ],
)
def test_what_could_not_be_measured_is_refused_before_any_work(
    given: tuple[str, ...], said: str, base: list[str], tmp_path: Path
) -> None:
    outcome = call("train", *base, *TWO, *given, f"paths.run={tmp_path / 'run'}")
    assert refused(outcome, said)
    assert not (tmp_path / "run").exists()
