"""Methods that learn by gradient, on tiles: they are trained, calibrated and loaded as without."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.predicted import assert_predicts_its_own_test
from tests.e2e.scripts import metrics_of, train_here
from tests.e2e.test_lora import LORA
from tests.e2e.test_reconstruction import DINOMALY, REVERSE_DISTILLATION
from tests.e2e.test_sit import SIT

pytestmark = pytest.mark.slow  # whole trainings

TILES = ("tiling=default", "tiling.size=32", "tiling.overlap=0", "batch_size=2")


@pytest.mark.parametrize(
    "method",
    [SIT, LORA, DINOMALY, REVERSE_DISTILLATION],
    ids=["sit", "dinov2_lora", "dinomaly", "reverse_distillation"],
)
def test_a_method_learns_on_tiles(method: tuple[str, ...], tmp_path: Path) -> None:
    plain = [text for text in method if not text.startswith(("image_size", "logger"))]
    folders = {"dataset.root": "toy", "paths.run": "run", "paths.splits": "splits"}
    places = [f"{key}={tmp_path / name}" for key, name in folders.items()]
    run = train_here(*plain, *places, *TILES, "logger=none")
    metrics = metrics_of(run)["test"]
    category = next(iter(metrics))
    assert 0 <= metrics[category]["image/auroc"] <= 1
    assert_predicts_its_own_test(run, category=category)
