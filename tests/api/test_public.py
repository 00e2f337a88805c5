"""The public face: what a notebook can do without Hydra, and what Lightning's own trainer finds."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import yaml
from PIL import Image

import adframe
from adframe.data.base import Source
from adframe.io.images import read_image
from adframe.metrics.pixel import PixelMetrics
from adframe.models.named_backbones import NAMED_BACKBONES
from adframe.models.pixel_mean import PixelMean
from adframe.systems.training_free import TrainingFreeSystem
from tests.fakes.backbones import tiny_backbone

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, toy_ad: Source) -> Path:
    del tmp_path_factory
    return Path(toy_ad.root)


def data_of(root: Path) -> adframe.MVTecAD:
    return adframe.MVTecAD(root, category="tray", image_size=64, batch_size=4)


@pytest.fixture(scope="module")
def result(root: Path) -> adframe.Fitted:
    return adframe.fit(adframe.PatchCore(tiny_backbone(), coreset=0.3), data_of(root), accelerator="cpu")


def test_importing_the_package_costs_nothing_and_every_name_is_there() -> None:
    code = (
        "import sys, adframe; print([m for m in ('torch', 'numpy', 'hydra', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert all(getattr(adframe, name) is not None for name in adframe.__all__)
    assert set(adframe.__all__) == set(adframe._HOMES) <= set(dir(adframe))
    with pytest.raises(AttributeError, match="no attribute 'PatchCor'"):
        adframe.PatchCor  # noqa: B018


def test_a_prediction_is_the_tests_own_to_the_last_digit(result: adframe.Fitted) -> None:
    for row in result.run.rows:
        found = result.predict(row["path"])
        assert (found.score, found.anomalous) == (row["score"], row["decision"])
        assert found.decision.threshold == row["threshold"] == result.threshold
        assert found.heatmap.shape == (row["height"], row["width"])


def test_a_method_without_a_backbone_is_fitted_stored_and_tested(root: Path, tmp_path: Path) -> None:
    result = adframe.fit(PixelMean(None), data_of(root), run=tmp_path / "run", accelerator="cpu")
    assert (tmp_path / "run" / "checkpoints" / "tray.ckpt").is_file()
    row = result.run.rows[0]
    assert result.predict(row["path"]).score == row["score"]
    with pytest.raises(adframe.AdframeError, match=r"made by adframe\.fit from objects"):
        adframe.load(tmp_path / "run")


def test_a_path_a_picture_and_an_array_are_the_same_image(result: adframe.Fitted) -> None:
    path = result.run.rows[0]["path"]
    pixels = read_image(Path(path))
    first, *others = (result.predict(image) for image in (path, Image.fromarray(pixels), pixels))
    assert all(np.array_equal(first.heatmap, other.heatmap) for other in others)
    grey = result.predict(pixels[:, :, 0])
    assert grey.heatmap.shape == pixels.shape[:2]
    for wrong, reason in (
        (pixels.astype(np.float64), r"floats must lie in \[0, 1\]"),
        (pixels[:, :, :2], "an image is a path"),
        (pixels[0, 0], "an image is a path"),
    ):
        with pytest.raises(adframe.AdframeError, match=reason):
            result.predict(wrong)


def test_metrics_intervals_and_table_are_those_of_the_run(result: adframe.Fitted) -> None:
    low, high = result.intervals["image/auroc"]
    auroc = result.metrics["image/auroc"]
    assert auroc is not None
    assert low <= auroc <= high
    row = result.frame.set_index("metric").loc["image/auroc"]
    assert (row["value"], row["category"], row["model"]) == (auroc, "tray", "PatchCore")
    assert (result.run.path / "report.html").is_file()


def test_results_are_compared_pair_by_pair_on_the_same_images(result: adframe.Fitted, root: Path) -> None:
    other = adframe.fit(adframe.PaDiM(tiny_backbone(), channels=8), data_of(root), accelerator="cpu")
    found = {one.metric: one for one in adframe.compare(result, other)}
    for metric in ("image/auroc", "pixel/auroc"):
        expected = (other.metrics[metric] or 0) - (result.metrics[metric] or 0)
        assert found[metric].difference.value == pytest.approx(expected)
        assert found[metric].paired
    with pytest.raises(adframe.AdframeError, match="two results or more"):
        adframe.compare(result)


def test_lightnings_own_trainer_finds_what_it_knows(root: Path, result: adframe.Fitted) -> None:
    data = data_of(root)
    system = TrainingFreeSystem(
        detector=adframe.PatchCore(tiny_backbone(), coreset=0.3),
        calibrator=result.system.calibrator,
        pixel=PixelMetrics(saturated=False),
        refit=True,
    )
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(
        max_epochs=1, accelerator="cpu", enable_checkpointing=False, **quiet
    )  # sanity steps as usual
    trainer.fit(system, datamodule=data)
    trainer.test(system, datamodule=data, verbose=False)
    assert trainer.callback_metrics["image/auroc"] == pytest.approx(result.metrics["image/auroc"])
    batches = trainer.predict(system, datamodule=data)
    assert batches is not None
    predictions = [each for batch in batches for each in batch]  # type: ignore[union-attr]
    assert [each.score for each in predictions] == [row["score"] for row in result.run.rows]


def test_train_takes_the_overrides_of_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = (
        "dataset.size=64",
        "dataset.train=6",
        "dataset.test_good=3",
        "dataset.test_bad=4",
        "image_size=64",
    )
    tiny = (
        "backbone=timm",
        "backbone.model=test_resnet",
        "backbone.layers=[layer2]",
        "backbone.source=random",
    )
    run = adframe.train(*small, *tiny, "category=weave", "num_workers=0", "logger=none", "paths.run=run")
    assert set(run.test) == {"weave", "mean"}
    assert run.environment["model"] == "patchcore"
    with pytest.raises(adframe.AdframeError, match="mdoel"):
        adframe.train("mdoel=patchcore")


def test_named_backbones_are_those_of_the_configuration() -> None:
    for path in (CONF / "backbone").glob("*.yaml"):
        node = yaml.safe_load(path.read_text())
        if path.stem in ("timm", "ensemble") or path.stem.endswith("_transformers"):
            continue
        known = NAMED_BACKBONES[path.stem]
        layers = node["layers"] if isinstance(node["layers"], str) else tuple(node["layers"])
        assert (known.model, known.layers, known.source) == (node["model"], layers, node["source"])
        assert known.norm == node.get("norm", False)


@pytest.mark.parametrize("name", ["mvtec_ad", "mvtec_loco", "mvtec_ad2", "visa", "btad", "folder", "toy"])
def test_a_dataset_class_knows_what_its_configuration_says_of_it(name: str) -> None:
    node = yaml.safe_load((CONF / "dataset" / f"{name}.yaml").read_text())
    module, _, kind = node["_target_"].rpartition(".")
    source = getattr(importlib.import_module(module), kind)(root=Path())
    for key in ("name", "homepage", "licence", "tree"):
        assert getattr(source, key) == node[key]
