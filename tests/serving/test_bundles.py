"""Bundles behind the service: the answers of the model that was packed, without torch."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

import adframe
from adframe.cli.drift import run_drift
from adframe.export.bundled_detector import BundledDetector
from adframe.export.manifest import bundle_reference
from adframe.inference.detector import TrainedDetector
from adframe.inference.images import InputImage, input_images
from adframe.inference.prediction_log import PredictionLog
from adframe.inference.results import ImageResult
from adframe.serving.batching import Batcher
from tests.fakes.bundles import environment_without, noise, small_detector, write_bundle, write_pictures

SERVE = [sys.executable, "-m", "adframe", "serve"]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainedDetector]:
    folder = tmp_path_factory.mktemp("bundles") / "plate"
    return folder, write_bundle(folder)


def assert_alike(found: ImageResult, expected: ImageResult) -> None:
    assert (found.name, found.error is None) == (expected.name, expected.error is None)
    # Where Pillow and torchvision round a resized byte differently, the input differs by one grey value.
    assert found.score == pytest.approx(expected.score, rel=1e-3)
    assert found.normalised == pytest.approx(expected.normalised, rel=1e-2, abs=1e-2)
    assert (found.anomalous, found.threshold) == (expected.anomalous, expected.threshold)
    np.testing.assert_allclose(found.heatmap, expected.heatmap, atol=2e-3 * expected.heatmap.max())
    assert (found.mask != expected.mask).mean() < 0.01
    assert (found.warnings, found.calibration) == (expected.warnings, expected.calibration)


def test_a_bundle_without_torch_inspects_as_the_packed_model(
    packed: tuple[Path, TrainedDetector], tmp_path: Path
) -> None:
    folder, before = packed
    detector = BundledDetector(folder, category="plate")
    images, _ = input_images(
        [*write_pictures(tmp_path), noise(7)[:40, :40], noise(7).astype(np.uint16) * 257, noise(5, spot=True)]
    )
    found, expected = list(detector.stream(images)), list(before.stream(images))
    for one, other in zip(found, expected, strict=True):
        assert_alike(one, other)
    assert [found[place].anomalous for place in (0, 1, 3, 6)] == [False, False, True, True]
    assert "width / height" in found[4].warnings[0]
    [broken] = detector.stream([InputImage("x", tmp_path / "none.png")])
    assert broken.error is not None
    assert broken.row()["decision"] == "error"


def test_an_image_that_keeps_its_aspect_has_the_same_heatmap(tmp_path: Path) -> None:
    before = write_bundle(tmp_path / "bundle", keep_aspect=True, with_scores=False)
    images, _ = input_images([noise(3)[:20], noise(4, spot=True)[:, :30]])
    found = BundledDetector(tmp_path / "bundle").stream(images)
    for one, other in zip(found, before.stream(images), strict=True):
        assert_alike(one, other)
    with pytest.raises(adframe.AdframeError, match=r"no validation\.json"):
        bundle_reference(tmp_path / "bundle")


def test_another_category_other_thresholds_and_changed_files_are_refused(
    packed: tuple[Path, TrainedDetector], tmp_path: Path
) -> None:
    folder, _ = packed
    for options, reason in (({"category": "screw"}, "of plate, not of screw"), ({"calibration": "x"}, "x")):
        with pytest.raises(adframe.AdframeError, match=reason):
            BundledDetector(folder, **options)
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    text = (copy / "validation.json").read_text()
    (copy / "validation.json").write_text(text.replace('"rate": 0.1', '"rate": 0.2'))
    with pytest.raises(adframe.AdframeError, match=r"validation\.json was changed"):
        bundle_reference(copy)


def test_drift_is_measured_with_the_scores_in_the_bundle(
    packed: tuple[Path, TrainedDetector], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, before = packed
    reference = bundle_reference(folder)
    assert (len(reference.scores), reference.rate, reference.is_refitted) == (12, 0.1, False)
    for name, spot in (("calm", False), ("spots", True)):
        with PredictionLog(tmp_path / name, model="plate") as log:
            for result in before.predict([noise(300 + seed, spot=spot) for seed in range(60)]):
                log.add(result.row())
        code = run_drift(folder, [tmp_path / name], fail_on_drift=True, out=tmp_path / f"{name}-report")
        assert code == spot
    report = json.loads((tmp_path / "spots-report" / "drift.json").read_text())
    assert report["reference"]["images"] == 12
    assert "12 normal validation images of the run" in json.dumps(report)
    capsys.readouterr()


def test_a_model_is_ready_after_its_first_image() -> None:
    class Slow:
        def __init__(self) -> None:
            self.calls: list[str] = []

        def warm_up(self) -> None:
            time.sleep(0.2)
            self.calls.append("warm")

        def stream(self, images, *, batch_size=8, threads=2):
            self.calls.append("image")
            for image in images:
                yield ImageResult(image.name, None, None, threshold_map=lambda h: h > 0, error="none")

    model = Slow()
    batcher = Batcher(model, batch_size=2, most_waiting=4)
    assert not batcher.is_ready
    [early] = batcher.submit([InputImage("a", noise(1))])
    assert early.result(10).error == "none"
    assert model.calls == ["warm", "image"]
    assert batcher.is_ready
    batcher.close()


def test_a_model_that_cannot_be_warmed_up_is_never_ready() -> None:
    class Broken:
        def warm_up(self) -> None:
            raise RuntimeError("no memory")

        def stream(self, images, *, batch_size=8, threads=2):
            raise RuntimeError("no memory")

    failures: list[str] = []
    batcher = Batcher(Broken(), batch_size=2, most_waiting=4, fail=lambda error: failures.append(str(error)))
    [future] = batcher.submit([InputImage("a", noise(1))])
    with pytest.raises(RuntimeError, match="no memory"):
        future.result(10)
    assert failures == ["no memory"]
    assert not batcher.is_ready
    batcher.close()


def test_warming_up_leaves_a_model_as_it_is() -> None:
    detector = small_detector()
    before = detector.predict(noise(3)).score
    detector.warm_up()
    assert detector.predict(noise(3)).score == before


def is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/readyz", timeout=60) as answer:
            return json.load(answer) == {"status": "ok", "models": {"plate": True}}
    except urllib.error.HTTPError:  # 503
        return False


@pytest.mark.slow
def test_the_command_serves_a_bundle_where_torch_is_not_installed(
    packed: tuple[Path, TrainedDetector], tmp_path: Path
) -> None:
    folder, before = packed
    pictures = write_pictures(tmp_path / "pictures")
    environment = environment_without(tmp_path / "blocked")
    options = ["--port", "0", "--drift-alpha", "0.05", "--log", str(tmp_path / "log")]
    process = subprocess.Popen(
        [*SERVE, str(folder), *options], cwd=tmp_path, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        found = re.search(r"1 model \(plate\) at (http://127\.0\.0\.1:\d+);", line)
        assert found is not None, line + process.communicate(timeout=30)[1]

        def ask(path: str, body: bytes | None = None, accept: str = "*/*") -> bytes:
            headers = {"Content-Type": "image/png", "Accept": accept}
            with urllib.request.urlopen(
                urllib.request.Request(found[1] + path, body, headers), timeout=60
            ) as answer:
                return answer.read()

        end = time.monotonic() + 30
        while not is_ready(found[1]):
            assert time.monotonic() < end
            time.sleep(0.02)
        for path, expected in zip(pictures, before.predict(pictures), strict=True):
            [result] = json.loads(ask("/v1/models/plate/predict", path.read_bytes()))["results"]
            assert result["score"] == pytest.approx(expected.score, rel=1e-5)
            assert result["decision"] == ("anomalous" if expected.anomalous else "normal")
        overlay = ask("/v1/models/plate/predict", pictures[3].read_bytes(), "image/png")
        assert overlay.startswith(b"\x89PNG")
        drift = json.loads(ask("/v1/models/plate/drift"))
        assert (drift["images"], drift["reference"]["images"]) == (5, 12)
        assert drift["alarm_rate"]["promised"] == pytest.approx(0.1)
    finally:
        process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert sum(len(path.read_text().splitlines()) - 1 for path in (tmp_path / "log").iterdir()) == 5
    (tmp_path / "run").mkdir()
    refused = subprocess.run(
        [*SERVE, str(tmp_path / "run")], env=environment, text=True, capture_output=True, check=False
    )
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: ")
    assert "is no bundle, and the models of runs need torch" in refused.stderr
