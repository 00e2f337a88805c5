"""Logs: every row is there, in whichever file, and comes back as it went in."""

from __future__ import annotations

import csv
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from adframe.errors import AdframeError
from adframe.inference.prediction_log import LOG_COLUMNS, PredictionLog, log_files, read_rows
from adframe.inference.score_log import read_score_log


def row(number: int, **other: object) -> dict[str, object]:
    known = {"image": f"{number}.png", "decision": "normal", "score": number / 7, "threshold": 1.5}
    return known | other


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 23, 59, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.mark.parametrize("parquet", [False, True])
def test_files_are_rotated_by_size_and_day_and_no_row_is_lost(tmp_path: Path, parquet: bool) -> None:
    clock = Clock()
    with PredictionLog(tmp_path, model="m", most_bytes=600, parquet=parquet, clock=clock) as log:
        for number in range(20):
            log.add(row(number, calibration="trained"))
        files = len(log_files(tmp_path))
        assert files > 2
        clock.now += timedelta(minutes=2)
        log.add(row(20, decision="anomalous", image="a,\n'b'.png"))
        log.add({"image": "broken.png", "decision": "error", "error": "cannot be decoded"})
        assert len(log_files(tmp_path)) == files + 1
        assert log_files(tmp_path)[-1].suffix == ".csv"
    assert {path.suffix for path in log_files(tmp_path)} == {".parquet" if parquet else ".csv"}
    assert "20260302T000100Z" in log_files(tmp_path)[-1].name
    found = read_score_log([tmp_path])
    assert found.scores.tolist() == [number / 7 for number in range(21)]  # to the last digit
    assert found.images[20] == "a,\n'b'.png"
    assert found.alarms.tolist() == [False] * 20 + [True]
    assert found.unread == 1
    assert found.thresholds == (1.5,)
    assert found.times[20] - found.times[0] == timedelta(minutes=2)


def test_the_newest_files_are_kept(tmp_path: Path) -> None:
    with PredictionLog(tmp_path, model="m", most_bytes=1, keep=3) as log:
        for number in range(10):
            log.add(row(number))
    assert read_score_log([tmp_path]).images == ("7.png", "8.png", "9.png")


def test_threads_and_processes_write_whole_rows(tmp_path: Path) -> None:
    logs = [PredictionLog(tmp_path, model="m", most_bytes=2000) for _ in range(2)]

    def write(log: PredictionLog, start: int) -> None:
        for number in range(start, start + 50):
            log.add(row(number))

    threads = [threading.Thread(target=write, args=(logs[n % 2], 50 * n)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for log in logs:
        log.close()
    rows = [each for path in log_files(tmp_path) for each in read_rows(path)]
    assert sorted(int(each["image"][:-4]) for each in rows) == list(range(200))


def test_a_line_that_a_crash_has_cut_is_left_out(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, model="m")
    for number in range(3):
        log.add(row(number))
    path = log_files(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:-8])
    assert read_score_log([tmp_path]).images == ("0.png", "1.png")


def test_a_crash_between_parquet_and_csv_counts_no_row_twice(tmp_path: Path) -> None:
    with PredictionLog(tmp_path, model="m") as log:
        log.add(row(0))
    csv_file = log_files(tmp_path)[0]
    kept = csv_file.read_bytes()
    with PredictionLog(tmp_path / "other", model="m", parquet=True) as log:
        log.add(row(0))
    parquet = log_files(tmp_path / "other")[0]
    parquet.rename(csv_file.with_suffix(".parquet"))
    assert csv_file.read_bytes() == kept
    assert read_score_log([tmp_path]).images == ("0.png",)


def test_times_order_the_stream_where_all_rows_have_one(tmp_path: Path) -> None:
    later, earlier = tmp_path / "a.csv", tmp_path / "b.csv"
    later.write_text("time,score,image\n2026-01-02T00:00:00Z,2,x\n2026-01-01T00:00:00Z,1,y\n")
    earlier.write_text("time,score,image\n2025-01-01T00:00:00+01:00,0,z\n")
    assert read_score_log([later, earlier]).images == ("z", "y", "x")
    earlier.write_text("score,image\n0,z\n")
    assert read_score_log([later, earlier]).images == ("x", "y", "z")
    assert read_score_log([later]).alarms.tolist() == [False, False]


def test_one_model_is_chosen(tmp_path: Path) -> None:
    for model in ("screw", "nut"):
        with PredictionLog(tmp_path, model=model) as log:
            log.add(row(len(model)))
    assert read_score_log([tmp_path], model="nut").images == ("3.png",)
    with pytest.raises(AdframeError, match="images of nut, screw; choose one"):
        read_score_log([tmp_path])
    with pytest.raises(AdframeError, match="did you mean 'nut'"):
        read_score_log([tmp_path], model="nutt")


def test_what_is_no_log_says_so(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    (tmp_path / "text.csv").write_text("score\nhigh\n")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    (tmp_path / "none.csv").write_text("score,error\n,broken\n")
    (tmp_path / "time.csv").write_text("time,score\nyesterday,1\n")
    for name, reason in (
        ("other.csv", "no column score"), ("text.csv", "score 'high' is no number"),
        ("", "neither log files"),
        ("broken.parquet", "cannot read"), ("none.csv", "has no score"), ("missing.csv", "does not exist"),
        ("time.csv", "'yesterday' is no time"),
    ):  # fmt: skip
        with pytest.raises(AdframeError, match=reason):
            read_score_log([tmp_path / name])


def test_results_of_predict_are_read_as_well(tmp_path: Path) -> None:
    lines = ["image,decision,score,threshold", "a.png,anomalous,2.5,2", "b.png,error,,"]
    (tmp_path / "predictions.csv").write_text("\n".join(lines) + "\n")
    found = read_score_log([tmp_path])
    assert (found.images, found.unread, found.times) == (("a.png",), 1, (None,))
    assert np.array_equal(found.alarms, [True])
    (tmp_path / "predictions.jsonl").write_text('{"image": "c", "decision": "normal", "score": 1}\n{"im')
    assert read_score_log([tmp_path / "predictions.jsonl"]).images == ("c",)


def test_columns_are_those_of_results_with_time_and_model(tmp_path: Path) -> None:
    with PredictionLog(tmp_path, model="m") as log:
        log.add(row(1))
    header = next(csv.reader(log_files(tmp_path)[0].read_text().splitlines()))
    assert tuple(header) == LOG_COLUMNS
    with pytest.raises(AdframeError, match="1 or more"):
        PredictionLog(tmp_path, model="m", most_bytes=0)
