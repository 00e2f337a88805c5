"""What can be swapped by overrides: a whole run each, and the same numbers from its checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.predicted import assert_predicts_its_own_test
from tests.e2e.scripts import call, metrics_of, train_here

pytestmark = pytest.mark.slow  # whole sweeps and trainings

VARIANTS = {
    "anomaly_dino": ("model=anomaly_dino",),
    "whitened": ("model.reduce=whiten", "model.dimensions=16", "model.rotations=[30]"),
    "pca_adaptive": ("memory=pca", "fusion=adaptive"),
    "kmeans_weighted": ("memory=kmeans", "fusion=weighted", "fusion.layers=[1,0.5]"),
    "layers_scales": ("model.per_layer=true", "model.scales=[0.5,1.0]", "model.brightness=[0.9]"),
    "disk": ("memory=disk", "memory.dtype=float16", "model.neighbours=3", "model.scales=[0.5,1.0]"),
    "streamed": ("memory=random", "model.bank_bytes=100000", "model.reduce=pca", "model.dimensions=16"),
    "tiled": ("tiling=default", "tiling.size=32", "tiling.overlap=0.5", "tiling.chunk=5"),
    "tiled_half": ("tiling=default", "tiling.size=[32,24]", "image_scale=0.6", "tiling.merge=centre"),
    "tiled_features": ("tiling=features", "tiling.size=32", "tiling.overlap=0.5"),
    "composition": ("composition=true", "model.words=6", "model.instances=true"),
    "composition_only": ("composition=only", "model.words=6"),
    "calibrated": (
        *("dataset.test_bad=12", "dataset.root=toy12", "split=mvtec_shift_protocol", "split.anomalies=0.5"),
        *("calibration=f1", "calibration.zones=2"),
        *("calibration.probability=platt", "calibration.normalisation=ecdf"),
        "calibration/rule@calibration.pixel=quantile",
    ),
}


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_a_variant_runs_and_its_checkpoint_gives_the_same_numbers(
    variant: tuple[str, ...], base: list[str], tmp_path: Path
) -> None:
    run = train_here(*base, *variant, "category=tray", f"paths.run={tmp_path / 'run'}")
    assert 0 <= metrics_of(run)["test"]["tray"]["image/auroc"] <= 1
    outcome = call("evaluate", f"run={run}")
    assert outcome.code == 0
    assert "numbers equal the run's to the last digit" in outcome.out
    assert_predicts_its_own_test(run, category="tray")


def test_two_networks_in_one_whitened_bank(base: list[str], tmp_path: Path) -> None:
    vit = ("model=test_vit", "layers=[blocks.1]", "source=random")
    cnn = ("model=test_resnet", "layers=[layer2,layer3]", "source=random")
    run = train_here(
        *[text for text in base if not text.startswith("backbone")], "backbone=ensemble",
        *(f"backbone.members.{name}.{text}" for name, own in (("cnn", cnn), ("vit", vit)) for text in own),
        "backbone.members.vit.norm=false", "model.reduce=whiten", "model.dimensions=16", "category=tray",
        "store=disk", f"paths.store={tmp_path / 'store'}", f"paths.run={tmp_path / 'run'}",
    )  # fmt: skip
    assert "numbers equal the run's to the last digit" in call("evaluate", f"run={run}").out
    assert_predicts_its_own_test(run, category="tray")
    assert "resnet18+dinov2_small" in (run / "report.html").read_text()


def test_a_calibrated_run_tells_decisions_by_zones_and_probabilities(base: list[str], tmp_path: Path) -> None:
    run = train_here(*base, *VARIANTS["calibrated"], "category=tray", f"paths.run={tmp_path / 'run'}")
    metrics = metrics_of(run)
    assert {"zones/image/f1", "zones/pixel/segf1", "image/ece"} <= set(metrics["test"]["tray"])
    assert {"zones/image/f1", "zones/pixel/segf1", "image/ece"} <= set(metrics["intervals"]["test"]["mean"])
    page = (run / "report.html").read_text()
    assert "Thresholds compared" in page
    assert "ECE" in page


def test_numbers_by_light_and_by_defect_type(base: list[str], tmp_path: Path) -> None:
    others = [text for text in base if not text.startswith("dataset.root")]
    root = f"dataset.root={tmp_path / 'ad2'}"
    run = train_here(
        *others, root, "dataset.layout=mvtec_ad2", "category=tray", f"paths.run={tmp_path / 'run'}"
    )
    row = metrics_of(run)["test"]["tray"]
    assert {"regular/image/auroc", "overexposed/pixel/aupro_0.05", "shift_1/image/class_f1"} <= set(row)
    plain = train_here(*base, "category=tray", f"paths.run={tmp_path / 'plain'}")
    types = metrics_of(plain)["defects"]["test"]["tray"]
    assert all({"images", "image/auroc", "pixel/aupro_0.3"} <= set(each) for each in types.values())
    assert sum(each["images"] for each in types.values()) == 4


@pytest.mark.parametrize(
    ("overrides", "word"),
    [
        (("composition=maybe",), "composition must be false, true or only"),
        (("fusion=weighted", "fusion.layers=[1]"), "must have 2 weights"),
        (("calibration.probability=platt",), "needs anomalous validation images"),
        (("calibration.zones=0",), "calibration.zones=0"),
        (("calibration.image.q=2",), "q=2"),
        (("model.rotations=[360]",), "model.rotations=[360]"),
    ],
)
def test_what_cannot_be_is_one_line(
    overrides: tuple[str, ...], word: str, base: list[str], tmp_path: Path
) -> None:
    outcome = call("train", *base, *overrides, "category=tray", f"paths.run={tmp_path / 'run'}")
    assert outcome.code == 2
    assert word in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1
