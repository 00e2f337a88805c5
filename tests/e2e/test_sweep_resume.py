"""A sweep that was stopped goes on: what is done stays, the rest is run, the table is the same."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from adframe.errors import AdframeError
from adframe.runs import train as app_run
from tests.e2e.scripts import call, numbers_of
from tests.e2e.test_sweep import board
from tests.e2e.test_sweep_launchers import folder_of

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("blank_figures")]  # whole sweeps and trainings

TIMED = ("seconds", "peak_memory_bytes", "folder")


def rows(place: Path) -> list[dict[str, str]]:
    return [{key: value for key, value in row.items() if key not in TIMED} for row in board(place)]


def without_intervals(found: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if not k.endswith(("_low", "_high"))} for row in found]


def fitted(monkeypatch: pytest.MonkeyPatch, *, power_ends_at: tuple[int, str] | None = None) -> list[str]:
    """What is fitted from now on: `seed/category`; the power may end at one of them."""
    seen: list[str] = []
    work = app_run.fit_and_test

    def watched(recipe, *rest, unit, **named):  # type: ignore[no-untyped-def]
        if (recipe.seed, unit) == power_ends_at:
            raise KeyboardInterrupt
        seen.append(f"{recipe.seed}/{unit}")
        return work(recipe, *rest, unit=unit, **named)

    monkeypatch.setattr(app_run, "fit_and_test", watched)
    return seen


@pytest.fixture(scope="module")
def whole(base: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("whole")
    call("sweep", "-m", *base, "category=[weave,tray]", "seed=0,1,2", f"paths.runs={place}")
    return place


@pytest.fixture
def stopped(base: list[str], tmp_path: Path) -> Path:
    """Run 0 is done, run 1 half done, run 2 was never begun."""
    given = ("category=[weave,tray]", "seed=0,1,2", f"paths.runs={tmp_path / 'runs'}")
    with pytest.MonkeyPatch.context() as patch:
        fitted(patch, power_ends_at=(1, "tray"))
        outcome = call("sweep", "-m", *base, *given)
    folder = folder_of(tmp_path / "runs")
    assert outcome.code == 130
    assert outcome.err == (f"error: stopped; 1 of 3 runs done; go on with: python sweep.py resume={folder}\n")
    return tmp_path / "runs"


def test_only_what_is_missing_is_run_and_the_table_is_that_of_an_unbroken_sweep(
    stopped: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(stopped)
    before = (folder / "0" / "report.html").stat().st_mtime_ns
    seen = fitted(monkeypatch)
    assert call("sweep", f"resume={folder}").code == 0
    assert seen == ["1/tray", "2/weave", "2/tray"]
    assert (folder / "0" / "report.html").stat().st_mtime_ns == before
    assert rows(stopped) == rows(whole)
    for number in "012":
        assert numbers_of(folder / number) == numbers_of(folder_of(whole) / number)


def test_a_finished_sweep_runs_nothing_and_writes_its_table_anew(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows(whole)
    (folder_of(whole) / "leaderboard.csv").unlink()
    seen = fitted(monkeypatch)
    outcome = call("sweep", f"resume={folder_of(whole)}")
    assert (outcome.code, seen) == (0, [])
    assert "3 of 3 runs are done already" in outcome.out
    assert rows(whole) == before


def test_a_job_that_failed_is_tried_again(base: list[str], tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        work = app_run.fit_and_test

        def broken(cfg, *rest, **named):  # type: ignore[no-untyped-def]
            if cfg.seed == 0:
                raise AdframeError("no luck")
            return work(cfg, *rest, **named)

        patch.setattr(app_run, "fit_and_test", broken)
        first = call("sweep", "-m", *base, "category=weave", "seed=0,1", f"paths.runs={tmp_path}")
    assert (first.code, [row["error"] for row in board(tmp_path)]) == (2, ["", "no luck"])
    assert call("sweep", f"resume={folder_of(tmp_path)}").code == 0
    assert "error" not in board(tmp_path)[0]
    assert not list((folder_of(tmp_path) / "failed").iterdir())


@pytest.mark.exhaustive
def test_another_launcher_may_finish_it_and_a_run_of_which_nothing_was_done_starts_anew(
    whole: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "sweeps" / "copy"
    shutil.copytree(folder_of(whole), folder)
    for name in ("metrics.json", "environment.json", "predictions.parquet", "report.html"):
        (folder / "2" / name).unlink()
    given = ("launcher=joblib", "launcher.workers=1", "launcher.threads=1")
    assert call("sweep", f"resume={folder}", *given).code == 0
    # The worker draws all resamples and not as few as this process: intervals differ, numbers do not.
    assert without_intervals(rows(tmp_path)) == without_intervals(rows(whole))
    assert (folder / "logs" / "2.txt").is_file()


def test_a_sweep_whose_jobs_have_changed_is_refused(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sweeps" / "copy"
    shutil.copytree(folder_of(whole), folder)
    book = json.loads((folder / "sweep.json").read_text())
    book["jobs"][1] = ["seed=7"]
    (folder / "sweep.json").write_text(json.dumps(book))
    outcome = call("sweep", f"resume={folder}")
    assert outcome.code == 2
    assert "was seed=7 and would now be" in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_what_breaks_before_a_job_begins_is_a_row_too(
    base: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "adframe.sweeps.job", None)  # importing it fails
    outcome = call("sweep", "-m", *base, "category=weave", "seed=0,1", f"paths.runs={tmp_path}")
    assert outcome.code == 2
    assert ["sweeps.job" in row["error"] for row in board(tmp_path)] == [True, True]
