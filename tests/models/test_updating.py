"""A fitted model whose images are gone takes no more of them: it would forget all that it knows."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from adframe.errors import AdframeError
from adframe.models.memory import Subspace
from adframe.models.padim import PaDiM
from adframe.models.patchcore import PatchCore
from adframe.models.pixel_mean import PixelMean
from tests.fakes.backbones import tiny_backbone

IMAGES = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
METHODS: dict[str, Callable[[], Any]] = {
    "patchcore": lambda: PatchCore(tiny_backbone(), coreset=0.5),
    "pca": lambda: PatchCore(tiny_backbone(), coreset=0.5, memory=Subspace),
    "padim": lambda: PaDiM(tiny_backbone(), channels=8),
    "pixel_mean": lambda: PixelMean(None),
}


def fitted(name: str) -> Any:
    model = METHODS[name]()
    model.collect(IMAGES)
    model.finalise()
    return model


@pytest.mark.parametrize("name", METHODS)
def test_a_released_or_loaded_model_refuses_more_images(name: str) -> None:
    released, loaded = fitted(name), METHODS[name]()
    released.release()
    loaded.load_state_dict(released.state_dict())
    for model in (released, loaded):
        before = model(IMAGES).score
        with pytest.raises(AdframeError, match="fit a new model on all images"):
            model.collect(IMAGES[:1])
        assert torch.equal(model(IMAGES).score, before)


@pytest.mark.parametrize("name", METHODS)
def test_until_then_more_may_come(name: str) -> None:
    model = fitted(name)
    before = {key: value.shape for key, value in model.state_dict().items()}
    model.collect(1 - IMAGES)
    model.finalise()
    assert model(1 - IMAGES).score.isfinite().all()
    assert before.keys() == model.state_dict().keys()
