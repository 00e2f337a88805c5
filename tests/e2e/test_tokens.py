"""Methods on the tokens of a real DINOv2 or CLIP find the toy tray's defects better than pixel_mean does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import real
from tests.e2e.scripts import metrics_of, train_here

WEIGHTS = real.WEIGHTS / "dinov2_small" / "model.safetensors"
CLIP = real.WEIGHTS / "clip_vit_b16"  # a folder of transformers
pytestmark = pytest.mark.slow
BASE = (
    *("dataset.size=112", "dataset.train=12", "dataset.validation=4", "dataset.test_good=6"),
    *("dataset.test_bad=9", "category=tray", "image_size=112", "num_workers=0", "logger=none"),
)


METHODS = {
    "rad": ("model=rad",),
    "subspace": ("model=subspace",),
    "token_gaussian": ("model=token_gaussian",),
    "musc": ("model=musc",),
    "whitened": ("model=patchcore", "model.reduce=whiten", "model.dimensions=64", "model.neighbourhood=1"),
}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("tokens")
    return f"dataset.root={folder / 'set'}", f"paths.splits={folder / 'splits'}"


@pytest.fixture(scope="module")
def baseline(places: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    run = train_here(
        *BASE, *places, "model=pixel_mean", f"paths.run={tmp_path_factory.mktemp('run') / 'mean'}"
    )
    return metrics_of(run)["test"]["tray"]


@real.needs(WEIGHTS)
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_defects_of_the_toy_are_found(
    method: tuple[str, ...], places: tuple[str, str], baseline: dict[str, float], tmp_path: Path
) -> None:
    network = ("backbone=dinov2_small", f"backbone.checkpoint={WEIGHTS}")
    run = train_here(*BASE, *places, *network, *method, f"paths.run={tmp_path / 'run'}")
    found = metrics_of(run)["test"]["tray"]
    assert found["image/auroc"] >= baseline["image/auroc"]
    assert found["pixel/auroc"] > baseline["pixel/auroc"] + 0.1


@real.needs(CLIP)
def test_texts_find_defects_of_the_toy(
    places: tuple[str, str], baseline: dict[str, float], tmp_path: Path
) -> None:
    given = ("model=clip_zero_shot", f"backbone.checkpoint={CLIP}", f"paths.run={tmp_path / 'run'}")
    found = metrics_of(train_here(*BASE, *places, *given))["test"]["tray"]
    assert found["pixel/auroc"] > baseline["pixel/auroc"]
