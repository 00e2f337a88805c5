"""A search by name: trials, what they were guided by, the best."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.e2e.scripts import call
from tests.e2e.test_sweep import board
from tests.e2e.test_sweep_launchers import folder_of

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("blank_figures")]  # whole sweeps and trainings

GIVEN = (
    "search=optuna", "search.trials=3", "search.metric=val/calibration/threshold",
    "search.direction=minimize", "category=weave", "coreset=interval(0.05,0.9)", "memory=greedy,random",
)  # fmt: skip


@pytest.fixture(scope="module")
def searched(base: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("search")
    outcome = call("sweep", *base, *GIVEN, f"paths.runs={place}")
    assert (outcome.code, outcome.err) == (0, "")
    assert "order: val/calibration/threshold, of validation images" in outcome.out
    return place


def test_the_best_by_validation_is_first_whatever_the_test_images_say(searched: Path) -> None:
    values = [float(row["val/calibration/threshold"]) for row in board(searched)]
    book = json.loads((folder_of(searched) / "search.json").read_text())
    assert values == sorted(book["values"])
    assert len(set(values)) == 3
    assert board(searched)[0]["run"] == str(book["best"])
    assert "val/calibration/threshold" in board(searched)[0]["best"]


def test_a_search_that_goes_on_asks_the_same_again(searched: Path) -> None:
    before, folder = board(searched), folder_of(searched)
    (folder / "1" / "report.html").unlink()
    assert call("sweep", f"resume={folder}").code == 0
    timed = ("seconds", "peak_memory_bytes")
    for row, other in zip(board(searched), before, strict=True):
        assert {k: v for k, v in row.items() if k not in timed} == {
            k: v for k, v in other.items() if k not in timed
        }


def test_the_runs_know_nothing_of_the_search(searched: Path) -> None:
    folder = folder_of(searched)
    config = yaml.safe_load((folder / "0" / "config.yaml").read_text())
    assert not {"search", "launcher", "experiment"} & config.keys()
    command = json.loads((folder / "0" / "environment.json").read_text())["command"]
    assert not [text for text in command if text.startswith("search")]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("search.metric=image/auroc", "is not a metric of validation images"),
        ("search.metric=test/mean/image/auroc", "is not a metric of validation images"),
        ("search.direction=up", "unknown search.direction 'up'"),
        ("search.trials=0", "search.trials=0 is not possible"),
        ("search.trails=3", "did you mean 'search.trials'"),
    ],
)
def test_what_cannot_be_searched_stops_it_before_any_work(given: str, said: str, tmp_path: Path) -> None:
    outcome = call("sweep", "-m", "search=optuna", "seed=0,1", given, f"paths.runs={tmp_path / 'runs'}")
    assert outcome.code == 2
    assert said in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_a_search_without_optuna_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    outcome = call("sweep", "search=optuna", "seed=0,1", f"paths.runs={tmp_path / 'runs'}")
    assert outcome.err == (
        "error: search=optuna needs optuna, which is not installed: pip install 'adframe[search]'\n"
    )
