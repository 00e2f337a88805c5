"""A fitted model whose images are gone takes no more of them by itself: it would forget all that it knows.
Reopened, it adds them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from adframe.errors import AdframeError
from adframe.models.extended_patchcore import create_patchcore
from adframe.models.memory import Centres, Everything, Gaussian, Greedy, Memory, Random, Subspace
from adframe.models.padim import PaDiM
from adframe.models.patchcore import PatchCore
from adframe.models.pixel_mean import PixelMean
from adframe.models.rad import RAD
from adframe.ops import coreset_extension
from adframe.ops.coreset_extension import extend_k_centre
from tests.fakes.backbones import tiny_backbone
from tests.fakes.transformers import tiny_vit

IMAGES = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
METHODS: dict[str, Callable[[], Any]] = {
    "patchcore": lambda: PatchCore(tiny_backbone(), coreset=0.5),
    "pca": lambda: PatchCore(tiny_backbone(), coreset=0.5, memory=Subspace),
    "padim": lambda: PaDiM(tiny_backbone(), channels=8),
    "pixel_mean": lambda: PixelMean(None),
    "rad": lambda: RAD(tiny_vit(), neighbours=2),
    "gaussian": lambda: PatchCore(tiny_backbone(), coreset=0.5, memory=Gaussian),
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


OLD = torch.rand(6, 3, 64, 64, generator=torch.Generator().manual_seed(1))
NEW = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 0.5
QUERY = torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(3))


def made(build: Callable[[], Any], *parts: torch.Tensor) -> Any:
    model = build()
    for part in parts:
        model.collect(part)
    model.finalise()
    return model


def joined(build: Callable[[], Any]) -> tuple[Any, str]:
    """A model of the old images that was stored and loaded, to which the new ones were added."""
    model = build()
    model.load_state_dict(made(build, OLD).state_dict())
    how = model.reopen()
    for image in NEW:
        model.collect(image[None])
    model.finalise()
    model.release()
    return model, how


def test_padim_is_that_of_all_images() -> None:
    model, how = joined(METHODS["padim"])
    assert how.startswith("exact")
    assert int(model.count) == 10
    both = made(METHODS["padim"], OLD, NEW)
    torch.testing.assert_close(model(QUERY).heatmap, both(QUERY).heatmap, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "changes", [{"memory": Everything}, {"metric": "cosine", "coreset": 1.0}, {"coreset": 1.0}]
)
def test_a_bank_of_all_patches_is_that_of_all_images(changes: dict[str, Any]) -> None:
    def build() -> Any:
        return create_patchcore(tiny_backbone(), **{"coreset": 0.5, **changes})

    model, how = joined(build)
    assert how.startswith("exact")
    torch.testing.assert_close(model(QUERY).score, made(build, OLD, NEW)(QUERY).score, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("memory", [Greedy, Random, Centres])
def test_new_patches_join_a_bank_at_the_share_of_the_coreset(memory: type[Memory]) -> None:
    def build() -> Any:
        return create_patchcore(tiny_backbone(), coreset=0.25, memory=memory, scales=[0.5, 1.0])

    model, how = joined(build)
    assert how.startswith("approximation: ")
    before, both = made(build, OLD), made(build, OLD, NEW)
    assert model.facts()["rows"] == both.facts()["rows"]
    # New images are nearer to the model now, and old ones are not farther away.
    assert (model(NEW).score < before(NEW).score).all()
    assert (model(OLD).score <= before(OLD).score + 1e-5).all()
    assert (model(NEW).score / both(NEW).score).mean() < 1.25


@pytest.mark.parametrize("pool", [5, 4096])
def test_a_greedy_selection_goes_on_from_the_old_bank(pool: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coreset_extension, "POOL_ROWS", pool)
    rows = torch.rand(300, 6, generator=torch.Generator().manual_seed(0))
    bank = rows[:20]
    picked = extend_k_centre(rows[20:], bank, count=15, limit_mb=1)
    known = bank
    for index in picked:  # the definition, pick by pick
        distances = torch.cdist(rows[20:], known).amin(1)
        torch.testing.assert_close(distances[index], distances.max())
        known = torch.cat([known, rows[20:][index : index + 1]])
    assert len(extend_k_centre(bank, bank, count=5, limit_mb=1)) == 0


def test_what_cannot_be_extended_says_why() -> None:
    loaded = METHODS["pca"]()
    loaded.load_state_dict(fitted("pca").state_dict())
    with pytest.raises(AdframeError, match="memory Subspace cannot take more images"):
        loaded.reopen()
    older = fitted("padim").state_dict()
    del older["count"]
    model = METHODS["padim"]()
    model.load_state_dict(older)
    assert torch.equal(model(IMAGES).score, fitted("padim")(IMAGES).score)
    with pytest.raises(AdframeError, match="earlier version"):
        model.reopen()
