"""The same sweep by every launcher: real processes, equal results, one table."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.scripts import ROOT, Outcome, Started, call, numbers_of, start, wait_for
from tests.e2e.test_sweep import board

pytestmark = pytest.mark.slow
AWAY = {
    "joblib": ("launcher=joblib", "launcher.workers=2", "launcher.threads=1", "launcher.lead=false"),
    "ray": ("launcher=ray", "launcher.workers=2", "launcher.threads=1", "launcher.lead=false"),
    "slurm": ("launcher=slurm", "launcher.cluster=local", "launcher.workers=2", "launcher.threads=1"),
}
SWEPT = ("category=weave", "coreset=0.05,2,0.2")


def folder_of(place: Path) -> Path:
    (folder,) = (place / "sweeps").iterdir()
    return folder


@pytest.fixture(scope="module")
def local(base: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("local")
    call("sweep", "-m", *base, *SWEPT, "store=none", f"paths.runs={place}")
    return place


@pytest.fixture(scope="module", params=AWAY)
def away(
    request: pytest.FixtureRequest, base: list[str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Outcome, Path]:
    place = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        loading = "num_workers=1"  # by processes of the worker's own
        given = (*AWAY[request.param], *base, *SWEPT, loading, "store=none", f"paths.runs={place}")
        return call("sweep", "-m", *given), place


def test_every_launcher_gives_the_same_results(away: tuple[Outcome, Path], local: Path) -> None:
    for run in ("0", "2"):
        assert numbers_of(folder_of(away[1]) / run) == numbers_of(folder_of(local) / run)


def test_a_job_that_fails_is_a_row_and_ends_no_other(away: tuple[Outcome, Path], local: Path) -> None:
    assert away[0].code == 2
    keys = ("coreset", "image/auroc", "error", "best")
    assert [[row[key] for key in keys] for row in board(away[1])] == [
        [row[key] for key in keys] for row in board(local)
    ]
    assert board(away[1])[2]["error"] == "coreset=2 is not possible; coreset must be a share in (0, 1]"


def test_the_work_is_done_elsewhere_with_its_share_of_threads(away: tuple[Outcome, Path]) -> None:
    noted = json.loads((folder_of(away[1]) / "0" / "environment.json").read_text())
    assert noted["hardware"]["threads"] == 1
    assert noted["command"][:2] == ["python", "sweep.py"]
    assert not [text for text in noted["command"] if text.startswith("launcher")]
    assert "image" in (folder_of(away[1]) / "logs" / "0.txt").read_text()
    assert "3 of 3 after" in away[0].out


def alive(session: int) -> list[str]:
    """Processes of a session that still run; who has ended and was not fetched does not count."""
    found = subprocess.run(["ps", "-eo", "sid=,stat=,args="], capture_output=True, text=True, check=True)
    rows = [line.split(None, 2) for line in found.stdout.splitlines()]
    return [row[2] for row in rows if row[0] == str(session) and not row[1].startswith("Z")]


@pytest.mark.parametrize("whole_group", [False, True], ids=["parent", "terminal"])
def test_ctrl_c_ends_the_workers_and_says_how_to_go_on(
    whole_group: bool, base: list[str], tmp_path: Path
) -> None:
    process = started(base, tmp_path, busy=1 + whole_group)
    (os.killpg if whole_group else os.kill)(process.pid, signal.SIGINT)
    assert_stopped(process, tmp_path, code=130)


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
