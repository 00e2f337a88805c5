"""Training images that the others do not explain: scores by the others, the limit, and what is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adframe.contracts import Record, Screened
from adframe.errors import AdframeError
from adframe.models.extended_patchcore import create_patchcore
from adframe.models.padim import PaDiM
from adframe.models.patchcore import PatchCore
from adframe.models.tiled import Tiling, tiled
from adframe.systems.screening import screen
from tests.fakes.backbones import tiny_backbone

IMAGES = torch.rand(12, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 0.1 + 0.4
IMAGES[3, :, 20:36, 20:36] = 1.0  # a defect
QUERY = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 0.1 + 0.4
METHODS: dict[str, Any] = {
    "patchcore": lambda **changes: PatchCore(tiny_backbone(), coreset=1.0, **changes),
    "two scales": lambda **changes: create_patchcore(
        tiny_backbone(), coreset=1.0, scales=[0.5, 1.0], brightness=[0.9], **changes
    ),
    "padim": lambda **changes: PaDiM(tiny_backbone(), channels=6, **changes),
}


def collected(method: str, images: torch.Tensor, **changes: Any) -> Any:
    model = METHODS[method](**changes)
    for part in torch.split(images, 5):
        model.collect(part)
    return model


@pytest.mark.parametrize("method", METHODS)
def test_an_image_that_the_others_do_not_explain_has_the_highest_score(method: str) -> None:
    model = collected(method, IMAGES, robust=5)
    assert isinstance(model, Screened)
    scores = model.leave_one_out_scores()
    assert scores.shape == (12,)
    assert scores.argmax() == 3
    assert scores[3] > 1.5 * scores.sort().values[-2]


@pytest.mark.parametrize("method", METHODS)
def test_a_score_is_that_of_a_model_of_the_others(method: str) -> None:
    scores = collected(method, IMAGES, robust=5).leave_one_out_scores()
    for image in (0, 3, 11):
        others = collected(method, torch.cat([IMAGES[:image], IMAGES[image + 1 :]]))
        others.finalise()
        wanted = others(IMAGES[image : image + 1]).score
        if method == "two scales":  # its score is the maximum of an average, this the average of maxima
            assert scores[image] >= 0.99 * wanted[0]
        else:
            torch.testing.assert_close(scores[image : image + 1], wanted, rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_a_forgotten_image_leaves_no_trace(method: str) -> None:
    stays = torch.arange(12) != 3
    model = collected(method, IMAGES[:10], robust=5)
    model.keep(stays[:10])
    model.collect(IMAGES[10:])
    model.finalise()
    fresh = collected(method, IMAGES[stays])
    fresh.finalise()
    torch.testing.assert_close(model(QUERY).score, fresh(QUERY).score, rtol=1e-4, atol=1e-4)
    assert model.facts()["bytes"] == fresh.facts()["bytes"]


def records(count: int) -> list[Record]:
    return [Record(path=Path(f"{number:03d}.png"), category="nut", split="train") for number in range(count)]


def test_few_normal_images_are_left_out_by_chance() -> None:
    left_out = [
        screen(records(200), np.random.default_rng(seed).gumbel(size=200), deviations=5).left_out.sum()
        for seed in range(50)
    ]
    assert 10 <= sum(left_out) <= 40  # 1 in 400 of 10,000


def test_the_line_names_the_images_and_the_cap() -> None:
    scores = np.random.default_rng(0).normal(10, 1, 40)
    scores[[7, 20]] = 30, 40
    found = screen(records(40), scores, deviations=5)
    assert found.left_out.nonzero()[0].tolist() == [7, 20]
    assert "left 2 of 40 training images out" in found.line
    assert "020.png (40), 007.png (30)" in found.line
    scores[:16] = 50  # another kind of images, not a contamination
    found = screen(records(40), scores, deviations=5)
    assert found.left_out.sum() == 4
    assert "not more than 10% of the images are left out" in found.line
    assert "needs 8 training images, and there are 5" in screen(records(5), scores[:5], deviations=5).line
    assert screen(records(9), np.ones(9), deviations=5).left_out.sum() == 0


def test_impossible_settings_are_refused() -> None:
    for value in (0, -1, float("inf"), True):
        with pytest.raises(AdframeError, match=r"model\.robust="):
            PatchCore(tiny_backbone(), coreset=1.0, robust=value)
        with pytest.raises(AdframeError, match=r"model\.robust="):
            PaDiM(tiny_backbone(), robust=value)
    for changes in ({"bank_bytes": 1000}, {"composition": True}):
        with pytest.raises(AdframeError, match=r"model\.robust= needs all features"):
            create_patchcore(tiny_backbone(), coreset=1.0, robust=5, **changes)
    with pytest.raises(AdframeError, match=r"tiling=features"):
        tiled(PatchCore(tiny_backbone(), coreset=1.0, robust=5), Tiling(size=32))
