import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from adframe.contracts import Reopenable
from adframe.errors import AdframeError
from adframe.models.backbones import TimmBackbone
from adframe.models.rad import RAD
from adframe.models.tiled import Tiling, tiled
from adframe.ops.smoothing import heatmap
from tests.fakes.backbones import tiny_backbone
from tests.fakes.transformers import tiny_vit

NORMAL = torch.rand(7, 3, 64, 96, generator=torch.Generator().manual_seed(0))
QUERY = torch.rand(5, 3, 64, 96, generator=torch.Generator().manual_seed(1))
LAYERS = ("blocks.1", "blocks.4")


def made(**changes: object) -> RAD:
    return RAD(tiny_vit(layers=LAYERS), **{"neighbours": 3, "dtype": "float32", **changes})


def fitted(images: Tensor = NORMAL, *, batch: int = 2, **changes: object) -> RAD:
    model = made(**changes)
    for part in torch.split(images, batch):
        model.collect(part)
    model.finalise()
    return model


def slow_grid(image: Tensor, *, neighbours: int, radii: tuple[int, ...]) -> Tensor:
    """The definition, one patch at a time."""
    own, whole = tiny_vit(layers=LAYERS).with_class_token(image[None])
    maps, classes = tiny_vit(layers=LAYERS).with_class_token(NORMAL)
    order = F.cosine_similarity(classes, whole).argsort(descending=True)[:neighbours].tolist()
    height, width = own[0].shape[-2:]
    grid = torch.zeros(height, width)
    for layer, radius in enumerate(radii):
        for y in range(height):
            for x in range(width):
                best = max(
                    float(F.cosine_similarity(own[layer][0, :, y, x], maps[layer][j, :, v, u], dim=0))
                    for j in order
                    for v in range(max(0, y - radius), min(height, y + radius + 1))
                    for u in range(max(0, x - radius), min(width, x + radius + 1))
                )
                grid[y, x] += (1 - best) / len(radii)
    return grid


@pytest.mark.parametrize(("neighbours", "radii"), [(3, (1, 0)), (1, (2, 2)), (150, (9, 1))])
def test_scores_are_those_of_the_definition(neighbours: int, radii: tuple[int, ...]) -> None:
    model = fitted(neighbours=neighbours, radius=list(radii), limit_mb=1)
    grids = torch.stack([slow_grid(image, neighbours=neighbours, radii=radii) for image in QUERY[:2]])
    expected = heatmap(grids[:, None], size=(64, 96), sigma=1.0)
    found = model(QUERY[:2])
    torch.testing.assert_close(found.heatmap, expected, rtol=1e-4, atol=1e-5)
    largest = expected.flatten(1).sort(descending=True).values[:, :61].mean(1)  # 1 % of 64 x 96
    torch.testing.assert_close(found.score, largest, rtol=1e-4, atol=1e-5)


def test_a_normal_image_has_no_distance_from_itself() -> None:
    assert float(fitted(neighbours=1, radius=0)(NORMAL).heatmap.abs().max()) < 1e-5


def test_float16_rounds_scores_by_less_than_a_thousandth() -> None:
    found, exact = fitted(dtype="float16"), fitted()
    assert found.facts()["bytes"] == exact.facts()["bytes"] / 2
    assert float((found(QUERY).heatmap - exact(QUERY).heatmap).abs().max()) < 1e-3


def test_chunks_do_not_change_a_score() -> None:
    model = fitted(neighbours=7, radius=2)
    before = model(QUERY).score
    model.limit_mb = 0  # one image at a time
    torch.testing.assert_close(model(QUERY).score, before, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch", [1, 3, 7])
def test_batches_and_order_do_not_change_a_score(batch: int) -> None:
    one, other = fitted(), fitted(NORMAL.flip(0), batch=batch)
    torch.testing.assert_close(one(QUERY).score, other(QUERY).score, rtol=1e-4, atol=1e-6)
    parts = torch.cat([one(part).heatmap for part in torch.split(QUERY, batch)])
    torch.testing.assert_close(parts, one(QUERY).heatmap, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_state_moves_to_a_fresh_module_with_equal_scores(dtype: str) -> None:
    model, fresh = fitted(dtype=dtype), made(dtype=dtype)
    fresh.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(fresh(QUERY).heatmap, model(QUERY).heatmap)
    assert (
        fresh.facts()
        == model.facts()
        == {
            "images": 7,
            "rows": 2 * 7 * 24,
            "width": 64,
            "bytes": 2 * 7 * 24 * 64 * (4 if dtype == "float32" else 2),
        }
    )
    with pytest.raises(AdframeError, match="fit a new model on all images"):
        fresh.collect(NORMAL)


def test_a_reopened_model_is_that_of_all_images() -> None:
    model, loaded = fitted(NORMAL[:4]), made()
    assert isinstance(model, Reopenable)
    model.release()
    loaded.load_state_dict(model.state_dict(), strict=True)
    assert loaded.reopen().startswith("exact: ")
    loaded.collect(NORMAL[4:])
    loaded.finalise()
    torch.testing.assert_close(loaded(QUERY).score, fitted()(QUERY).score, rtol=1e-4, atol=1e-6)


def test_a_refit_takes_in_what_came_later() -> None:
    model = fitted(NORMAL[:4], neighbours=1, radius=0)
    before = model(NORMAL[4:]).score
    model.collect(NORMAL[4:])
    model.finalise()
    assert (model(NORMAL[4:]).score < before / 100).all()


def test_a_displaced_part_is_anomalous_only_to_those_who_know_places() -> None:
    normal = torch.zeros(6, 3, 64, 64)
    normal[:, :, :32, :32] = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(2))
    moved = normal[:1].roll((32, 32), dims=(2, 3))
    near, far = (RAD(tiny_vit(layers=["blocks.0"]), radius=radius, top_share=0.5) for radius in (0, 3))
    for model in (near, far):
        model.collect(normal)
        model.finalise()
    assert float(near(moved).score) > 1.5 * float(far(moved).score)


@pytest.mark.parametrize(
    "wrong",
    [
        {"radius": [1]},
        {"radius": -1},
        {"neighbours": 0},
        {"top_share": 0.0},
        {"sigma": -1.0},
        {"dtype": "int8"},
        {"limit_mb": 0},
    ],
)
def test_impossible_settings_are_one_line(wrong: dict[str, object]) -> None:
    with pytest.raises(AdframeError, match=f"model.{next(iter(wrong))}=") as error:
        made(**wrong)
    assert "\n" not in str(error.value)


def test_what_cannot_work_says_why() -> None:
    with pytest.raises(RuntimeError, match="finalise before collect"):
        made().finalise()
    with pytest.raises(RuntimeError, match="the bank is empty"):
        made()(QUERY)
    with pytest.raises(AdframeError, match="a grid of 6x4 patches, the bank 4x6"):
        fitted()(QUERY.transpose(2, 3))
    with pytest.raises(AdframeError, match="has no class token"):
        RAD(tiny_backbone()).collect(NORMAL)
    with pytest.raises(AdframeError, match="choose tiling=default"):
        tiled(made(), Tiling(size=48, level="features"))


def test_a_network_of_timm_without_class_token_is_refused() -> None:
    network = TimmBackbone("test_vit3", layers="spread", source="random")
    if network.trunk.cls_token is not None:
        pytest.skip("test_vit3 has a class token in this version of timm")
    with pytest.raises(AdframeError, match="has no class token"):
        network.with_class_token(torch.rand(1, 3, 64, 64))
