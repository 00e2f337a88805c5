"""A sweep's table, from what its runs left."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from adframe.app import jobs
from adframe.app.leaderboard import Leaderboard
from adframe.ops.files import write_json


@pytest.fixture(autouse=True)
def nothing_kept() -> Any:
    jobs.kept.clear()
    yield
    jobs.kept.clear()


def leave_run(sweep: Path, number: int, auroc: float | None, *typed: str) -> None:
    books = {"test": {"mean": {"image/auroc": auroc, "image/ap": 0.5}}, "val": {"tray": {"model/bytes": 2e6}}}
    write_json(sweep / str(number) / "metrics.json", books)
    command = ["python", "sweep.py", "batch_size=8", *typed]
    write_json(sweep / str(number) / "environment.json", {"command": command, "wall_seconds": 3.2})


def board(sweep: Path) -> list[str]:
    Leaderboard().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(sweep)}}}))
    return (sweep / "leaderboard.csv").read_text().splitlines()


def test_only_what_varies_is_shown_and_it_comes_first(tmp_path: Path) -> None:
    leave_run(tmp_path, 0, 0.7, "model=patchcore", "coreset=0.1")
    leave_run(tmp_path, 1, 0.9, "model=padim", "coreset=0.1")
    lines = board(tmp_path)
    assert lines[0].startswith("model,run,seconds,model/bytes,image/auroc")
    found = [line.split(",") for line in lines[1:]]
    assert [[line[0], line[1], line[4]] for line in found] == [
        ["padim", "1", "0.9"],
        ["patchcore", "0", "0.7"],
    ]


def test_a_metric_that_is_not_known_ranks_last_before_failures(tmp_path: Path) -> None:
    leave_run(tmp_path, 0, None, "seed=0")
    leave_run(tmp_path, 1, 0.1, "seed=1")
    write_json(
        tmp_path / "failed" / "2.json", {"job": 2, "overrides": ["batch_size=8", "seed=2"], "error": "-"}
    )
    assert [line.split(",")[0] for line in board(tmp_path)[1:]] == ["1", "0", "2"]
    assert [str(error) for error in jobs.kept] == ["1 of 3 runs failed; see above"]


def test_where_every_run_failed_the_table_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (0, 1):
        note = {"job": number, "overrides": [f"seed={number}"], "error": f"reason {number}"}
        (tmp_path / "failed").mkdir(exist_ok=True)
        (tmp_path / "failed" / f"{number}.json").write_text(json.dumps(note))
    assert board(tmp_path)[1:] == ["0,0,reason 0", "1,1,reason 1"]
    assert "run 1 failed: reason 1" in capsys.readouterr().err


@pytest.mark.parametrize("width", [80, 100])
def test_the_terminal_keeps_what_varies_at_any_width(
    width: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    leave_run(tmp_path, 0, 0.7, "coreset=0.1", "model.neighbours=1", "backbone=wide_resnet50_2")
    leave_run(tmp_path, 1, 0.9, "coreset=0.2", "model.neighbours=9", "backbone=efficientnet_lite0")
    board(tmp_path)
    lines = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out).partition("order:")[0].splitlines()
    assert max(map(len, lines)) <= width
    assert any(line.split()[:3] == ["0.2", "9", "efficientnet_lite0"] for line in lines)
