"""A sweep's table, from what its runs left."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from adframe.cli import attempts
from adframe.io.files import write_json
from adframe.reporting.leaderboard_page import leaderboard_title
from adframe.results.run_folder import RunFolder
from adframe.results.sweep_folder import SweepFolder, SweepRun
from adframe.sweeps.leaderboard import Leaderboard
from tests.fakes.run_folder import row


@pytest.fixture(autouse=True)
def nothing_kept() -> Any:
    attempts.stopping_errors.clear()
    yield
    attempts.stopping_errors.clear()


def leave_run(sweep: Path, number: int, auroc: float | None, *typed: str) -> None:
    books = {
        "test": {"mean": {"image/auroc": auroc, "image/ap": 0.5}},
        "val": {"tray": {"model/bytes": 2e6, "learning/val/total": number}},
        "intervals": {"test": {"mean": {"image/auroc": [0.1, 0.95], "image/ap": [None, None]}}},
    }
    write_json(sweep / str(number) / "metrics.json", books)
    command = ["python", "sweep.py", "batch_size=8", *typed]
    noted = {"command": command, "wall_seconds": 3.2, "peak_memory_bytes": 1_500_000_000}
    write_json(sweep / str(number) / "environment.json", noted)
    (sweep / str(number) / "report.html").touch()


def board(sweep: Path) -> list[str]:
    Leaderboard().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(sweep)}}}))
    return (sweep / "leaderboard.csv").read_text().splitlines()


def test_only_what_varies_is_shown_and_it_comes_first(tmp_path: Path) -> None:
    leave_run(tmp_path, 0, 0.7, "model=patchcore", "coreset=0.1")
    leave_run(tmp_path, 1, 0.9, "model=padim", "coreset=0.1")
    lines = board(tmp_path)
    assert lines[0].startswith("model,run,seconds,model/bytes,peak_memory_bytes,image/auroc")
    found = [line.split(",") for line in lines[1:]]
    assert [[line[0], line[1], line[5]] for line in found] == [
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
    assert [str(error) for error in attempts.stopping_errors] == ["1 of 3 runs failed; see above"]


def test_where_every_run_failed_the_table_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (0, 1):
        note = {"job": number, "overrides": [f"seed={number}"], "error": f"reason {number}"}
        (tmp_path / "failed").mkdir(exist_ok=True)
        (tmp_path / "failed" / f"{number}.json").write_text(json.dumps(note))
    assert board(tmp_path)[1:] == ["0,0,reason 0", "1,1,reason 1"]
    assert "0 runs, 2 failed" in (tmp_path / "leaderboard.html").read_text()
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
    lines = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out).partition("order:")[0].splitlines()
    assert max(map(len, lines)) <= width
    assert any(line.split()[:3] == ["0.2", "9", "efficientnet_lite0"] for line in lines)


def test_a_run_that_was_stopped_half_way_is_none(tmp_path: Path) -> None:
    leave_run(tmp_path, 0, 0.7, "seed=0")
    leave_run(tmp_path, 1, 0.9, "seed=1")
    leave_run(tmp_path, 2, 0.8, "seed=2")
    (tmp_path / "1" / "report.html").unlink()
    note = {"job": 2, "overrides": ["batch_size=8", "seed=2"], "error": "late"}
    write_json(tmp_path / "failed" / "2.json", note)
    assert [line.split(",")[0] for line in board(tmp_path)[1:]] == ["0", "2"]


def test_intervals_memory_and_the_best_are_in_the_tables(tmp_path: Path) -> None:
    leave_run(tmp_path, 0, 0.7, "seed=0")
    leave_run(tmp_path, 1, 0.9, "seed=1")
    head, first, second = (line.split(",") for line in board(tmp_path))
    best, other = dict(zip(head, first, strict=True)), dict(zip(head, second, strict=True))
    assert (best["image/auroc_low"], best["image/auroc_high"]) == ("0.1", "0.95")
    assert (best["best"], other["best"]) == ("image/auroc", "")
    assert "image/ap_low" not in head
    assert best["peak_memory_bytes"] == "1500000000"
    text = (tmp_path / "leaderboard.md").read_text()
    assert "| 1 | 1 | 3 | 2 | 1500 | **90.0 (10.0 to 95.0)** | 50.0 |" in text
    assert "2 runs: the highest image AUROC is 90.0, with seed=1" in text


def test_the_title_counts_the_decisions_of_the_best_run() -> None:
    rows = [row(label=1, decision=n < 22) for n in range(40)] + [row(decision=n < 2) for n in range(40)]
    runs = []
    for number, area in enumerate((0.9, 0.8)):
        folder = RunFolder(Path(str(number)))
        folder.metrics = {"test": {"mean": {"image/auroc": area}}, "val": {}}
        folder.rows = rows if area == 0.9 else []
        runs.append(SweepRun(str(number), {"coreset": f"{number}"}, folder))
    title = leaderboard_title(SweepFolder(Path(), tuple(runs), command=""))
    assert title == (
        "2 runs: the highest image AUROC is 90.0, with coreset=0; this run found 22 of 40 defects, false "
        "alarms on 2 of 40 normal images"
    )


def test_a_search_is_in_the_order_of_what_it_looked_for(tmp_path: Path) -> None:
    leave_run(tmp_path, 0, 0.7, "seed=0")
    leave_run(tmp_path, 1, 0.9, "seed=1")
    write_json(tmp_path / "search.json", {"metric": "val/learning/val/total", "direction": "minimize"})
    lines = board(tmp_path)
    assert [line.split(",")[0] for line in lines[1:]] == ["0", "1"]
    text = (tmp_path / "leaderboard.md").read_text()
    assert "the lowest val/learning/val/total is 0, with seed=0" in text
    assert "has used no test image" in text


def test_the_page_is_whole_and_fetches_nothing(tmp_path: Path) -> None:
    leave_run(tmp_path, 0, 0.7, "model.x=<b>")
    leave_run(tmp_path, 1, 0.9, "model.x=1")
    board(tmp_path)
    page = (tmp_path / "leaderboard.html").read_text()
    assert '<td class="best">90.0' in page
    assert '<a href="1/report.html">1</a>' in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert re.search(r"(src|href)=\"https?:", page) is None


class Broken:
    def write(self, sweep: Any) -> Path:
        raise ZeroDivisionError("nothing to divide")


class Written:
    def write(self, sweep: Any) -> Path:
        page: Path = sweep.path / "study.html"
        page.touch()
        return page


def with_study(sweep: Path, study: type) -> None:
    leave_run(sweep, 0, 0.7, "seed=0")
    leave_run(sweep, 1, 0.9, "seed=1")
    named = {"_target_": f"{study.__module__}.{study.__name__}"}
    config = {"hydra": {"sweep": {"dir": str(sweep)}}, "study": named, "trusted": ["tests"]}
    Leaderboard().on_multirun_end(OmegaConf.create(config))


def test_a_study_that_fails_loses_no_table_and_fails_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_study(tmp_path, Broken)
    assert (tmp_path / "leaderboard.csv").is_file()
    assert [str(error) for error in attempts.stopping_errors] == [
        "no page of the study: ZeroDivisionError: nothing to divide"
    ]
    assert "study:" not in capsys.readouterr().out


def test_the_leaderboard_links_to_the_studys_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_study(tmp_path, Written)
    assert 'href="study.html"' in (tmp_path / "leaderboard.html").read_text()
    assert f"study: {tmp_path / 'study.html'}" in capsys.readouterr().out
    assert attempts.stopping_errors == []


@pytest.mark.parametrize(
    ("values", "title"),
    [
        ((0.9, 0.9), "2 runs: both have image AUROC 90.0"),
        ((0.9, 0.9, 0.9), "3 runs: all have image AUROC 90.0"),
        ((0.9, 0.9, 0.8), "3 runs: the highest image AUROC is 90.0, with coreset=0 and with coreset=1"),
        ((0.9, 0.9, 0.9, 0.8), "4 runs: the highest image AUROC is 90.0, in 3 of them"),
    ],
)
def test_runs_with_the_same_best_number_are_all_the_best(values: tuple[float, ...], title: str) -> None:
    runs = []
    for number, area in enumerate(values):
        folder = RunFolder(Path(str(number)))
        folder.metrics = {"test": {"mean": {"image/auroc": area}}, "val": {}}
        folder.rows = [row(label=1, decision=True)]
        runs.append(SweepRun(str(number), {"coreset": f"{number}"}, folder))
    assert leaderboard_title(SweepFolder(Path(), tuple(runs), command="")) == title
