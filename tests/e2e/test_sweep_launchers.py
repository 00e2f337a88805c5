"""The same sweep by every launcher: real processes, equal results, one table."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.covering import further
from tests.e2e.scripts import ROOT, Outcome, Started, call, numbers_of, start, wait_for
from tests.e2e.test_sweep import board

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("blank_figures")]
# A worker's imports take ten seconds: two workers with two whole runs are started once, by joblib.
AWAY = {
    "joblib": ("launcher=joblib", "launcher.workers=2", "launcher.threads=1", "launcher.lead=false"),
    "ray": ("launcher=ray", "launcher.workers=1", "launcher.threads=1", "launcher.lead=false"),
    "slurm": ("launcher=slurm", "launcher.cluster=local", "launcher.workers=2", "launcher.threads=1"),
}
SWEPT = {"joblib": "0.05,2,0.2", "ray": "0.05,2", "slurm": "0.05,2"}  # 2 is not possible


def folder_of(place: Path) -> Path:
    (folder,) = (place / "sweeps").iterdir()
    return folder


def sweep(base: list[str], launcher: str, place: Path, *given: str) -> Outcome:
    swept = ("category=weave", f"coreset={SWEPT[launcher]}", "store=none", f"paths.runs={place}")
    return call("sweep", "-m", *base, *swept, *given)


@dataclass(frozen=True)
class Away:
    """A sweep whose runs were done elsewhere, and the folder of the same sweep in this process."""

    outcome: Outcome
    place: Path
    local: Path
    launcher: str


# With one launcher at every change; sweeps.test_local ends a process of each.
@pytest.mark.parametrize("launcher", further(AWAY, often=["joblib"]))
def test_every_launcher_gives_the_same_results_and_a_job_that_fails_is_a_row(
    launcher: str, base: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One test, because workers are slow to start: a second one might start them again in another process."""
    place, local = tmp_path / "away", tmp_path / "local"
    sweep(base, launcher, local)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    loading = "num_workers=1"  # by processes of the worker's own
    away = Away(sweep(base, launcher, place, *AWAY[launcher], loading), place, local, launcher)
    assert_same_results(away)
    assert_the_failed_job_is_a_row(away)
    assert_done_elsewhere_with_its_share_of_threads(away)


def assert_same_results(away: Away) -> None:
    done = [str(i) for i, value in enumerate(SWEPT[away.launcher].split(",")) if value != "2"]
    for run in done:
        assert numbers_of(folder_of(away.place) / run) == numbers_of(folder_of(away.local) / run)


def assert_the_failed_job_is_a_row(away: Away) -> None:
    assert away.outcome.code == 2
    keys = ("coreset", "image/auroc", "error", "best")  # one run alone is not the best
    found, here = (
        [[row.get(key) for key in keys] for row in board(place)] for place in (away.place, away.local)
    )
    assert found == here
    assert board(away.place)[-1]["error"] == "coreset=2 is not possible; coreset must be a share in (0, 1]"


def assert_done_elsewhere_with_its_share_of_threads(away: Away) -> None:
    noted = json.loads((folder_of(away.place) / "0" / "environment.json").read_text())
    assert noted["hardware"]["threads"] == 1
    assert noted["command"][:2] == ["python", "sweep.py"]
    assert not [text for text in noted["command"] if text.startswith("launcher")]
    assert "image" in (folder_of(away.place) / "logs" / "0.txt").read_text()
    jobs = len(SWEPT[away.launcher].split(","))
    several = "launcher.workers=2" in AWAY[away.launcher]  # one worker needs no line to say how far it is
    assert (f"{jobs} of {jobs} after" in away.outcome.out) is several


def alive(session: int) -> list[str]:
    """Processes of a session that still run; who has ended and was not fetched does not count."""
    found = subprocess.run(["ps", "-eo", "sid=,stat=,args="], capture_output=True, text=True, check=True)
    rows = [line.split(None, 2) for line in found.stdout.splitlines()]
    return [row[2] for row in rows if row[0] == str(session) and not row[1].startswith("Z")]


@pytest.mark.exhaustive
@pytest.mark.parametrize("whole_group", [False, True], ids=["parent", "terminal"])
def test_ctrl_c_ends_the_workers_and_says_how_to_go_on(
    whole_group: bool, base: list[str], tmp_path: Path
) -> None:
    process = started(base, tmp_path, busy=1 + whole_group)
    (os.killpg if whole_group else os.kill)(process.pid, signal.SIGINT)
    assert_stopped(process, tmp_path, code=130)


@pytest.mark.exhaustive
def test_sigterm_ends_the_workers_and_says_how_to_go_on(base: list[str], tmp_path: Path) -> None:
    """What was started in the background, and its workers, ignore Ctrl-C."""
    process = started(base, tmp_path, busy=1, interruptible=False)
    os.kill(process.pid, signal.SIGTERM)
    assert_stopped(process, tmp_path, code=143)


def started(base: list[str], place: Path, *, busy: int, interruptible: bool = True) -> Started:
    """A sweep of four runs in which a category is done; joblib has two workers, of which some are busy."""
    given = ("launcher=joblib", f"launcher.workers={busy}", "launcher.lead=false", "category=[weave,tray]")
    overrides = ("-m", *base, *given, "seed=0,1,2,3", "paths.runs=.")
    process = start("sweep", *overrides, cwd=place, interruptible=interruptible, session=True)
    wait_for(lambda: list(place.glob("sweeps/*/?/metrics.json")), process)
    return process


def assert_stopped(process: Started, tmp_path: Path, *, code: int) -> None:
    """It has said how to go on, and none of its processes is left."""
    ended, err = process.ended()
    assert ended == code
    folder = folder_of(tmp_path)
    done = len(list(folder.glob("*/report.html")))
    assert done < 4
    told = f"{done} of 4 runs done; go on with: python sweep.py resume=sweeps/{folder.name}"
    assert err == f"error: stopped; {told}\n"
    time.sleep(0.5)
    assert alive(process.pid) == []
