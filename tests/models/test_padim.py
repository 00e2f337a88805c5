import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis as one_distance
from torch import Tensor, nn
from torch.nn import functional as F

from adframe.contracts import TrainingFree
from adframe.errors import AdframeError
from adframe.models.backbones import TimmBackbone
from adframe.models.padim import PaDiM, split_channels, stack_channels
from adframe.ops.smoothing import heatmap
from tests.fakes.backbones import PixelBackbone, tiny_backbone

NORMAL = torch.rand(7, 3, 64, 64, generator=torch.Generator().manual_seed(0))
QUERY = torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def fitted(images: Tensor = NORMAL, *, batch: int = 2, **changes: object) -> PaDiM:
    model = PaDiM(tiny_backbone(), **{"channels": 12, **changes})
    for part in torch.split(images, batch):
        model.collect(part)
    model.finalise()
    return model


class WideBackbone(nn.Module):
    """One pixel of as many channels as asked for."""

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, image: Tensor) -> list[Tensor]:
        return [image[:, :1, :1, :1].expand(-1, self.width, -1, -1)]


def test_keeps_the_protocol_and_the_shapes() -> None:
    model = fitted()
    assert isinstance(model, TrainingFree)
    prediction = model(QUERY)
    assert prediction.score.shape == (5,)
    assert prediction.heatmap.shape == (5, 1, 64, 64)
    assert prediction.score.dtype == prediction.heatmap.dtype == torch.float32
    assert model.facts() == {"positions": 64, "width": 12, "bytes": 4 * 64 * (12 + 12**2)}


def test_scores_are_those_of_the_definition() -> None:
    model = fitted(sigma=2.0)
    low, high = tiny_backbone()(NORMAL), tiny_backbone()(QUERY)
    index = model.index.numpy()

    def features(maps: list[Tensor]) -> np.ndarray:
        fine, coarse = (m.numpy() for m in maps)  # (B, 48, 8, 8), (B, 192, 4, 4)
        return np.concatenate([fine, coarse.repeat(2, axis=2).repeat(2, axis=3)], axis=1)[:, index]

    train, test = features(low), features(high)
    patches = np.empty((5, 1, 8, 8))
    for y, x in np.ndindex(8, 8):
        inverse = np.linalg.inv(np.cov(train[:, :, y, x], rowvar=False) + 0.01 * np.eye(12))
        for i in range(5):
            patches[i, 0, y, x] = one_distance(test[i, :, y, x], train[:, :, y, x].mean(0), inverse)
    expected = heatmap(torch.from_numpy(patches).float(), size=(64, 64), sigma=2.0)
    prediction = model(QUERY)
    torch.testing.assert_close(prediction.heatmap, expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(prediction.score, expected.flatten(1).amax(1), rtol=1e-3, atol=1e-3)


def test_a_stronger_defect_scores_higher_and_burns_in_its_place() -> None:
    model = PaDiM(PixelBackbone(), sigma=2.0)
    model.collect(0.5 + 0.02 * torch.randn(20, 3, 64, 64, generator=torch.Generator().manual_seed(3)))
    model.finalise()
    images = torch.full((3, 3, 64, 64), 0.5)
    for image, brightness in zip(images, (0.5, 0.7, 1.0), strict=True):
        image[:, 8:24, 16:32] = brightness
    scores = model(images).score.tolist()
    assert scores == sorted(set(scores))
    heat = model(images).heatmap[2, 0]
    y, x = divmod(int(heat.argmax()), 64)
    assert 8 <= y < 24
    assert 16 <= x < 32
    assert heat[44:, 44:].max() < heat.max() / 10


def test_positions_have_their_own_normal() -> None:
    """Bright on the left is normal on the left only: a bank of patches could not tell."""
    normal = 0.01 * torch.randn(20, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    normal[..., :32] += 1.0
    model = PaDiM(PixelBackbone(), sigma=0.0)
    model.collect(normal)
    model.finalise()
    assert float(model(normal[:1].flip(3)).score) > 5 * float(model(normal[:1]).score)


@pytest.mark.parametrize("batch", [1, 3, 7])
def test_batches_do_not_change_a_score(batch: int) -> None:
    one, other = fitted(batch=2), fitted(batch=batch)
    torch.testing.assert_close(one(QUERY).score, other(QUERY).score, rtol=1e-4, atol=1e-5)
    parts = [one(part) for part in torch.split(QUERY, batch)]
    torch.testing.assert_close(torch.cat([p.score for p in parts]), one(QUERY).score, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        torch.cat([p.heatmap for p in parts]), one(QUERY).heatmap, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(("width", "count"), [(60, 60), (448, 100), (449, 449), (1792, 550)])
def test_as_many_channels_are_drawn_as_in_the_paper(width: int, count: int) -> None:
    model = PaDiM(WideBackbone(width=width))
    model.collect(NORMAL)
    assert len(model.index.unique()) == len(model.index) == count
    assert model.index.tolist() == sorted(model.index.tolist())
    assert int(model.index.max()) < width


def test_the_seed_draws_the_channels() -> None:
    assert torch.equal(fitted(seed=3).index, fitted(seed=3).index)
    assert not torch.equal(fitted(seed=3).index, fitted(seed=4).index)
    assert not torch.equal(fitted(seed=3).index, torch.arange(12))


def test_state_moves_to_a_fresh_module_with_equal_scores() -> None:
    model = fitted()
    fresh = PaDiM(tiny_backbone(), seed=9)
    fresh.load_state_dict(model.state_dict(), strict=True)
    for name in ("score", "heatmap"):
        assert torch.equal(getattr(fresh(QUERY), name), getattr(model(QUERY), name))
    nested = nn.ModuleDict({"detector": PaDiM(tiny_backbone())})
    nested.load_state_dict({f"detector.{name}": value for name, value in model.state_dict().items()})
    assert torch.equal(nested["detector"](QUERY).score, model(QUERY).score)


def test_a_checkpoint_holds_triangles_and_does_not_touch_the_model() -> None:
    model = fitted()
    assert model.state_dict()["whitening"].shape == (64, 12 * 13 // 2)
    assert model.whitening.shape == (64, 12, 12)
    empty = PaDiM(tiny_backbone())
    empty.load_state_dict(PaDiM(tiny_backbone()).state_dict(), strict=True)


def test_finalising_again_takes_in_what_came_later() -> None:
    model = fitted(NORMAL[:4])
    before = model(NORMAL[4:]).score
    model.collect(NORMAL[4:])
    model.finalise()
    after = model(NORMAL[4:]).score
    assert (after < before).all()
    torch.testing.assert_close(after, fitted()(NORMAL[4:]).score, rtol=1e-3, atol=1e-3)
    model.release()
    assert torch.equal(model(NORMAL[4:]).score, after)


def test_patches_take_the_activation_that_covers_them() -> None:
    fine, coarse = torch.arange(36.0).view(1, 1, 6, 6), torch.arange(12.0).view(1, 3, 2, 2)
    chosen = {each: split_channels(torch.tensor(each), [3, 1]) for each in ((1, 3), (0, 2), (3,))}
    found = stack_channels([coarse, fine], index=chosen[1, 3])
    assert torch.equal(found[..., 1], fine[:, 0])
    assert torch.equal(found[..., 0], coarse[:, 1].repeat_interleave(3, 1).repeat_interleave(3, 2))
    assert stack_channels([coarse, fine], index=chosen[0, 2]).shape == (1, 6, 6, 2)  # none of `fine`
    assert stack_channels([coarse, fine], index=chosen[3,]).shape == (1, 6, 6, 1)  # none of `coarse`


@pytest.mark.parametrize("size", [(64, 96), (100, 72)])
def test_any_image_size_keeps_height_first(size: tuple[int, int]) -> None:
    model = fitted(F.interpolate(NORMAL, size=size))
    assert model(F.interpolate(QUERY, size=size)).heatmap.shape == (5, 1, *size)


def test_a_defect_of_a_wide_image_burns_in_its_place() -> None:
    model = PaDiM(PixelBackbone(), sigma=0.0)
    model.collect(0.02 * torch.randn(20, 3, 32, 96, generator=torch.Generator().manual_seed(3)))
    model.finalise()
    image = torch.zeros(1, 3, 32, 96)
    image[..., 16:24, 72:80] = 1.0
    y, x = divmod(int(model(image).heatmap.argmax()), 96)
    assert 16 <= y < 24
    assert 72 <= x < 80


def test_another_image_size_is_refused_with_both_grids() -> None:
    other = torch.rand(1, 3, 64, 96)
    with pytest.raises(AdframeError, match="64x96 gives a grid of 8x12, the Gaussians are of 8x8"):
        fitted()(other)
    with pytest.raises(AdframeError, match="needs one image_size for all images"):
        fitted().collect(other)


def test_a_vision_transformer_will_do() -> None:
    model = PaDiM(TimmBackbone("test_vit", layers="pyramid", source="random"))
    model.collect(NORMAL)
    model.finalise()
    assert model(QUERY).score.isfinite().all()
    assert model.facts()["positions"] == 16


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("channels", 0),
        ("channels", -1),
        ("regularisation", 0),
        ("regularisation", float("nan")),
        ("sigma", -1.0),
    ],
)
def test_impossible_settings_are_one_line(key: str, value: object) -> None:
    with pytest.raises(AdframeError, match=rf"model\.{key}={value}") as error:
        PaDiM(PixelBackbone(), **{key: value})
    assert "\n" not in str(error.value)


def test_an_order_that_cannot_work_is_refused() -> None:
    model = PaDiM(PixelBackbone())
    with pytest.raises(RuntimeError, match="finalise before collect"):
        model.finalise()
    with pytest.raises(RuntimeError, match="no Gaussians"):
        model(QUERY)
