"""Thresholds after training: `adframe calibrate`, next to the run's own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import adframe
from adframe.calibration.rules import BestF1, FixedFpr, MeanStd, Quantile, Rule, Sample
from adframe.cli.calibrate import rule_of, run_calibration
from adframe.results.validation_scores import read_scores, write_scores
from tests.e2e.scripts import train_here


@pytest.fixture(scope="module")
def trained(base: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without a refit, so that the model has not seen its validation images."""
    folder = tmp_path_factory.mktemp("calibrate") / "run"
    return train_here(*base, "category=[weave,tray]", "refit=false", f"paths.run={folder}")


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def threshold(run: Path, name: str, category: str = "tray") -> float:
    return adframe.load(run, category=category, calibration=name).threshold


@pytest.mark.parametrize(
    "rule",
    [FixedFpr(fpr=0.3), Quantile(q=0.5), MeanStd(deviations=1)],
    ids=["fixed_fpr", "quantile", "mean_std"],
)
def test_kept_scores_give_the_threshold_of_the_rule(
    rule: Rule, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    run_calibration(run, rule, name="later")
    shown = capsys.readouterr().out
    for category in ("weave", "tray"):
        scores = read_scores(run, category=category)
        assert scores is not None
        assert threshold(run, "later", category) == rule.choose(Sample.of(scores.normal, np.array([])))
        assert f"{category}: threshold" in shown
    assert {path: path.read_bytes() for path in before} == before
    result = adframe.load(run, category="tray", calibration="later").predict(np.zeros((64, 64, 3), np.uint8))
    assert result.row()["calibration"] == "later"
    assert adframe.load(run, category="tray").calibration_name == "trained"


def test_too_few_images_are_said_with_the_number_that_a_rate_needs(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_calibration(run, rule_of("fixed_fpr", rate=None, deviations=None), name=None)
    shown = capsys.readouterr().out
    assert (
        shown.count("A false-positive rate of 1% needs 99 normal validation images, but there is only 1") == 2
    )
    assert (run / "calibrations" / "fixed_fpr_0.01.json").is_file()


def test_the_runs_own_validation_images_give_its_own_thresholds_again(run: Path, toy: Path) -> None:
    """Image and pixel threshold and scale, to the last digit: the same rules on the same images."""
    held_out = _held_out(run, toy)
    run_calibration(
        run, Quantile(q=0.995), name="again", normals=[str(path) for path in held_out], category="tray"
    )
    own = adframe.load(run, category="tray").calibration
    again = adframe.load(run, category="tray", calibration="again").calibration
    assert (again.threshold, again.pixel_threshold, again.n) == (own.threshold, own.pixel_threshold, own.n)
    assert tuple(again.scale.points) == own.scale.points  # type: ignore[index]


def _held_out(run: Path, toy: Path) -> list[Path]:
    """The training images whose scores the run has kept as validation scores."""
    scores = read_scores(run, category="tray")
    assert scores is not None
    images = sorted((toy / "tray" / "train").rglob("*.png"))
    results = adframe.load(run, category="tray").predict(images)
    found = [path for path, result in zip(images, results, strict=True) if result.score in set(scores.normal)]
    assert len(found) == len(scores.normal)
    return found


def test_best_f1_takes_anomalous_images(run: Path, toy: Path) -> None:
    good = sorted((toy / "tray" / "test" / "good").glob("*.png"))
    bad = [path for path in sorted((toy / "tray" / "test").rglob("*.png")) if path.parent.name != "good"]
    run_calibration(
        run, BestF1(), name="f1", category="tray",
        normals=[str(good[0].parent)], anomalies=[str(path) for path in bad],
    )  # fmt: skip
    detector = adframe.load(run, category="tray")
    scores = [np.array([result.score for result in detector.predict(images)]) for images in (good, bad)]
    assert threshold(run, "f1") == BestF1().choose(Sample.of(*scores))


def test_images_whose_scores_are_of_another_kind_are_doubted(
    run: Path, toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = str(toy / "tray" / "test" / "good")
    for low, reason in (
        (100.0, "lower: if the model was fitted"),
        (-100.0, "higher: the images look different"),
    ):
        scores = low + np.random.default_rng(0).normal(size=200)
        write_scores(run, unit="tray", scores={"normal": scores.tolist(), "anomalous": []})
        run_calibration(run, MeanStd(), name="x", normals=[good], category="tray", overwrite=True)
        assert reason in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"rule": BestF1()}, "needs anomalous images, and none were among the validation images"),
        ({"rule": BestF1(), "normals": ["."]}, "give some with --anomalies"),
        ({"anomalies": ["."]}, "--anomalies needs --normals"),
        ({"name": "a/b"}, "cannot be called 'a/b'"),
        ({"name": "trained"}, "cannot be called 'trained'"),
        ({"category": "trey"}, "did you mean 'tray'"),
        ({"normals": ["none.png"], "category": "tray"}, "none.png does not exist"),
    ],
)
def test_what_cannot_be_fitted_says_why(arguments: dict[str, Any], reason: str, run: Path) -> None:
    with pytest.raises(adframe.AdframeError, match=reason):
        run_calibration(run, **{"rule": MeanStd(), "name": "later"} | arguments)
    assert not (run / "calibrations").exists()


def test_names_are_not_taken_twice_and_damaged_files_are_refused(run: Path) -> None:
    run_calibration(run, MeanStd(), name="later", category="tray")
    with pytest.raises(adframe.AdframeError, match="has a calibration later"):
        run_calibration(run, MeanStd(), name="later")
    with pytest.raises(adframe.AdframeError, match="did you mean 'later'"):
        adframe.load(run, category="tray", calibration="latter")
    with pytest.raises(adframe.AdframeError, match="no thresholds for weave, only for tray"):
        adframe.load(run, category="weave", calibration="later")
    path = run / "calibrations" / "later.json"
    stored = json.loads(path.read_text())
    for damage in ({"threshold": None}, {"threshold": "high"}, {"colour": 1, "threshold": 1.0}, {}):
        stored["units"]["tray"]["changes"] = damage
        path.write_text(json.dumps(stored))
        with pytest.raises(adframe.AdframeError, match="calibrate again"):
            adframe.load(run, category="tray", calibration="later")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"name": "f1", "rate": 0.1, "deviations": None}, "--rate belongs to"),
        ({"name": "quantile", "rate": None, "deviations": 2.0}, "--deviations belongs to"),
        ({"name": "fixed_fpr", "rate": 1.0, "deviations": None}, "must lie between 0 and 1"),
        ({"name": "fixedfpr", "rate": None, "deviations": None}, "did you mean 'fixed_fpr'"),
    ],
)
def test_options_of_another_rule_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(adframe.AdframeError, match=reason):
        rule_of(**options)
