"""Methods on the tokens of a real DINOv2 find the toy tray's defects better than the simplest baseline does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import real
from tests.e2e.scripts import metrics_of, train_here

WEIGHTS = real.WEIGHTS / "dinov2_small" / "model.safetensors"
pytestmark = [pytest.mark.slow, real.needs(WEIGHTS)]
BASE = (
    *("dataset.size=112", "dataset.train=12", "dataset.validation=4", "dataset.test_good=6"),
    *("dataset.test_bad=9", "category=tray", "image_size=112", "num_workers=0", "logger=none"),
)


@pytest.mark.parametrize(
    "method",
    [
        ("model=rad",),
        ("model=subspace",),
        ("model=token_gaussian",),
        ("model=musc",),
        ("model=patchcore", "model.reduce=whiten", "model.dimensions=64", "model.neighbourhood=1"),
    ],
    ids=lambda method: method[-3].rpartition("=")[2] if len(method) > 3 else method[0].rpartition("=")[2],
)
def test_defects_of_the_toy_are_found(method: tuple[str, ...], toy112: Path, tmp_path: Path) -> None:
    places = (
        f"dataset.root={toy112}",
        f"paths.run={tmp_path / 'run'}",
        f"paths.splits={tmp_path / 'splits'}",
    )
    network = ("backbone=dinov2_small", f"backbone.checkpoint={WEIGHTS}")
    found = metrics_of(train_here(*BASE, *network, *method, *places))["test"]["tray"]
    plain = metrics_of(
        train_here(*BASE, "model=pixel_mean", *places[:1], *places[2:], f"paths.run={tmp_path / 'plain'}")
    )["test"]["tray"]
    assert found["image/auroc"] >= plain["image/auroc"]
    assert found["pixel/auroc"] > plain["pixel/auroc"] + 0.1


@pytest.fixture(scope="module")
def toy112(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("toy112") / "set"
