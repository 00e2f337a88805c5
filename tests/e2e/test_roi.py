"""A run with a region of interest: metrics inside and of the whole frame, thresholds from inside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import adframe
from adframe.data.dataset import View
from adframe.data.roi import Roi
from adframe.io.images import read_image
from adframe.transforms.synthesis.patches import Scar
from adframe.transforms.synthesis.synthesis import Synthesis
from tests.e2e.predicted import assert_predicts_its_own_test
from tests.e2e.scripts import call, metrics_of, train_here

BOX = "roi.boxes=[[8,8,56,48]]"


@pytest.fixture(scope="module")
def run(base: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("roi") / "run"
    return train_here(*base, "category=tray", "roi=boxes", BOX, "calibration.zones=2", f"paths.run={folder}")


def test_metrics_are_stated_inside_and_for_the_whole_frame(run: Path) -> None:
    found = metrics_of(run)["test"]["tray"]
    assert {"pixel/auroc", "roi/pixel/auroc", "pixel/aupro_0.3", "roi/pixel/aupro_0.3"} <= set(found)
    assert found["roi/pixel/auroc"] != found["pixel/auroc"]
    page = (run / "report.html").read_text()
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
