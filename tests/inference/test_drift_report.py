"""The drift of a log: what the report, its table and its page say is what the numbers are."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from adframe.errors import AdframeError
from adframe.inference.drift_page import drift_page, drift_table
from adframe.inference.drift_reference import DriftReference, promised_rate
from adframe.inference.drift_report import DriftReport, measure_drift
from adframe.inference.run_reference import run_reference
from adframe.inference.score_log import ScoreLog
from adframe.io.files import write_json
from adframe.reporting.page_writer import render_page
from adframe.results.validation_scores import write_scores
from adframe.stats.drift_monitor import DriftSettings

DRAWS = np.random.default_rng(0)
KNOWN = DRAWS.normal(size=120)
REFERENCE = DriftReference("screw", KNOWN, "120 normal validation images of the run", rate=0.02)
STREAM = np.concatenate([DRAWS.normal(size=90), DRAWS.normal(size=60) + 2])


def log_of(scores: np.ndarray, *, timed: bool = True) -> ScoreLog:
    start = datetime(2026, 5, 1, tzinfo=UTC)
    times = tuple(start + timedelta(minutes=k) if timed else None for k in range(len(scores)))
    names = tuple(f"{k}.png" for k in range(len(scores)))
    return ScoreLog(names, times, scores, scores > 2, (2.0,), ("trained",), 3)


def measured(scores: np.ndarray = STREAM, **settings: object) -> DriftReport:
    return measure_drift(REFERENCE, log_of(scores), DriftSettings(**settings))  # type: ignore[arg-type]


def test_a_shift_is_found_after_it_began_and_stated_with_its_image() -> None:
    report = measured()
    assert report.alarm_at is not None
    assert 90 < report.alarm_at < 110
    assert report.log_capital[report.alarm_at - 1] >= report.log_limit > report.log_capital[: 90 - 1].max()
    record = json.loads(json.dumps(report.record()))
    assert record["alarm"]["image"] == f"{report.alarm_at - 1}.png"
    assert record["alarm"]["time"].startswith("2026-05-01T01:")
    assert record["drift"] is True
    assert record["without_score"] == 3
    assert report.headline.startswith(f"Drift found at image {report.alarm_at} of 150, 2026-05-01 01:")
    quiet = measured(STREAM[:90])
    assert quiet.headline == "No drift found in 90 images"
    assert quiet.record()["alarm"] is None


def test_the_alarm_rate_is_compared_with_the_promise_and_the_share() -> None:
    report = measured()
    alarms = int((STREAM > 2).sum())
    assert (report.rate.alarms, report.rate.images, report.rate.promised) == (alarms, 150, 0.02)
    assert report.rate.exceeds
    assert report.rate.exact[0] > report.rate.anytime[0] > 0.02
    shared = measured(share=0.4)
    assert shared.rate.promised == pytest.approx(0.02 + 0.4 * 0.98)
    assert not shared.rate.exceeds
    nothing = measure_drift(
        DriftReference("screw", KNOWN, "120 normal images"), log_of(STREAM), DriftSettings()
    )
    assert nothing.rate.promised is None
    assert not nothing.rate.exceeds
    assert "promises no rate" in drift_table(nothing).shown[2][2]


def test_blocks_cover_the_stream_once() -> None:
    report = measured()
    edges = [(block.first, block.last) for block in report.blocks]
    assert edges[0][0] == 1
    assert edges[-1][1] == 150
    assert all(left[1] + 1 == right[0] for left, right in itertools.pairwise(edges))
    assert sum(block.alarms for block in report.blocks) == report.rate.alarms
    last = report.blocks[-1]
    assert last.median == pytest.approx(np.median(STREAM[last.first - 1 :]))
    assert last.median_shift > 1 > abs(report.blocks[0].median_shift)
    assert len(measured(STREAM[:3]).blocks) == 1


@pytest.mark.parametrize("count", [1, 150])
def test_the_page_shows_table_figures_and_notes(count: int) -> None:
    report = measure_drift(REFERENCE, log_of(STREAM[-count:], timed=count > 1), DriftSettings())
    html = render_page(drift_page(report, run="one", command="adframe drift one log"))
    assert report.headline in html
    assert html.count("<svg") >= 3
    assert "Anomalies in the stream move scores as well" in html
    assert "could not be read" in html
    assert "at most 1%" in html
    assert ("2026-05-01" in html.partition("<svg")[2].partition("</svg>")[0]) == (count > 1)


def test_a_long_stream_is_drawn_with_its_alarm() -> None:
    draws = np.random.default_rng(1)
    scores = np.concatenate([draws.normal(size=2500), draws.normal(size=500) + 1])
    report = measured(scores)
    assert report.alarm_at is not None
    assert 2500 < report.alarm_at < 2600
    assert len(report.blocks) == 40
    assert len(render_page(drift_page(report, run="one"))) < 600_000


def test_notes_say_what_weakens_the_guarantee() -> None:
    weak = DriftReference("screw", KNOWN, "x", is_refitted=True, several_per_part=True)
    log = log_of(STREAM)
    mixed = ScoreLog(log.images, log.times, log.scores, log.alarms, (2.0, 3.0), ("trained", "new"), 0)
    notes = " ".join(measure_drift(weak, mixed, DriftSettings(share=0.05)).notes)
    for part in ("refit=true", "one image per part", "2 thresholds (trained, new)", "Up to 5% of anomalies"):
        assert part in notes
    assert "move scores as well" not in notes


def run_folder(path: Path, **config: object) -> Path:
    path.mkdir()
    (path / "config.yaml").write_text(
        "\n".join(f"{key}: {json.dumps(value)}" for key, value in config.items())
    )
    write_json(
        path / "metrics.json",
        {"val": {"screw": {"calibration/promised_fpr": 0.005, "calibration/expected_fpr": 0.02}}},
    )
    write_json(path / "environment.json", {})
    return path


def test_the_reference_of_a_run_states_its_promise(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", refit=True, learning={})
    with pytest.raises(AdframeError, match="give a log of normal images with --reference"):
        run_reference(run, unit="screw")
    scores = {"normal": [2.0, 1.0], "anomalous": []}
    write_scores(run, unit="screw", scores=scores, parts={"screw": [[1.0, 2.0]]}, refitted=True)
    found = run_reference(run, unit="screw")
    assert found.scores.tolist() == [1.0, 2.0]
    assert (found.rate, found.is_refitted, found.several_per_part) == (0.02, True, True)
    write_json(
        run / "calibrations" / "new.json",
        {"units": {"screw": {"changes": {"threshold": 1.0, "statistic": "fixed_fpr 0.05", "n": 99},
                             "source": "", "notes": []}}},
    )  # fmt: skip
    assert run_reference(run, unit="screw", calibration="new").rate == 0.05
    other = run_folder(tmp_path / "other", refit=True, learning={"epochs": 3})
    write_scores(other, unit="screw", scores=scores)
    assert not run_reference(other, unit="screw").is_refitted


def test_rates_that_few_images_can_guarantee() -> None:
    assert promised_rate("quantile 0.995", 64) == pytest.approx(1 / 65)
    assert promised_rate("fixed_fpr 0.05", 99) == 0.05
    assert promised_rate("best F1", 99) is None
