"""Several runs, one table; a run that fails ends no other."""

from __future__ import annotations

import contextlib
import csv
from pathlib import Path

import pytest

from tests.e2e.scripts import Outcome, call


def board(sweeps: Path) -> list[dict[str, str]]:
    (folder,) = (sweeps / "sweeps").iterdir()
    with (folder / "leaderboard.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def sweep(base: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Path]:
    """A sweep whose second run cannot work."""
    place = tmp_path_factory.mktemp("sweep")
    with contextlib.chdir(place):
        outcome = call("sweep", "-m", *base, "category=weave", "coreset=0.05,2,0.2", "paths.runs=.")
    return outcome, place


def test_a_sweep_ends_in_a_table_with_the_best_first_and_failures_last(sweep: tuple[Outcome, Path]) -> None:
    rows = board(sweep[1])
    assert next(iter(rows[0])) == "coreset"
    assert {row["coreset"] for row in rows[:2]} == {"0.05", "0.2"}
    assert float(rows[0]["image/auroc"]) >= float(rows[1]["image/auroc"])
    assert rows[2]["coreset"] == "2"
    assert rows[2]["error"] == "coreset=2 is not possible; coreset must be a share in (0, 1]"


def test_every_row_names_a_run_that_is_complete(sweep: tuple[Outcome, Path]) -> None:
    done = [row for row in board(sweep[1]) if row["folder"]]
    assert all((sweep[1] / row["folder"] / "report.html").is_file() for row in done)
    (folder,) = (sweep[1] / "sweeps").iterdir()
    folders = sorted(path.name for path in folder.iterdir() if path.is_dir())
    assert folders == ["0", "2", "failed", "figures", "tables"]


def test_a_failing_run_is_said_and_makes_the_sweep_fail(sweep: tuple[Outcome, Path]) -> None:
    assert sweep[0].code == 2
    assert sweep[0].err.splitlines() == [
        "run 1 failed: coreset=2 is not possible; coreset must be a share in (0, 1]",
        "error: 1 of 3 runs failed; see above",
    ]


def test_the_terminal_shows_what_varies_first_within_100_columns(sweep: tuple[Outcome, Path]) -> None:
    lines = sweep[0].out.splitlines()
    head = next(i for i, line in enumerate(lines) if line.split()[:1] == ["coreset"])
    assert [line.split()[0] for line in lines[head + 2 : head + 5]] == [
        row["coreset"] for row in board(sweep[1])
    ]
    assert "failed" in lines[head + 4]
    assert max(map(len, lines[head : head + 5])) <= 100


@pytest.mark.slow
def test_a_bug_in_one_run_ends_no_other(
    base: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adframe.runs import train

    work = train.fit_and_test
    monkeypatch.setattr(
        train, "fit_and_test", lambda cfg, *a, **k: 1 / 0 if cfg.seed == 0 else work(cfg, *a, **k)
    )
    outcome = call("sweep", "-m", *base, "category=weave", "seed=0,1", f"paths.runs={tmp_path}")
    assert outcome.code == 2
    assert [(row["seed"], row["error"]) for row in board(tmp_path)] == [
        ("1", ""), ("0", "ZeroDivisionError: division by zero")
    ]  # fmt: skip
    assert "Traceback" in outcome.err


def test_a_name_that_does_not_exist_stops_a_sweep_before_its_first_run(
    base: list[str], tmp_path: Path
) -> None:
    outcome = call("sweep", "-m", *base, "backbone=timm,resnet81", f"paths.runs={tmp_path / 'runs'}")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: unknown backbone 'resnet81'; did you mean 'resnet18'?")
    assert not list(tmp_path.rglob("config.yaml"))


def test_only_the_sweep_takes_several_values(base: list[str]) -> None:
    assert "python sweep.py -m" in call("train", "-m", *base).err
    assert "python sweep.py -m coreset=0.1,0.2" in call("train", *base, "coreset=0.1,0.2").err
