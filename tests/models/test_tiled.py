"""A tile as large as the image gives the untiled numbers; batches and chunks change nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adframe.contracts import Detector, Gradient, HeldOut, LeaveOneOut, Prediction, TrainingFree
from adframe.errors import AdframeError
from adframe.models.padim import PaDiM
from adframe.models.patchcore import PatchCore
from adframe.models.pixel_mean import PixelMean
from adframe.models.tiled import TiledLeaveOneOut, Tiling, tiled
from tests.fakes.backbones import tiny_backbone

NORMAL = torch.rand(4, 3, 64, 96, generator=torch.Generator().manual_seed(0))
TEST = torch.rand(3, 3, 64, 96, generator=torch.Generator().manual_seed(1))
METHODS = {
    "patchcore": lambda: PatchCore(tiny_backbone(), coreset=0.5),
    "padim": lambda: PaDiM(tiny_backbone(), channels=8),
    "pixel_mean": lambda: PixelMean(None),
}


def fitted(detector: Any, images: Tensor = NORMAL) -> Any:
    for image in images:
        detector.collect(image[None])
    detector.finalise()
    return detector.eval()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fit", ["tiles", "whole"])
@pytest.mark.parametrize("merge", ["smooth", "centre"])
def test_a_tile_as_large_as_the_image_gives_the_untiled_numbers(method: str, fit: str, merge: str) -> None:
    plain = fitted(METHODS[method]())(TEST[:1])  # convolutions round in another way in larger batches
    tiling = Tiling(size=(64, 96), fit=fit, merge=merge)  # type: ignore[arg-type]
    found = fitted(tiled(METHODS[method](), tiling))(TEST[:1])
    assert torch.equal(found.score, plain.score)
    assert torch.equal(found.heatmap, plain.heatmap)


@pytest.mark.parametrize("method", METHODS)
def test_chunks_and_batches_change_nothing(method: str) -> None:
    results = []
    for chunk, batch in ((1, 3), (4, 3), (64, 1)):
        model = fitted(tiled(METHODS[method](), Tiling(size=32, overlap=0.5, chunk=chunk)))
        found = [model(TEST[start : start + batch]) for start in range(0, 3, batch)]
        results.append((torch.cat([p.score for p in found]), torch.cat([p.heatmap for p in found])))
    for score, heatmap in results[1:]:
        assert torch.allclose(score, results[0][0], rtol=1e-5)
        assert torch.allclose(heatmap, results[0][1], rtol=1e-4, atol=1e-6)


def test_the_score_is_the_highest_of_the_tiles_or_a_mean_of_the_highest_pixels() -> None:
    model = fitted(tiled(METHODS["patchcore"](), Tiling(size=32, overlap=0)))
    corners = model.tiling.grid((64, 96)).corners
    tiles = [model.inner(TEST[:, :, top : top + 32, left : left + 32]).score for top, left in corners]
    assert torch.equal(model(TEST).score, torch.stack(tiles).amax(0))
    model.tiling.score = 0.1
    found = model(TEST)
    pixels = found.heatmap.flatten(1).sort(descending=True).values[:, : 64 * 96 // 10 + 1]
    assert torch.allclose(found.score, pixels.mean(1))


def test_an_image_smaller_than_a_tile_is_padded_and_keeps_its_size() -> None:
    model = fitted(tiled(METHODS["patchcore"](), Tiling(size=128)))
    assert model(TEST).heatmap.shape == (3, 1, 64, 96)


def test_a_defect_that_a_resized_image_loses_is_found_on_tiles() -> None:
    """Four pixels of 512 x 512: at 64 x 64 less than a tenth of a pixel."""
    draws = torch.Generator().manual_seed(3)
    good = 0.5 + 0.02 * torch.randn(6, 3, 512, 512, generator=draws)
    bad = good[4:].clone()
    bad[:, :, 300:302, 200:202] = 1.0
    model = fitted(tiled(METHODS["patchcore"](), Tiling(size=64, overlap=0)), good[:4])
    scores = model(torch.cat([good[4:], bad])).score
    assert scores[2:].min() > scores[:2].max()
    place = model(bad[:1]).heatmap[0, 0].flatten().argmax()
    assert abs(int(place) // 512 - 300) < 12
    assert abs(int(place) % 512 - 200) < 12


def test_the_interfaces_are_those_of_the_method() -> None:
    model = tiled(METHODS["patchcore"](), Tiling(size=32))
    assert isinstance(model, Detector)
    assert isinstance(model, TrainingFree)
    assert isinstance(model, HeldOut)
    assert not isinstance(model, Gradient | LeaveOneOut)
    assert tiled(model, None) is model
    with pytest.raises(AdframeError, match="cannot be put on tiles"):
        tiled(nn.Identity(), Tiling())


def test_a_checkpoint_leaves_out_the_frozen_backbone() -> None:
    model = fitted(tiled(METHODS["patchcore"](), Tiling(size=32)))
    assert any(name.startswith("inner.backbone.") for name in model.frozen)
    assert not any("backbone" in name for name in set(model.state_dict()) - model.frozen)
    assert "PatchCore on tiles 32x32" in model.METHOD


class Recorded(nn.Module):
    """A method that learns by gradient, and keeps what it was given."""

    synthetic, min_held_out, needs_held_out = True, 2, False

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[Any] = []

    def forward(self, image: Tensor) -> Prediction:
        return Prediction(image.amax((1, 2, 3)), image.amax(1, keepdim=True))

    score_leave_one_out = forward

    def loss(self, batch: Any) -> dict[str, Tensor]:
        self.batches.append(batch)
        return {"total": batch["image"].mean()}

    check = loss

    def collect(self, image: Tensor) -> None: ...

    collect_held_out = collect

    def finalise(self) -> None: ...

    def finalise_held_out(self) -> None: ...

    def groups(self, *, weight_decay: float, layer_decay: float) -> list[Any]:
        return []

    def learned(self) -> dict[str, Tensor]:
        return {}

    def load_learned(self, state: Any) -> None: ...

    def facts(self) -> dict[str, float]:
        return {}


def test_a_method_that_learns_sees_tiles_with_their_masks_and_labels() -> None:
    model: Any = tiled(Recorded(), Tiling(size=32, chunk=12))
    assert isinstance(model, TiledLeaveOneOut)
    assert isinstance(model, Gradient | LeaveOneOut)
    mask = torch.zeros(3, 1, 64, 96)
    mask[0, 0, :32, :32] = 1
    batch = {
        "image": TEST, "mask": mask, "label": torch.tensor([1.0, 0.0, 0.0]), "family": ["cut", "", ""],
        "index": torch.arange(3), "regions": None,
    }  # fmt: skip
    model.loss(batch)
    shown = model.inner.batches[-1]
    # Four of each image: as many in all as the network takes together.
    assert shown["image"].shape == (12, 3, 32, 32)
    assert torch.equal(shown["label"], shown["mask"].flatten(1).amax(1))
    assert shown["label"][4:].sum() == 0
    assert shown["family"] == ["cut"] * 4 + [""] * 8
    assert len(set(shown["index"].tolist())) == 12
    model.check(batch)
    model.check(batch)
    assert torch.equal(model.inner.batches[-1]["image"], model.inner.batches[-2]["image"])
    assert torch.allclose(model.score_leave_one_out(TEST).heatmap, TEST.amax(1, keepdim=True))
    model.tiling.fit = "whole"
    model.loss(batch)
    assert model.inner.batches[-1] is batch


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 8}, {"size": (64, 64, 64)}, {"overlap": 1.0}, {"merge": "mix"}, {"score": 0}, {"fit": "all"},
        {"chunk": 0},
    ],
)  # fmt: skip
def test_impossible_values_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(AdframeError, match=r"tiling\."):
        Tiling(**wrong)
