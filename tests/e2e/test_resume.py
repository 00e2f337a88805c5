"""A run that is stopped keeps what is finished, and goes on from there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from adframe.errors import AdframeError
from adframe.results.predictions import read_predictions
from adframe.runs import train as app_run
from tests.e2e.scripts import call, metrics_of, numbers_of, train_here


def stop_at(unit: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Makes the run stop when it comes to a model; returns the models that were fitted, as they come."""
    work, fitted = app_run.fit_and_test, []

    def stopping(*args: Any, **more: Any) -> None:
        if more["unit"] == unit:
            raise AdframeError("the power is gone")
        fitted.append(more["unit"])
        work(*args, **more)

    monkeypatch.setattr(app_run, "fit_and_test", stopping)
    return fitted


@pytest.fixture
def stopped(base: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    stop_at("tray", monkeypatch)
    with pytest.raises(AdframeError, match="power"):
        train_here(*base, "category=[weave,tray]", f"paths.run={tmp_path / 'run'}")
    monkeypatch.undo()
    return tmp_path / "run"


def test_a_resumed_run_equals_an_uninterrupted_one(
    stopped: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = stopped / "checkpoints" / "weave.ckpt"
    before = checkpoint.stat().st_mtime_ns
    fitted = stop_at("nothing", monkeypatch)
    outcome = call("train", f"resume={stopped}")
    assert (outcome.code, outcome.err, fitted) == (0, "", ["tray"])
    assert checkpoint.stat().st_mtime_ns == before
    assert numbers_of(stopped) == numbers_of(finished)
    assert (stopped / "report.html").is_file()


def test_a_stop_says_how_to_go_on(base: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_at("tray", monkeypatch)
    outcome = call("train", *base, "category=[weave,tray]", f"paths.run={tmp_path / 'run'}")
    assert outcome.code == 2
    assert outcome.err == (
        f"error: the power is gone; weave done; go on with: python train.py resume={tmp_path / 'run'}\n"
    )


def test_a_stop_before_the_first_category_leaves_nothing(
    base: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at("weave", monkeypatch)
    with pytest.raises(AdframeError, match="power"):
        train_here(*base, "category=[weave,tray]", f"paths.runs={tmp_path / 'runs'}")
    assert list(tmp_path.iterdir()) == []


def test_a_finished_run_can_be_resumed_and_nothing_is_done_again(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = numbers_of(finished)
    fitted = stop_at("nothing", monkeypatch)
    assert call("train", f"resume={finished}").code == 0
    assert fitted == []
    assert numbers_of(finished) == before


def test_resume_takes_no_other_override(stopped: Path) -> None:
    outcome = call("train", f"resume={stopped}", "coreset=0.5")
    assert outcome.code == 2
    assert outcome.err == "error: resume goes on with the run's own configuration; remove coreset=0.5\n"


def test_resume_refuses_images_that_have_changed(
    stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # below which other images are drawn
    other = tmp_path / "other"
    text = (stopped / "config.yaml").read_text()
    (stopped / "config.yaml").write_text(text.replace("  train: 6\n", "  train: 7\n").replace(
        next(line for line in text.splitlines() if line.startswith("  root:")), f"  root: {other}"
    ))  # fmt: skip
    outcome = call("train", f"resume={stopped}")
    assert outcome.code == 2
    assert "the images have changed" in outcome.err
    assert (stopped / "metrics.json").is_file()


@pytest.mark.slow
def test_a_run_whose_data_moved_is_resumed_with_its_new_place(
    base: list[str], toy: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    shutil.copytree(toy, first)
    stop_at("tray", monkeypatch)
    arguments = [text for text in base if not text.startswith("dataset.root=")]
    with pytest.raises(AdframeError, match="power"):
        train_here(
            *arguments, f"dataset.root={first}", "category=[weave,tray]", f"paths.run={tmp_path / 'run'}"
        )
    monkeypatch.undo()
    first.rename(second)
    assert call("train", f"resume={tmp_path / 'run'}").code == 2
    outcome = call("train", f"resume={tmp_path / 'run'}", f"dataset.root={second}")
    assert outcome.code == 0, outcome.err
    assert metrics_of(tmp_path / "run")["test"] == metrics_of(finished)["test"]
    paths = [row["path"] for row in read_predictions(tmp_path / "run" / "predictions.parquet")]
    assert all(Path(path).is_relative_to(second) and Path(path).is_file() for path in paths)


def test_resume_takes_no_other_data(stopped: Path, toy: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(toy, other)
    (other / "weave" / "train" / "good" / "000.png").unlink()
    outcome = call("train", f"resume={stopped}", f"dataset.root={other}")
    assert outcome.code == 2
    assert "the images have changed" in outcome.err or "other images" in outcome.err
