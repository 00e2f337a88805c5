"""Workers: as many as were asked for, threads divided, and a process that dies takes no other job with it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from adframe.errors import AdframeError
from adframe.sweeps import launcher, local
from adframe.sweeps.cluster import Ray, Slurm
from adframe.sweeps.local import CRASH_MESSAGE, Joblib, Local
from tests.covering import further
from tests.e2e.scripts import ROOT
from tests.fakes.jobs import FakeJob, WaitingJob, noted

TWO = {
    "joblib": lambda: Joblib(workers=2),
    "ray": lambda: Ray(workers=2),
    "slurm": lambda: Slurm(cluster="local", workers=2, threads=1),
}


@pytest.fixture(autouse=True)
def found_by_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake job is of the tests, which a worker's path need not hold."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def run(workers: Any, jobs: list[Any]) -> dict[int, str | None]:
    return {job.number: error for job, error in workers.run(jobs)}


@pytest.mark.slow
@pytest.mark.parametrize("name", further(TWO, often=["joblib"]))
def test_a_process_that_dies_takes_no_other_job_with_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Submitit waits so many seconds for the result of a process that has ended; network drives may be late.
    monkeypatch.setattr("submitit.core.core.Job._results_timeout_s", 1)
    ended = run(TWO[name](), [FakeJob(number, tmp_path, deadly=1) for number in range(4)])
    assert {number for number, error in ended.items() if error} == {1}
    assert str(ended[1]).startswith(CRASH_MESSAGE)
    assert set(noted(tmp_path)) == {"0", "2", "3"}


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_as_many_processes_as_workers_at_a_time_and_none_is_ours(count: int, tmp_path: Path) -> None:
    run(Joblib(workers=count), [WaitingJob(number, tmp_path, together=count) for number in range(4)])
    jobs = list(noted(tmp_path).values())
    at_once = [sum(one["start"] <= job["start"] < one["end"] for one in jobs) for job in jobs]
    assert max(at_once) == count
    assert os.getpid() not in {job["process"] for job in jobs}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cores", "workers", "jobs", "threads"),
    [(2, None, 4, 1), (8, 2, 3, 4), (8, None, 2, 4), (2, 4, 4, 1)],
)
def test_the_cores_are_divided_between_the_workers(
    cores: int,
    workers: int | None,
    jobs: int,
    threads: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local, "available_cores", lambda: cores)
    run(Joblib(workers=workers), [FakeJob(number, tmp_path) for number in range(jobs)])
    assert {job["threads"] for job in noted(tmp_path).values()} == {threads}


@pytest.mark.slow
def test_every_library_gets_its_share_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process of its own: ours keeps the threads that it has."""
    import subprocess
    import sys

    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    program = (
        "from adframe.sweeps.launcher import limit_threads; limit_threads(3)\n"
        "import os, cv2, numpy, torch; from threadpoolctl import threadpool_info\n"
        "pools = {p['num_threads'] for p in threadpool_info()}\n"
        "print(torch.get_num_threads(), cv2.getNumThreads(), pools, os.environ['OMP_NUM_THREADS'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "3 3 {3} 3\n"


def test_a_launcher_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for workers, extra in ((Joblib(), "joblib"), (Ray(), "ray"), (Slurm(cluster="local"), "slurm")):
        with pytest.raises(AdframeError, match=rf"not installed: pip install 'adframe\[{extra}\]'"):
            workers.check()
    Local().check()


@pytest.mark.parametrize("made", [Joblib, Ray, Slurm])
def test_impossible_numbers_of_workers_are_refused(made: Any) -> None:
    for value in (0, -1, 1.5, True):
        with pytest.raises(AdframeError, match="whole number above 0"):
            made(workers=value)


def test_slurm_without_slurm_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(AdframeError, match=r"no sbatch here: .*launcher\.cluster=local"):
        Slurm().check()


class Watched:
    """Workers that note in which parts they were handed the jobs."""

    def __init__(self, *, lead: bool) -> None:
        self.lead, self.parts = lead, list[list[int]]()

    def run(self, jobs: Any) -> Any:
        self.parts.append([job.number for job in jobs])
        yield from ((job, None) for job in jobs)


@pytest.mark.parametrize(
    ("lead", "store", "first", "parts"),
    [
        (True, "disk", True, [[0], [1, 2]]),
        (True, None, True, [[], [0, 1, 2]]),
        (False, "disk", True, [[], [0, 1, 2]]),
        (True, "disk", False, [[], [0, 1, 2]]),
    ],
)
def test_the_first_run_goes_ahead_where_features_are_shared(
    lead: bool, store: str | None, first: bool, parts: list[list[int]], tmp_path: Path
) -> None:
    sweep_launcher = launcher.SweepLauncher()
    sweep_launcher.workers, sweep_launcher.config = Watched(lead=lead), {"store": store}  # type: ignore[assignment]
    jobs: Any = [FakeJob(number, tmp_path) for number in range(3)]
    assert [job.number for job, _ in sweep_launcher._finished_jobs(jobs, first=first)] == [0, 1, 2]
    assert sweep_launcher.workers.parts == parts  # type: ignore[attr-defined]


SLEEPING = """
import sys, time
from pathlib import Path
from adframe.sweeps.local import Joblib
from tests.fakes.jobs import SleepingJob
list(Joblib(workers=2).run([SleepingJob(number, Path(sys.argv[1])) for number in range(2)]))
"""


@pytest.mark.slow
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", SLEEPING, str(tmp_path)], cwd=ROOT)
    end = time.monotonic() + 60
    while len(list(tmp_path.glob("*.pid"))) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    workers = [int(path.read_text()) for path in tmp_path.glob("*.pid")]
    assert len(workers) == 2
    parent.kill()
    parent.wait()
    while any(map(is_running, workers)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(is_running, workers))


def is_running(process: int) -> bool:
    """Whether it is there, and not only waits to be buried."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
