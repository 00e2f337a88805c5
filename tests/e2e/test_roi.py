"""A run with a region of interest: metrics inside and of the whole frame, thresholds from inside."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import adframe
from adframe.calibration.rules import Quantile
from adframe.cli.calibrate import run_calibration
from adframe.cli.predict import Request, run_prediction
from adframe.cli.update import run_update
from adframe.data.dataset import View
from adframe.data.roi import Roi
from adframe.io.images import read_image
from adframe.transforms.synthesis.patches import Scar
from adframe.transforms.synthesis.synthesis import Synthesis
from tests.e2e.predicted import assert_predicts_its_own_test
from tests.e2e.scripts import call, metrics_of, train_here
from tests.fakes.pages import words_of

BOX = "roi.boxes=[[8,8,56,48]]"


@pytest.fixture(scope="module")
def run(base: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("roi") / "run"
    return train_here(*base, "category=tray", "roi=boxes", BOX, "calibration.zones=2", f"paths.run={folder}")


def test_metrics_are_stated_inside_and_for_the_whole_frame(run: Path) -> None:
    found = metrics_of(run)["test"]["tray"]
    assert {"pixel/auroc", "roi/pixel/auroc", "pixel/aupro_0.3", "roi/pixel/aupro_0.3"} <= set(found)
    assert found["roi/pixel/auroc"] != found["pixel/auroc"]
    page = words_of(run / "report.html")
    assert "1 box" in page
    assert "pixel AUROC, ROI" in page


def test_a_loaded_model_inspects_the_same_region(run: Path, toy: Path) -> None:
    assert_predicts_its_own_test(run, category="tray")
    detector = adframe.load(run)
    pixels = read_image(next((toy / "tray" / "test").rglob("*.png")))
    painted = pixels.copy()
    painted[:8] = 255
    painted[48:] = 0
    plain, other = detector.predict([pixels, painted])
    assert plain.score == other.score
    assert np.array_equal(plain.heatmap, other.heatmap)
    assert not plain.mask[:8].any()


def test_pixels_outside_do_not_take_part_in_the_threshold(run: Path) -> None:
    facts = metrics_of(run)["val"]["tray"]
    assert facts["calibration/pixels"] == facts["calibration/n"] * 48 * 40


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (("roi=boxes",), "roi.boxes"),
        (("roi=boxes", "roi.boxes=[[90,90,99,99]]"), "no pixel of an image of 64x64 is inside"),
        (("roi=mask", "roi.mask=none.png"), "none.png does not exist"),
    ],
)
def test_an_impossible_region_is_one_line(
    overrides: tuple[str, ...], reason: str, base: list[str], tmp_path: Path
) -> None:
    outcome = call("train", *base, "category=tray", f"paths.runs={tmp_path / 'runs'}", *overrides)
    assert outcome.code == 2
    assert reason in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.usefixtures("run")  # it draws the set
def test_synthetic_anomalies_lie_inside(toy: Path) -> None:
    data = adframe.MVTecAD(toy, category="tray", image_size=64)
    data.view = View(size=(64, 64), roi=Roi(boxes=[[8, 8, 56, 48]]))
    data.synthesis = Synthesis(
        {"scar": Scar(length=(0.4, 0.6), width=(0.1, 0.1), degrees=(-90, 90), jitter=0.2)},
        name="scar", seed=0, normal_share=0.0,
    )  # fmt: skip
    data.setup()
    outside = torch.ones(64, 64, dtype=torch.bool)
    outside[8:48, 8:56] = False
    labels = []
    for batch in data.synthetic_dataloader("val"):
        assert not batch["mask"][:, 0, outside].any()
        assert (batch["image"][:, :, outside] - 128 / 255).abs().max() < 0.01
        assert torch.equal(batch["mask"].flatten(1).amax(1) > 0, batch["label"] > 0)
        labels += batch["label"].tolist()
    assert 0 < sum(labels) < len(labels)


@pytest.fixture(scope="module")
def auto(base: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("auto") / "run"
    return train_here(*base, "category=[bracket,weave]", "roi=auto", f"paths.run={folder}")


def test_a_found_region_is_kept_with_the_run(auto: Path, toy: Path, tmp_path: Path) -> None:
    found = metrics_of(auto)["test"]
    assert "roi/pixel/auroc" in found["bracket"]
    assert "roi/pixel/auroc" not in found["weave"]
    page = (auto / "report.html").read_text()
    assert "weave: roi=auto inspects the whole frame" in page
    assert "bracket: roi=auto inspects" in page
    assert "% of bracket" in page
    assert "A blue line surrounds the region of interest" in page
    moved = tmp_path / "moved"
    shutil.copytree(auto, moved)
    for category in ("bracket", "weave"):
        assert_predicts_its_own_test(moved, category=category)
    detector = adframe.load(moved, category="bracket")
    result = detector.predict(next((toy / "bracket" / "test").rglob("*.png")))
    assert result.inside is not None
    assert 0.1 < result.inside.mean() < 0.95
    assert not result.mask[~result.inside].any()
    outcome = call("evaluate", f"run={auto}")
    assert "numbers equal the run's to the last digit" in outcome.out


def test_pictures_outline_the_region(auto: Path, toy: Path, tmp_path: Path) -> None:
    image = next((toy / "bracket" / "test" / "good").glob("*.png"))
    for category in ("bracket", "weave"):
        run_prediction(
            Request(
                run=auto, images=(str(image),), out=tmp_path / category, pictures=("overlay",), page=True,
                category=category,
            ),
            listed=io.StringIO(),
        )  # fmt: skip
    blue = {}
    for name in ("bracket", "weave"):
        overlay = read_image(tmp_path / name / "overlay" / f"{image.stem}.png").astype(int)
        blue[name] = int((overlay[..., 1] - overlay[..., 0] > 50).sum())  # the colour map is never greener
    assert blue["bracket"] > 50
    assert blue["weave"] == 0
    assert "A blue line surrounds" in (tmp_path / "bracket" / "index.html").read_text()


def test_an_update_finds_the_region_again(auto: Path, toy: Path, tmp_path: Path) -> None:
    moved = np.roll(read_image(next((toy / "bracket" / "train").rglob("*.png"))), 6, axis=1)
    new = tmp_path / "new.png"
    Image.fromarray(moved).save(new)
    updated = run_update(auto, tmp_path / "updated", normals=[str(new)], category="bracket")
    before, after = (
        adframe.load(run, category="bracket").predict(new).inside.mean() for run in (auto, updated)
    )
    assert after > before


def test_new_thresholds_are_fitted_inside(auto: Path, toy: Path) -> None:
    normals = sorted((toy / "bracket" / "test" / "good").glob("*.png"))
    run_calibration(auto, Quantile(q=0.9), name="inside", normals=list(map(str, normals)), category="bracket")
    detector = adframe.load(auto, category="bracket", calibration="inside")
    inside = detector.predict(normals[0]).inside
    assert detector.calibration.pixels == len(normals) * inside.sum()


def test_one_model_of_all_categories_asks_for_the_category(base: list[str], tmp_path: Path) -> None:
    run = train_here(
        *base, "category=[bracket,weave]", "scope=global", "roi=auto", f"paths.run={tmp_path / 'run'}"
    )
    with pytest.raises(adframe.AdframeError, match=r"region of interest depends on the category"):
        adframe.load(run)
    assert_predicts_its_own_test(run, category="bracket")
    assert_predicts_its_own_test(run, category="weave")
