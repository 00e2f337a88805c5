"""`adframe serve` with a trained model: the answers are those of `adframe predict`, also under load."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import adframe
from adframe.cli.serve import model_choices, run_service
from adframe.inference.score_log import read_score_log
from benchmarks.serve import measure
from tests.e2e.scripts import ROOT, clean_environment, train_here

TOKEN = "a-long-enough-token"


@pytest.fixture(scope="module")
def run(base: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serve") / "run"
    return train_here(*base, "category=[weave,tray]", "refit=false", f"paths.run={folder}")


@pytest.fixture(scope="module")
def images(run: Path, toy: Path) -> list[Path]:
    del run  # it draws the set
    return sorted((toy / "tray" / "test").rglob("*.png"))


def test_names_of_models_are_given_or_taken_from_category_and_folder() -> None:
    found = model_choices(["m=runs/a=b", "runs/tray.ckpt", "line=runs/c#tray", "runs/c#weave"])
    assert [(each.name, str(each.path), each.category) for each in found] == [
        ("m", "runs/a=b", None), ("tray", "runs/tray.ckpt", None),
        ("line", "runs/c", "tray"), ("weave", "runs/c", "weave"),
    ]  # fmt: skip
    for texts, reason in ((["x/a", "y/a"], "two models are called a"), (["x#a b"], "cannot be called")):
        with pytest.raises(adframe.AdframeError, match=reason):
            model_choices(texts)


def test_what_cannot_be_served_says_why(run: Path, tmp_path: Path) -> None:
    for texts, limits, reason in (
        ([str(run)], {}, "has 2 models; choose one"),
        ([str(tmp_path)], {}, "no run's folder"),
        ([f"{run}#tray"], {"host": "192.0.2.1"}, "cannot listen on"),
        ([f"{run}#tray"], {"queue": 0}, "queue=0"),
    ):
        with pytest.raises(adframe.AdframeError, match=reason):
            run_service(model_choices(texts), limits={"port": 0} | limits)


@pytest.mark.slow
def test_two_models_answer_as_predict_does_and_stop_at_a_signal(
    run: Path, images: list[Path], tmp_path: Path
) -> None:
    expected = adframe.load(run, category="tray").predict(images)
    command = [
        sys.executable, "-m", "adframe", "serve", f"{run}#tray", f"{run}#weave", "--port", "0",
        "--drift-alpha", "0.01", "--log", str(tmp_path / "log"),
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=ROOT, env=clean_environment(tmp_path) | {"ADFRAME_SERVE_TOKEN": TOKEN},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    port = re.search(r"127\.0\.0\.1:(\d+);", line)
    assert port is not None, line

    def ask(path: str, body: bytes | None = None, token: str = TOKEN) -> dict:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port[1]}{path}", body,
            {"Authorization": f"Bearer {token}", "Content-Type": "image/png"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    try:
        assert [model["name"] for model in ask("/v1/models")["models"]] == ["tray", "weave"]
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask("/v1/models", token="another-long-token")
        for path, result in zip(images, expected, strict=True):
            [found] = ask("/v1/models/tray/predict", path.read_bytes())["results"]
            record = result.record() | {"image": "picture", "milliseconds": found["milliseconds"]}
            assert found == json.loads(json.dumps(record))
        assert ask("/v1/models/tray/drift")["images"] == len(images)
        assert ask("/v1/models/weave/drift")["images"] == 0
        os.kill(process.pid, signal.SIGTERM)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        events = [json.loads(line) for line in err.splitlines()]
        assert events[-1]["event"] == "stop"
        assert TOKEN not in err
    finally:
        process.kill()
        process.communicate()
    log = read_score_log([tmp_path / "log"], model="tray")
    assert log.scores.tolist() == [result.score for result in expected]


@pytest.mark.slow
@pytest.mark.exhaustive
def test_under_load_no_answer_is_lost_or_wrong(
    base: list[str], images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    run = train_here(*base, "category=tray", f"paths.run={tmp_path / 'run'}")
    found = measure(run, images, requests=400, clients=16, repeats=1)
    assert (found["lost"], found["wrong"]) == (0, 0)
    assert found["answered as expected"] == 400 * 47 // 50
    assert (found["broken pictures, refused"], found["bodies that stop half-way"]) == (8, 8)
    assert found["slow clients, answered"] == 8
    assert found["growth after the first eighth, MiB"] < 60
