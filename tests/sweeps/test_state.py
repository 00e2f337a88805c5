"""What a sweep notes of its jobs, and how `resume=` becomes the arguments that began it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from adframe.errors import AdframeError
from adframe.results.sweep_folder import read_sweep
from adframe.sweeps.state import overrides_of_job, record_jobs, recorded_jobs, resumable

JOBS = [["seed=0"], ["seed=1"], ["seed=2"]]
TYPED = ["-m", "launcher=joblib", "launcher.workers=3", "seed=0,1,2", "hydra.sweep.dir=x"]


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["sweep.py", *TYPED])
    record_jobs(tmp_path / "it's", first=0, jobs=JOBS)
    return tmp_path / "it's"


def taken_up(monkeypatch: pytest.MonkeyPatch, *typed: str) -> list[str]:
    monkeypatch.setattr(sys, "argv", ["sweep.py", *typed])
    resumable(lambda: None)()
    return sys.argv[1:]


def test_jobs_are_noted_once_and_batch_by_batch(sweep: Path) -> None:
    record_jobs(sweep, first=0, jobs=JOBS)
    record_jobs(sweep, first=3, jobs=[["seed=3"]])
    assert recorded_jobs(sweep) == [*JOBS, ["seed=3"]]
    record_jobs(sweep, first=0, jobs=JOBS[:1])
    assert recorded_jobs(sweep) == [*JOBS, ["seed=3"]]


def test_another_job_under_the_same_number_is_refused(sweep: Path) -> None:
    with pytest.raises(AdframeError, match=r"run 1 of .* was seed=1 and would now be seed=7"):
        record_jobs(sweep, first=0, jobs=[["seed=0"], ["seed=7"]])
    assert recorded_jobs(sweep) == JOBS


def test_resume_is_what_was_typed_in_the_same_folder(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sweep)
    found = taken_up(monkeypatch, "resume=.")
    assert found == [*TYPED[:-1], "fetch=false", f"hydra.sweep.dir='{sweep.parent}/it\\'s'"]
    assert Path.cwd() == sweep.parent
    assert read_sweep(sweep).command == shlex.join(["python", "sweep.py", *TYPED])


def test_resume_takes_another_launcher_and_nothing_else(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = taken_up(monkeypatch, "-m", f"resume={sweep}", "launcher=local")
    assert found[:3] == ["-m", "seed=0,1,2", "launcher=local"]
    with pytest.raises(AdframeError, match=r"own configuration; remove coreset=0\.5$"):
        taken_up(monkeypatch, f"resume={sweep}", "launcher=ray", "coreset=0.5")


def test_what_is_secret_is_typed_again_and_keeps_its_launcher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    secret = "launcher.address=ray://me:hunter2@host"
    monkeypatch.setattr(sys, "argv", ["sweep.py", "-m", "launcher=ray", secret, "trusted=[own]", "seed=0"])
    record_jobs(tmp_path / "sweep", first=0, jobs=[["seed=0"]])
    assert "hunter2" not in (tmp_path / "sweep" / "sweep.json").read_text()
    with pytest.raises(AdframeError, match=r"type them again: launcher\.address=\.\.\.$"):
        taken_up(monkeypatch, f"resume={tmp_path / 'sweep'}")
    found = taken_up(monkeypatch, f"resume={tmp_path / 'sweep'}", secret)
    assert found[:-1] == ["-m", "launcher=ray", "seed=0", secret, "fetch=false"]


@pytest.mark.parametrize("text", ["[]", '{"arguments": "x"}', '{"arguments": [1], "folder": "", "jobs": []}'])
def test_a_book_of_another_shape_is_one_line(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(
        AdframeError, match=r"cannot read .*sweep\.json: it does not hold arguments, folder and"
    ):
        taken_up(monkeypatch, f"resume={tmp_path}")


def test_a_folder_that_is_no_sweep_is_told_from_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AdframeError, match=r"is no sweep's folder: it has no sweep\.json$"):
        taken_up(monkeypatch, f"resume={tmp_path}")
    (tmp_path / "config.yaml").touch()
    with pytest.raises(AdframeError, match=f"it is one run: python train.py resume={tmp_path}"):
        taken_up(monkeypatch, f"resume={tmp_path}")


def test_without_resume_arguments_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert taken_up(monkeypatch, "-m", "seed=0,1") == ["-m", "seed=0,1"]


def test_a_job_is_not_told_who_runs_it() -> None:
    given = [
        "launcher=ray",
        "+launcher.extra.x=1",
        "search.trials=3",
        "search=optuna",
        "study=none",
        "study.metrics=[]",
    ]
    given += ["seed=1", "~logger"]
    assert overrides_of_job(given) == ["seed=1", "~logger"]
