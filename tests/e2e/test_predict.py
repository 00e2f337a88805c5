"""A model leaves its test set: `adframe.load` and `adframe predict`."""

from __future__ import annotations

import collections
import csv
import io
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import adframe
from adframe.cli.predict import Request, run_prediction
from adframe.data.dataset import ImageDataset
from adframe.inference.detector import TrainedDetector
from adframe.inference.images import InputImage
from adframe.inference.output import PICTURES, read_records
from adframe.inference.watch import FolderWatch
from adframe.io.images import read_image
from tests.e2e.predicted import assert_predicts_its_own_test
from tests.e2e.scripts import call, clean_environment, train_here
from tests.fakes.pages import words_of

VIT = ("backbone=timm", "backbone.model=test_vit", "backbone.layers=quarters", "backbone.source=random")


@pytest.fixture(scope="module")
def run(base: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("predict") / "run"
    return train_here(*base, "category=[weave,tray]", f"paths.run={folder}")


@pytest.fixture(scope="module")
def detector(run: Path) -> TrainedDetector:
    return adframe.load(run, category="tray")


@pytest.fixture(scope="module")
def images(run: Path, toy: Path) -> list[Path]:
    del run  # it draws the set
    return sorted((toy / "tray" / "test").rglob("*.png"))


@pytest.mark.parametrize("method", ["padim", "pixel_mean", "anomaly_dino"])
def test_other_methods_say_what_their_test_said(method: str, base: list[str], tmp_path: Path) -> None:
    run = train_here(*base, f"model={method}", "category=tray", f"paths.run={tmp_path / 'run'}")
    assert_predicts_its_own_test(run, category="tray")


CLIP = ("backbone=clip_vit_b16_transformers", "backbone.source=random")
ON_TOKENS = {
    "rad": VIT,
    "subspace": VIT,
    "token_gaussian": VIT,
    "musc": CLIP,
    "clip_zero_shot": ("backbone.source=random",),
}


@pytest.mark.parametrize("method", ON_TOKENS)
def test_methods_on_tokens_say_what_their_test_said(method: str, base: list[str], tmp_path: Path) -> None:
    plain = [text for text in base if not text.startswith("backbone")]
    given = (*ON_TOKENS[method], "category=tray", f"paths.run={tmp_path / 'run'}")
    run = train_here(*plain, f"model={method}", *given)
    assert_predicts_its_own_test(run, category="tray")
    outcome = call("evaluate", f"run={run}")
    assert (outcome.code, outcome.err) == (0, "")
    assert "numbers equal the run's to the last digit" in outcome.out
    page = words_of(run / "report.html")
    assert ("this method is transductive" in page) == (method == "musc")
    assert ("this method is zero-shot" in page) == (method == "clip_zero_shot")
    names = {"rad": "RAD", "subspace": "SubspaceAD", "token_gaussian": "Token Gaussian", "musc": "MuSc"}
    assert f"{names.get(method, 'WinCLIP')} on tray" in page


def test_a_zero_shot_method_reads_one_batch_of_training_images(
    base: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, get = list[str](), ImageDataset.__getitem__

    def noting(dataset: ImageDataset, index: int) -> dict[str, Any]:
        read.append(dataset.records[index].split)
        return get(dataset, index)

    monkeypatch.setattr(ImageDataset, "__getitem__", noting)
    plain = [text for text in base if not text.startswith("backbone")]
    given = ("model=clip_zero_shot", "backbone.source=random", "category=tray", "batch_size=1")
    train_here(*plain, *given, f"paths.run={tmp_path / 'run'}")
    assert read.count("train") == 1
    assert read.count("test") >= 7


@pytest.mark.parametrize("category", ["weave", "tray"])
def test_a_loaded_model_says_what_the_test_said(run: Path, category: str) -> None:
    assert_predicts_its_own_test(run, category=category)


def test_every_form_of_an_image_gives_the_same_result(detector: TrainedDetector, images: list[Path]) -> None:
    pixels = [read_image(path) for path in images]
    expected = [result.score for result in detector.predict(images)]
    assert len(set(expected)) > 1
    forms = {
        "paths": [str(path) for path in images],
        "arrays": pixels,
        "one array": np.stack(pixels),
        "tensors": [torch.from_numpy(each.transpose(2, 0, 1).copy()) for each in pixels],
        "pillow": [Image.fromarray(each) for each in pixels],
        "mixed": [images[0], pixels[1], *map(str, images[2:])],
        "generator": (path for path in images),
    }
    for name, form in forms.items():
        assert [result.score for result in detector.predict(form)] == expected, name
    assert [detector.predict(path).score for path in images] == expected
    assert [result.score for result in detector.predict(images, batch_size=3, threads=1)] == expected


def test_a_folder_gives_all_images_in_it(detector: TrainedDetector, toy: Path) -> None:
    results = detector.predict(toy / "tray" / "test")
    assert [Path(result.name) for result in results] == sorted((toy / "tray" / "test").rglob("*.png"))


def test_loading_draws_no_random_number_of_the_users(run: Path) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    adframe.load(run, category="tray")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.usefixtures("run")  # it draws the set
def test_the_dataset_need_not_be_there(base: list[str], toy: Path, tmp_path: Path) -> None:
    other = shutil.copytree(toy, tmp_path / "data")
    overrides = [text for text in base if not text.startswith("dataset.root")]
    run = train_here(*overrides, f"dataset.root={other}", "category=weave", f"paths.run={tmp_path / 'run'}")
    image = shutil.copy(next((other / "weave" / "test").rglob("*.png")), tmp_path / "one.png")
    expected = adframe.load(run).predict(image).score
    shutil.rmtree(other)
    moved = shutil.move(run, tmp_path / "elsewhere")
    assert adframe.load(moved).predict(image).score == expected
    assert not other.exists()


def test_a_checkpoint_names_its_run_and_model(
    run: Path, detector: TrainedDetector, images: list[Path]
) -> None:
    path = run / "checkpoints" / "tray.ckpt"
    assert adframe.load(path).predict(images[0]).score == detector.predict(images[0]).score
    with pytest.raises(adframe.AdframeError, match=r"adframe\.load\('.*tray\.ckpt'\)"):
        type(detector.system).load_from_checkpoint(path)


def test_what_cannot_be_loaded_says_why(run: Path, tmp_path: Path) -> None:
    for arguments, reason in (
        ({}, "has 2 models; choose one with category=: weave, tray"),
        ({"category": "trey"}, "did you mean 'tray'"),
        ({"category": "tray", "device": "cuda:99"}, "device=cuda:99 is not possible here"),
        ({"category": "tray", "device": "toaster"}, "device=toaster is not possible here"),
    ):
        with pytest.raises(adframe.AdframeError, match=reason):
            adframe.load(run, **arguments)
    with pytest.raises(adframe.AdframeError, match="no run's folder"):
        adframe.load(tmp_path)
    damaged = shutil.copytree(run, tmp_path / "damaged")
    (damaged / "checkpoints" / "tray.ckpt").unlink()
    with pytest.raises(adframe.AdframeError, match=r"tray\.ckpt does not exist"):
        adframe.load(damaged, category="tray")


def test_images_of_another_kind_are_inspected_and_doubted(
    detector: TrainedDetector, images: list[Path]
) -> None:
    pixels = read_image(images[0])
    small, wide = pixels[:20, :20], np.tile(pixels, (1, 2, 1))
    results = detector.predict([pixels, pixels[:, :, 0], small, wide])
    assert results[0].warnings == ()
    assert results[1].warnings == ("the image is grey, and the training images are in colour",)
    assert "20x20 pixels" in results[2].warnings[0]
    assert "width / height of the image is 2.00" in results[3].warnings[0]
    assert all(result.error is None and np.isfinite(result.score) for result in results)
    assert [result.heatmap.shape for result in results] == [(64, 64), (64, 64), (20, 20), (64, 128)]


def test_a_broken_image_is_a_row_and_does_not_end_the_others(
    detector: TrainedDetector, images: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(images[0].read_bytes()[:300])
    first, wrong, missing, last = detector.predict([images[0], broken, tmp_path / "none.png", images[0]])
    assert first.score == last.score
    assert "cannot be decoded" in wrong.error
    assert "does not exist" in missing.error
    assert "dataset" not in wrong.error + missing.error
    with pytest.raises(adframe.AdframeError, match="cannot be decoded"):
        detector.predict(broken)


def predict(*, listed: str = "", **arguments: object) -> int:
    return run_prediction(Request(**arguments), listed=io.StringIO(listed))  # type: ignore[arg-type]


def rows_in(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "predictions.csv").read_text().splitlines()))


def test_the_command_prints_a_line_and_writes_rows_pictures_and_a_page(
    run: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    out = tmp_path / "out"
    inputs = (*map(str, images), str(broken))
    arguments = {
        "run": run,
        "images": inputs,
        "category": "tray",
        "out": out,
        "pictures": PICTURES,
        "page": True,
    }
    assert predict(**arguments) == 3
    shown, summary = capsys.readouterr()
    results = adframe.load(run, category="tray").predict(images)
    expected = [*("anomalous" if result.anomalous else "normal" for result in results), "error"]
    assert [line.split()[0] for line in shown.splitlines()] == expected
    assert (
        summary.count(f"{expected.count('anomalous')} of 7 images anomalous; 1 image could not be read") == 1
    )
    rows = rows_in(out)
    assert [(row["image"], row["decision"]) for row in rows] == list(zip(inputs, expected, strict=True))
    assert [float(row["score"]) for row in rows[:-1]] == [result.score for result in results]
    records = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    for record, result in zip(records, results, strict=False):
        assert set(record["files"]) == set(PICTURES)
        assert len(record["regions"]) == len(result.regions)
        with Image.open(out / record["files"]["mask"]) as mask:
            assert np.array_equal(np.asarray(mask)[:, :, 0] > 0, result.mask)
    # Images of one name in several folders have pictures of their own.
    assert len({record["files"]["overlay"] for record in records[:-1]}) == len(images)
    page = (out / "index.html").read_text()
    assert f"{expected.count('anomalous')} of 7 images called anomalous" in page
    assert page.count("<img") == 2 * len(images)
    decoded = collections.Counter[str]()
    original = TrainedDetector.pixels

    def counting(detector: TrainedDetector, image: InputImage) -> np.ndarray:
        decoded[image.name] += 1
        return original(detector, image)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainedDetector, "pixels", counting)
        predict(**arguments | {"out": tmp_path / "counted"})
    # Once for the network, and once for the overlay and the page together.
    assert {decoded[str(image)] for image in images} == {2}
    with pytest.raises(adframe.AdframeError, match="already holds predictions"):
        predict(**arguments)
    capsys.readouterr()
    assert predict(**arguments | {"resume": True}) == 0
    assert capsys.readouterr().out == ""
    assert rows_in(out) == rows


def test_a_prediction_that_was_killed_goes_on(
    run: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    arguments = {"run": run, "images": tuple(map(str, images)), "category": "tray"}
    predict(**arguments, out=whole)
    text = (whole / "predictions.jsonl").read_text()
    cut.mkdir()
    (cut / "predictions.jsonl").write_text(text[: len(text) * 2 // 3])  # in the midst of a line
    capsys.readouterr()
    predict(**arguments, out=cut, resume=True)
    assert 0 < len(capsys.readouterr().out.splitlines()) < len(images)
    left, right = ([{**row, "milliseconds": ""} for row in rows_in(folder)] for folder in (whole, cut))
    assert left == right


def test_exit_codes_json_and_paths_from_standard_input(
    run: Path, images: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    results = adframe.load(run, category="tray").predict(images)
    bad = next(str(path) for path, result in zip(images, results, strict=True) if result.anomalous)
    arguments = {"run": run, "category": "tray", "jsonl": True}
    assert predict(**arguments, images=("-",), listed=f"{bad}\n{images[0]}\n", fail_on_anomaly=True) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["image"] for line in lines] == [bad, str(images[0])]
    assert predict(**arguments, images=(bad,)) == 0
    for wrong, reason in (
        ({"images": ("-",)}, "standard input lists no image"),
        ({}, "give images or folders"),
        ({"images": ("a.png",), "watch": Path()}, "not both"),
        ({"images": ("a.png",), "page": True}, "--page writes files"),
    ):
        with pytest.raises(adframe.AdframeError, match=reason):
            predict(**arguments, **wrong)


def test_the_help_of_the_command_names_every_part(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "adframe", "predict", "--help"],
        cwd=Path(adframe.__file__).parents[1], env=clean_environment(tmp_path),
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    for option in ("--out", "--picture", "--page", "--watch", "--fail-on-anomaly", "--category"):
        assert option in done.stdout


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_watched_folder_survives_a_restart(run: Path, images: list[Path], tmp_path: Path) -> None:
    incoming, out = tmp_path / "incoming", tmp_path / "out"
    incoming.mkdir()

    def watching(files: int) -> str:
        process = subprocess.Popen(
            [sys.executable, "-m", "adframe", "predict", str(run), "--category", "tray",
             "--watch", str(incoming), "--out", str(out), "--interval", "0.05"],
            cwd=Path(adframe.__file__).parents[1], env=clean_environment(tmp_path),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        end = time.monotonic() + 120
        records = out / "predictions.jsonl"
        while not (records.exists() and len(records.read_text().splitlines()) == files):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        process.terminate()
        _, err = process.communicate(timeout=60)
        assert process.returncode == 143
        return err

    shutil.copy(images[0], incoming / "a.png")
    assert watching(1) == "error: stopped; 1 image inspected\n"
    shutil.copy(images[-1], incoming / "b.png")
    assert watching(2) == "error: stopped; 1 image inspected\n"
    assert [Path(row["image"]).name for row in rows_in(out)] == ["a.png", "b.png"]


def test_a_watched_file_that_cannot_be_read_is_reported_once(
    run: Path, images: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "in" / "broken.png"
    broken.parent.mkdir()
    broken.write_bytes(images[0].read_bytes()[:300])
    predict(run=run, images=(str(broken),), category="tray", out=tmp_path / "out")
    done = read_records(tmp_path / "out")
    watched = FolderWatch(broken.parent, done=done)
    assert [watched.whole_files() for _ in range(3)] == [[], [], []]
    assert watched._waiting == {}
