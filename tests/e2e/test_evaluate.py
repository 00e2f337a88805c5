"""A finished run tested again from its checkpoints."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.scripts import call, metrics_of, numbers_of


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def evaluation(run: Path) -> Path:
    (folder,) = (run / "evaluations").iterdir()
    return folder


def test_an_evaluation_repeats_the_run_to_the_last_digit(run: Path) -> None:
    outcome = call("evaluate", f"run={run}")
    assert (outcome.code, outcome.err) == (0, "")
    assert "numbers equal the run's to the last digit" in outcome.out
    assert numbers_of(evaluation(run)) == numbers_of(run)


def test_one_category_alone_repeats_too(run: Path) -> None:
    assert call("evaluate", f"run={run}", "category=tray").code == 0
    assert list(metrics_of(evaluation(run))["test"]) == ["tray", "mean"]
    assert metrics_of(evaluation(run))["test"]["tray"] == metrics_of(run)["test"]["tray"]


def test_an_evaluation_finds_data_that_has_moved(run: Path, toy: Path, tmp_path: Path) -> None:
    shutil.copytree(toy, tmp_path / "moved")
    assert call("evaluate", f"run={run}", f"dataset.root={tmp_path / 'moved'}").code == 0
    assert metrics_of(evaluation(run))["test"] == metrics_of(run)["test"]


def test_two_evaluations_in_one_second_both_stay(run: Path) -> None:
    for _ in range(2):
        assert call("evaluate", f"run={run}", "category=tray").code == 0
    assert len(list((run / "evaluations").iterdir())) == 2
