import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from adframe.contracts import Transductive
from adframe.errors import AdframeError
from adframe.export.network import write_onnx
from adframe.models.musc import MuSc
from adframe.models.tiled import Tiling, tiled
from tests.fakes.transformers import tiny_vit

TEST = torch.rand(6, 3, 64, 80, generator=torch.Generator().manual_seed(0))
NEW = torch.rand(2, 3, 64, 80, generator=torch.Generator().manual_seed(1))


def made(**changes: object) -> MuSc:
    return MuSc(tiny_vit(), **{"dtype": "float32", "degrees": [1, 3], **changes})


def fitted(test: Tensor = TEST, *, batch: int = 4, **changes: object) -> MuSc:
    model = made(**changes)
    for part in torch.split(test, batch):
        model.collect_test(part)
    model.finalise_test()
    return model


def slow_grids(images: Tensor, stored: Tensor, *, degrees: tuple[int, ...], share: float) -> Tensor:
    """The definition of the patch scores, one pair of images at a time."""
    network = tiny_vit()

    def patches(image: Tensor, layer: int, degree: int) -> Tensor:
        tokens = network(image[None])[layer][0]  # (D, h, w)
        tokens = (tokens - tokens.mean(0)) / (tokens.var(0, unbiased=False) + 1e-5).sqrt()
        return F.avg_pool2d(tokens, degree, stride=1, padding=degree // 2).flatten(1).T

    found = []
    for image in images:
        scores = []
        for layer in range(2):
            for degree in degrees:
                own = patches(image, layer, degree)
                others = [patches(other, layer, degree) for other in stored if not torch.equal(other, image)]
                least = torch.stack([torch.cdist(own, other).amin(1) for other in others], dim=1)
                count = max(1, round(share * len(others)))
                scores.append(least.sort(dim=1).values[:, :count].mean(1))
        found.append(torch.stack(scores).mean(0).view(4, 5))
    return torch.stack(found)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_patch_scores_are_those_of_the_definition(share: float) -> None:
    model = fitted(share=share, windows=[1], limit_mb=1)
    for images in (TEST[:3], NEW):
        expected = slow_grids(images, TEST, degrees=(1, 3), share=share)
        found = model(images)
        torch.testing.assert_close(found.score, expected.flatten(1).amax(1), rtol=1e-3, atol=1e-3)
        centres = F.interpolate(expected[:, None], size=(64, 80), mode="bilinear", align_corners=False)
        torch.testing.assert_close(found.heatmap, centres, rtol=1e-3, atol=1e-3)


def test_image_scores_are_averaged_over_similar_images() -> None:
    plain, model = fitted(windows=[1]), fitted(windows=[1, 3])
    raw = plain(TEST).score
    classes = F.normalize(tiny_vit().with_class_token(TEST)[1], dim=1)
    for place in range(len(TEST)):
        likeness = classes @ classes[place]
        near = likeness.argsort(descending=True)[:3]  # the image itself comes first
        assert int(near[0]) == place
        averaged = (likeness[near] * raw[near]).sum() / likeness[near].sum()
        expected = (raw[place] + averaged) / 2
        torch.testing.assert_close(model(TEST).score[place], expected, rtol=1e-4, atol=1e-4)
    own = plain(NEW).score[0]
    likeness = classes @ F.normalize(tiny_vit().with_class_token(NEW)[1], dim=1)[0]
    near = likeness.argsort(descending=True)[:2]
    averaged = (own + (likeness[near] * raw[near]).sum()) / (1 + likeness[near].sum())
    torch.testing.assert_close(model(NEW).score[0], (own + averaged) / 2, rtol=1e-4, atol=1e-4)


def test_order_and_batches_do_not_change_a_score() -> None:
    one, other = fitted(), fitted(TEST.flip(0), batch=1)
    torch.testing.assert_close(other(TEST).score, one(TEST).score, rtol=1e-4, atol=1e-4)
    images = torch.cat([NEW[:1], TEST[2:3], NEW[1:]])
    together = one(images)
    for name in ("score", "heatmap"):
        apart = torch.cat([getattr(one(part), name) for part in torch.split(images, 1)])
        assert torch.equal(apart, getattr(together, name))


def test_an_odd_image_scores_highest() -> None:
    pattern = torch.rand(3, 64, 80, generator=torch.Generator().manual_seed(5))
    images = pattern + 0.01 * torch.randn(8, 3, 64, 80, generator=torch.Generator().manual_seed(6))
    images[3, :, 16:48, 32:64] = 0.0
    prediction = fitted(images.clamp(0, 1))(images.clamp(0, 1))
    assert int(prediction.score.argmax()) == 3
    y, x = divmod(int(prediction.heatmap[3, 0].argmax()), 80)
    assert 8 <= y < 56
    assert 24 <= x < 72


def test_an_image_twice_is_one() -> None:
    twice = fitted(torch.cat([TEST, TEST[:2]]))
    assert twice.facts()["images"] == 6
    torch.testing.assert_close(twice(TEST).score, fitted()(TEST).score, rtol=1e-4, atol=1e-4)


def test_no_more_images_are_stored_than_allowed() -> None:
    one, other = fitted(images=3, batch=1), fitted(TEST.flip(0), images=3)
    assert one.facts()["images"] == 3
    assert torch.equal(one.keys, other.keys)
    torch.testing.assert_close(one(TEST).score, other(TEST).score, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_state_moves_to_a_fresh_module_with_equal_scores(dtype: str) -> None:
    model, fresh = fitted(dtype=dtype), made(dtype=dtype)
    fresh.load_state_dict(model.state_dict(), strict=True)
    for images in (TEST, NEW):
        assert torch.equal(fresh(images).heatmap, model(images).heatmap)
        assert torch.equal(fresh(images).score, model(images).score)
    assert fresh.facts()["bytes"] == 2 * 6 * 20 * 64 * (4 if dtype == "float32" else 2)


def test_normal_images_do_not_matter() -> None:
    model, other = made(), fitted()
    assert isinstance(model, Transductive)
    model.collect(NEW)
    model.finalise()
    model.collect_test(TEST)
    model.finalise_test()
    model.release()
    torch.testing.assert_close(model(TEST).score, other(TEST).score, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"degrees": [2]},
        {"degrees": []},
        {"windows": [0]},
        {"share": 0.0},
        {"images": 1},
        {"sigma": -1.0},
        {"dtype": "int8"},
    ],
)
def test_impossible_settings_are_one_line(wrong: dict[str, object]) -> None:
    with pytest.raises(AdframeError, match=f"model.{next(iter(wrong))}=") as error:
        made(**wrong)
    assert "\n" not in str(error.value)


def test_what_cannot_work_says_why(tmp_path) -> None:
    with pytest.raises(RuntimeError, match="no test images are stored"):
        made()(TEST)
    with pytest.raises(AdframeError, match="needs 2 different ones; there are 1"):
        fitted(TEST[:1])
    model = made()
    model.collect_test(TEST)
    with pytest.raises(AdframeError, match="grids of 4x5 and 5x4 patches"):
        model.collect_test(TEST.transpose(2, 3))
    with pytest.raises(AdframeError, match="choose tiling=none"):
        tiled(made(), Tiling(size=48))
    with pytest.raises(AdframeError, match="MuSc cannot be exported: it scores test images by each other"):
        write_onnx(fitted(), tmp_path / "network.onnx", size=(64, 80))
