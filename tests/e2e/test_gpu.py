"""Runs on a GPU, where there is one, compared with those on the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from adframe.results.predictions import read_predictions
from tests.e2e.scripts import SMALL, train_here

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here"),
]
COMMON = (*SMALL, "dataset.products=[tray]", "category=tray", "dataset.train=12", "holdout=0.34")
VIT = ("backbone.model=test_vit", "backbone.layers=[blocks.1]")
METHODS = {
    "patchcore": ("model=patchcore", "coreset=0.2"),
    "padim": ("model=padim",),
    "rad": ("model=rad", *VIT),
    "musc": ("model=musc", *VIT),
    "sit": ("model=sit", "learning.epochs=2", *VIT),
    "dinov2_lora": ("model=dinov2_lora", "learning.epochs=2", *VIT),
}


@pytest.mark.parametrize("layout", ["trainer=gpu", "trainer=ddp"])
@pytest.mark.parametrize("method", sorted(METHODS))
def test_scores_are_those_of_the_cpu(method: str, layout: str, tmp_path: Path) -> None:
    runs = [
        train_here(
            *COMMON, *METHODS[method], trainer, f"dataset.root={tmp_path / 'toy'}",
            f"paths.run={tmp_path / trainer}",
        )
        for trainer in ("trainer=cpu", layout)
    ]  # fmt: skip
    expected, found = (read_predictions(run / "predictions.parquet") for run in runs)
    assert [row["path"] for row in found] == [row["path"] for row in expected]
    assert [row["score"] for row in found] == pytest.approx([row["score"] for row in expected], rel=2e-2)
