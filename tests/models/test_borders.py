"""On normal images the largest value of a map must not pile up at the border, whatever the method."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from adframe.contracts import IMAGE, INDEX, LABEL, MASK, TrainingFree
from adframe.models.backbones import TimmBackbone
from adframe.models.border_scales import Rings, ring_of
from adframe.models.extended_patchcore import create_patchcore
from adframe.models.memory import Everything
from adframe.models.padim import PaDiM
from adframe.models.patchcore import PatchCore
from adframe.models.pixel_mean import PixelMean
from adframe.ops.smoothing import heatmap
from tests import real
from tests.covering import further
from tests.fakes.adapted import tiny_lora
from tests.fakes.masked import tiny_sit
from tests.fakes.textures import KINDS, at_border, textures

WEIGHTS = real.WEIGHTS / "dinov2_small" / "model.safetensors"
SIDE, BORDER, COUNT = 128, 6, 48  # the outer 6 of 128 pixels are 18 % of the area


def area(side: int, border: int) -> float:
    return 1 - (1 - 2 * border / side) ** 2


def heatmaps(model: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([model(part).heatmap for part in images.split(8)])


@pytest.fixture(scope="module")
def backbone() -> TimmBackbone:
    return TimmBackbone("tf_efficientnet_lite0", layers=["blocks.2", "blocks.4"], source="package")


def fitted(model: Any, kind: str, *, side: int = SIDE, count: int = 40) -> nn.Module:
    assert isinstance(model, TrainingFree)
    for part in textures(kind, count, side=side, seed=1).split(8):
        model.collect(part)
    model.finalise()
    model.release()
    return model  # type: ignore[return-value]


METHODS: dict[str, Callable[[Any], nn.Module]] = {
    "patchcore": lambda backbone: PatchCore(backbone, coreset=0.1),
    "inside": lambda backbone: PatchCore(backbone, coreset=0.1, border="inside"),
    "padim": lambda backbone: PaDiM(backbone, channels=20),
    "pixel_mean": PixelMean,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", METHODS)
def test_methods_without_gradients(name: str, kind: str, backbone: TimmBackbone) -> None:
    model = fitted(METHODS[name](backbone), kind)
    found = heatmaps(model, textures(kind, COUNT, side=SIDE, seed=2))
    assert at_border(found, width=BORDER) <= 2 * area(SIDE, BORDER)


def test_windows_of_fewer_patches_do_pile_up(backbone: TimmBackbone) -> None:
    """The test sees what it is for: the treatment that adframe once had."""
    model = fitted(PatchCore(backbone, coreset=0.1, border="ignore"), "grain")
    assert at_border(heatmaps(model, textures("grain", COUNT, side=SIDE, seed=2)), width=BORDER) > 0.9


@pytest.mark.slow
@real.needs(WEIGHTS)
@pytest.mark.parametrize("kind", further(KINDS, often=["grain"]))
def test_anomaly_dino_with_its_own_features(kind: str) -> None:
    network = TimmBackbone(
        "vit_small_patch14_dinov2.lvd142m", layers=["blocks.5", "blocks.8"], norm=True,
        checkpoint=WEIGHTS,
    )  # fmt: skip
    model = create_patchcore(
        network, coreset=1.0, memory=Everything, metric="cosine", neighbourhood=1, top_share=0.01
    )
    found = heatmaps(fitted(model, kind, side=224, count=24), textures(kind, 32, side=224, seed=2))
    assert at_border(found, width=10) <= 2 * area(224, 10)


def test_smoothing_of_independent_patches() -> None:
    grids = torch.randn(400, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    found = at_border(heatmap(grids, size=(256, 256), sigma=4.0), width=12)
    assert 0.5 * area(256, 12) < found < 1.5 * area(256, 12)


def learned(model: Any, batches: Callable[[int], dict[str, Tensor]]) -> Any:
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    for step in range(48):
        optimizer.zero_grad()
        model.train().loss(batches(step))["total"].backward()
        optimizer.step()
    return model.eval()


def settled(model: Any, kind: str, *, side: int) -> Any:
    again = model.needs_held_out
    while again:
        model.collect_held_out(textures(kind, 8, side=side, seed=3))
        again = model.finalise_held_out()
    return model


LARGE, PATCH = 160, 16  # of methods with a vision transformer


@pytest.mark.slow
@pytest.mark.parametrize("kind", further(["grain", "clouds"], often=["grain"]))
def test_masked_reconstruction(kind: str) -> None:
    images = textures(kind, 48, side=LARGE, seed=1)

    def batch(step: int) -> dict[str, Tensor]:
        index = torch.arange(8) + 8 * (step % 6)
        return {IMAGE: images[index], INDEX: index}

    model = settled(learned(tiny_sit(), batch), kind, side=LARGE)
    found = heatmaps(model, textures(kind, COUNT, side=LARGE, seed=2))
    assert at_border(found, width=PATCH // 2) <= 2 * area(LARGE, PATCH // 2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", further(["grain", "clouds"], often=["clouds"]))
@pytest.mark.parametrize("head", ["dense", "token"])
def test_heads_that_learn_from_synthetic_anomalies(head: str, kind: str) -> None:
    images, rng = textures(kind, 48, side=LARGE, seed=1), np.random.default_rng(0)

    def batch(step: int) -> dict[str, Tensor]:
        chosen = images[8 * (step % 6) : 8 * (step % 6) + 8].clone()
        mask = torch.zeros(8, 1, LARGE, LARGE)
        for own, image in zip(mask[::2], chosen[::2], strict=True):
            height, width = rng.integers(10, 40, 2)
            top, left = rng.integers(0, LARGE - height), rng.integers(0, LARGE - width)
            own[:, top : top + height, left : left + width] = 1
            image += own * float(rng.choice([-0.25, 0.25]))
        return {IMAGE: chosen.clamp(0, 1), MASK: mask, LABEL: mask.amax((1, 2, 3))}

    model = settled(learned(tiny_lora(score="decoder", head=head), batch), kind, side=LARGE)
    found = heatmaps(model, textures(kind, COUNT, side=LARGE, seed=2))
    assert at_border(found, width=PATCH // 2) <= 2 * area(LARGE, PATCH // 2)


def test_rings_bring_the_border_to_the_scale_of_the_inside() -> None:
    rng, rings = torch.Generator().manual_seed(0), Rings()
    raised = torch.where(ring_of((12, 10), count=1) == 0, 5.0, 0.0)
    rings.collect_held_out(torch.randn(50, 1, 12, 10, generator=rng) * (1 + raised) + raised)
    rings.finalise_held_out()
    values = torch.randn(200, 1, 12, 10, generator=rng)
    scaled = rings(values * (1 + raised) + raised)
    torch.testing.assert_close(scaled, values, rtol=0, atol=0.35)
    torch.testing.assert_close(scaled.mean((0, 1)), torch.zeros(12, 10), rtol=0, atol=0.4)


def test_rings_never_raise_the_border_of_an_object_on_a_plain_ground() -> None:
    """The ground's small values are not noise to be stretched to the spread of the object's."""
    rng, rings = torch.Generator().manual_seed(0), Rings()
    ground = ring_of((12, 12), count=2) < 2
    quiet = torch.where(ground, 0.01, 1.0) * torch.randn(50, 1, 12, 12, generator=rng)
    quiet = quiet - torch.where(ground, 5.0, 0.0)
    rings.collect_held_out(quiet)
    rings.finalise_held_out()
    torch.testing.assert_close(rings(quiet), quiet)


def test_rings_of_maps_without_an_inside_have_one_scale() -> None:
    rings = Rings()
    rings.collect_held_out(torch.randn(50, 1, 2, 2, generator=torch.Generator().manual_seed(0)))
    rings.finalise_held_out()
    grid = torch.randn(3, 1, 2, 2)
    torch.testing.assert_close(rings(grid), grid)


def test_rings_are_counted_from_the_border() -> None:
    assert ring_of((5, 4), count=2).tolist() == [[0] * 4, [0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0] * 4]
