"""`adframe drift`: from a model's own predictions and its log to a table, a file and a page."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import adframe
from adframe.cli.app import app
from adframe.cli.predict import Request, run_prediction
from adframe.inference.prediction_log import log_files
from adframe.inference.run_reference import run_reference
from adframe.inference.score_log import read_score_log
from adframe.results.validation_scores import read_scores
from tests.e2e.scripts import metrics_of, train_here


@pytest.fixture(scope="module")
def run(base: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drift") / "run"
    return train_here(*base, "category=tray", "refit=false", f"paths.run={folder}")


def drift(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["drift", *map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def test_predictions_are_logged_and_their_log_is_measured(
    run: Path, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = sorted((toy / "tray" / "test").rglob("*.png"))
    log = tmp_path / "log"
    for parquet in (False, True):  # two calls add to one log
        request = Request(run=run, images=tuple(map(str, images)), log=log, log_parquet=parquet)
        assert run_prediction(request, listed=io.StringIO()) == 0
    capsys.readouterr()
    assert {path.suffix for path in log_files(log)} == {".csv", ".parquet"}
    scores = [result.score for result in adframe.load(run).predict(images)]
    found = read_score_log([log])
    assert found.scores.tolist() == [*scores, *scores]
    assert found.images == (*map(str, images), *map(str, images))
    code, shown = drift(run, log, "--out", tmp_path / "out")
    assert code == 0
    known = read_scores(run, category="tray")
    assert known is not None
    assert f"{2 * len(images)} images" in shown.splitlines()[0]
    record = json.loads((tmp_path / "out" / "drift.json").read_text())
    assert record["images"] == 2 * len(images)
    assert record["reference"]["images"] == len(known.normal)
    assert record["alarm_rate"]["alarms"] == int(found.alarms.sum())
    assert "<svg" in (tmp_path / "out" / "index.html").read_text()


@pytest.mark.parametrize(
    ("given", "joined", "fitted"),
    # Of six training images one is held out; then two defects are a share of 2/7.
    [((), True, 6), (("shots=2",), False, 2), (("contamination=0.25",), False, 7)],
    ids=["plain", "shots", "contamination"],
)
def test_a_run_knows_whether_its_validation_images_joined_the_model(
    given: tuple[str, ...], joined: bool, fitted: int, base: list[str], tmp_path: Path
) -> None:
    own = ("dataset.root=bad12", "dataset.validation=0", "dataset.test_bad=12", "category=tray")
    run = train_here(*base, *own, *given, "model=patchcore", "memory=all", f"paths.run={tmp_path / 'run'}")
    assert run_reference(run, unit="tray").is_refitted is joined
    facts = metrics_of(run)["val"]["tray"]
    assert facts["model/rows"] == fitted * 8 * 8


def test_the_exit_code_is_chosen_and_a_reference_can_be_given(run: Path, tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    for name, scores in (("normal", draws.normal(size=80)), ("shifted", draws.normal(size=80) + 2)):
        (tmp_path / f"{name}.csv").write_text("score\n" + "".join(f"{score}\n" for score in scores))
    shifted = (run, tmp_path / "shifted.csv", "--reference", tmp_path / "normal.csv")
    code, shown = drift(*shifted)
    assert code == 0
    assert shown.startswith("Drift found at image ")
    assert drift(*shifted, "--fail-on-drift")[0] == 1
    assert drift(*shifted, "--fail-on-drift", "--direction", "down")[0] == 0
    assert drift(*shifted, "--fail-on-drift", "--share", "0.9")[0] == 0
    normal = (run, tmp_path / "normal.csv", "--reference", tmp_path / "normal.csv")
    assert drift(*normal, "--fail-on-drift")[0] == 0


def test_wrong_arguments_say_so(run: Path, tmp_path: Path) -> None:
    for arguments, reason in (
        ((tmp_path / "none.csv",), "does not exist"),
        ((tmp_path, "--alpha", 2), "alpha=2 must lie"),
        ((tmp_path, "--share", 1), "share=1 must be"),
    ):
        with pytest.raises(adframe.AdframeError, match=reason):
            drift(run, *arguments)
    with pytest.raises(adframe.AdframeError, match="--log-parquet is the kind of a log"):
        Request(run=run, images=("a",), log_parquet=True).check()
