"""`evaluate.py compare=`: a run against its own evaluation under a shift, and what cannot be compared."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.scripts import call, metrics_of


def test_a_run_is_compared_with_itself_under_a_shift(finished: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    assert call("evaluate", f"run={run}", "shift=severe").code == 0
    (shifted,) = (run / "evaluations").iterdir()
    outcome = call("evaluate", f"compare=[{run},{shifted}]")
    assert (outcome.code, outcome.err) == (0, "")
    (folder,) = (run / "comparisons").iterdir()
    names = {f"comparison.{ending}" for ending in ("html", "csv", "md", "tex")}
    assert {path.name for path in folder.iterdir()} == names
    assert "shift.name" in (folder / "comparison.html").read_text()


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["compare=[RUN]"], "two or more"),
        (["compare=RUN"], "two or more"),
        (["compare=[RUN,nowhere]"], "nowhere"),
        (["compare=[nowhere,RUN]"], "nowhere"),
        (["compare=[RUN,nowhere]", "category=tray"], "remove category=tray"),
    ],
)
def test_what_cannot_be_compared_says_why_in_one_line(
    overrides: list[str], words: str, finished: Path
) -> None:
    outcome = call("evaluate", *(text.replace("RUN", str(finished)) for text in overrides))
    assert outcome.code == 2
    assert words in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_a_run_carries_intervals_around_its_numbers(finished: Path) -> None:
    metrics = metrics_of(finished)
    assert list(metrics["intervals"]["test"]) == ["weave", "tray", "mean"]
    for category, found in metrics["intervals"]["test"].items():
        assert (
            {"image/auroc", "image/recall", "image/class_f1", "pixel/auroc", "pixel/segf1"}
            <= set(found)
            <= set(metrics["test"][category])
        )
        low, high = found["image/auroc"]
        assert low <= metrics["test"][category]["image/auroc"] <= high
