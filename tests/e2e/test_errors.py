"""`evaluate.py errors=`: a run by itself, beside its evaluation under a shift, and what cannot be read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from adframe.results.predictions import read_predictions
from adframe.results.validation_scores import read_scores
from tests.e2e.scripts import call, metrics_of


@pytest.mark.slow
def test_a_run_and_its_evaluation_under_a_shift(finished: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    assert call("evaluate", f"run={run}", "shift=severe").code == 0
    (shifted,) = (run / "evaluations").iterdir()
    assert (shifted / "validation" / "tray.json").read_bytes() == (run / "validation/tray.json").read_bytes()
    for runs in (str(run), f"[{run},{shifted}]"):
        outcome = call("evaluate", f"errors={runs}")
        assert (outcome.code, outcome.err) == (0, "")
    pages = sorted((run / "errors").glob("*/errors.html"))
    assert len(pages) == 2
    assert "were shifted" in pages[1].read_text()


def test_what_a_run_keeps_is_what_its_threshold_and_its_sizes_came_from(finished: Path) -> None:
    for category, facts in metrics_of(finished)["val"].items():
        kept = read_scores(finished, category=category)
        assert kept is not None
        assert len(kept.normal) == facts["calibration/n"]
        assert kept.normal.max() == facts["calibration/threshold"]  # quantile 0.995 of so few
        assert json.loads((finished / "validation" / f"{category}.json").read_text())["anomalous"] == []
    for row in read_predictions(finished / "predictions.parquet"):
        assert (row["defect_area"] is not None) == (row["label"] == 1)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["errors=nowhere"], "nowhere"),
        (["errors=[RUN,RUN]"], "different"),
        (["errors=RUN", "category=tray"], "remove category=tray"),
        (["errors=3"], "cannot read 3/metrics.json"),
        (["errors=[]"], "errors=[] is not possible"),
    ],
)
def test_what_cannot_be_read_says_why_in_one_line(overrides: list[str], words: str, finished: Path) -> None:
    outcome = call("evaluate", *(text.replace("RUN", str(finished)) for text in overrides))
    assert outcome.code == 2
    assert words in outcome.err
    assert len(outcome.err.splitlines()) == 1
