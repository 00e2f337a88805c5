from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from adframe.errors import AdframeError
from adframe.io.feature_cache import Store
from adframe.models.backbones import TimmBackbone
from adframe.models.cached_backbone import StoredBackbone, with_store
from adframe.models.extended_patchcore import create_patchcore
from adframe.models.padim import PaDiM
from adframe.models.patchcore import PatchCore
from tests.fakes.backbones import PixelBackbone, tiny_backbone

IMAGES = torch.rand(6, 3, 64, 64, generator=torch.Generator().manual_seed(0))


class Counting(nn.Module):
    """Another backbone that notes how many images came in each batch."""

    def __init__(self, inner: nn.Module, *, scale: float = 1.0) -> None:
        super().__init__()
        self.inner, self.scale, self.batches = inner, scale, []
        self.name, self.layers, self.digest = inner.name, inner.layers, inner.digest

    def forward(self, image: Tensor) -> list[Tensor]:
        self.batches.append(len(image))
        return [self.scale * m for m in self.inner(image)]


def network(model: str) -> TimmBackbone:
    layers = ["blocks.0", "blocks.1"] if model == "test_vit" else ["layer2", "layer3"]
    torch.manual_seed(0)
    return TimmBackbone(model, layers=layers, source="random")


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.safetensors"))


@pytest.mark.parametrize("model", ["test_resnet", "test_vit"])
def test_what_is_read_equals_what_is_computed_to_the_last_bit_and_in_memory(
    model: str, tmp_path: Path
) -> None:
    inner, store = Counting(network(model)), Store(tmp_path)
    expected = inner(IMAGES)
    for _ in range(2):  # computed, then read
        found = StoredBackbone(inner, store=store)(IMAGES)
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
        assert [m.stride() for m in found] == [m.stride() for m in expected]
    assert inner.batches == [6, 6]
    assert len(files(tmp_path)) == 6


def test_hits_may_come_in_any_batch_and_a_miss_computes_its_batch(tmp_path: Path) -> None:
    inner = Counting(tiny_backbone())
    backbone = StoredBackbone(inner, store=Store(tmp_path))
    first = backbone(IMAGES[:4])
    again = backbone(IMAGES[[3, 1]])
    assert inner.batches == [4]
    assert all(torch.equal(a[[3, 1]], b) for a, b in zip(first, again, strict=True))
    mixed = backbone(IMAGES[2:6])
    assert inner.batches == [4, 4]
    assert all(torch.equal(a, b) for a, b in zip(mixed, inner(IMAGES[2:6]), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(backbone(IMAGES[:4]), first, strict=True))  # kept as it was


def test_another_image_size_or_network_is_not_mistaken(tmp_path: Path) -> None:
    store = Store(tmp_path)
    StoredBackbone(tiny_backbone(), store=store)(IMAGES)
    changed = IMAGES.clone()
    changed[0, 0, 0, 0] += 1e-6
    for image, backbone in (
        (changed[:1], tiny_backbone()),
        (IMAGES[:1].view(1, 3, 32, 128), tiny_backbone()),
        (IMAGES[:1], tiny_backbone(seed=1)),
        (IMAGES[:1], TimmBackbone("test_resnet", layers=["layer2"], source="random")),
    ):
        before = len(files(tmp_path))
        found = StoredBackbone(backbone, store=store)(image)
        assert all(torch.equal(a, b) for a, b in zip(found, backbone(image), strict=True))
        assert len(files(tmp_path)) == before + 1


def test_equal_weights_in_another_structure_are_another_network(tmp_path: Path) -> None:
    one, other = tiny_backbone(), tiny_backbone()
    other.trunk.layer3[0].act2 = nn.GELU()
    assert one.digest == other.digest
    store = Store(tmp_path)
    StoredBackbone(one, store=store)(IMAGES)
    assert torch.equal(StoredBackbone(other, store=store)(IMAGES)[1], other(IMAGES)[1])


def test_a_damaged_file_is_computed_again(tmp_path: Path) -> None:
    inner = Counting(tiny_backbone())
    backbone = StoredBackbone(inner, store=Store(tmp_path))
    expected = backbone(IMAGES)
    files(tmp_path)[2].write_bytes(b"not features")
    for _ in range(2):
        assert all(torch.equal(a, b) for a, b in zip(backbone(IMAGES), expected, strict=True))
    assert inner.batches == [6, 6]


def test_a_store_that_is_full_gives_the_same_features(tmp_path: Path) -> None:
    backbone = StoredBackbone(tiny_backbone(), store=Store(tmp_path, limit_gb=1e-4))
    for _ in range(2):
        found = backbone(IMAGES)
        assert all(torch.equal(a, b) for a, b in zip(found, tiny_backbone()(IMAGES), strict=True))
    assert 0 < len(files(tmp_path)) < 6


def test_float16_takes_half_the_room_and_rounds_what_is_computed_like_what_is_read(tmp_path: Path) -> None:
    exact = tiny_backbone()(IMAGES)
    StoredBackbone(tiny_backbone(), store=Store(tmp_path / "whole"))(IMAGES)
    half = StoredBackbone(tiny_backbone(), store=Store(tmp_path / "half", dtype="float16"))
    computed, read = half(IMAGES), half(IMAGES)
    for a, b, c in zip(computed, read, exact, strict=True):
        assert torch.equal(a, b)
        assert a.dtype == torch.float32
        torch.testing.assert_close(a, c, rtol=5e-4, atol=1e-7)
        assert not torch.equal(a, c)
    sizes = [sum(p.stat().st_size for p in files(tmp_path / n)) for n in ("half", "whole")]
    assert sizes[0] < 0.52 * sizes[1]


def test_float16_and_float32_do_not_read_each_other(tmp_path: Path) -> None:
    StoredBackbone(tiny_backbone(), store=Store(tmp_path, dtype="float16"))(IMAGES)
    found = StoredBackbone(tiny_backbone(), store=Store(tmp_path))(IMAGES)
    assert all(torch.equal(a, b) for a, b in zip(found, tiny_backbone()(IMAGES), strict=True))


def test_features_beyond_float16_are_refused_in_one_line(tmp_path: Path) -> None:
    large = Counting(PixelBackbone(), scale=1e6)
    with pytest.raises(AdframeError, match=r"features of pixels are too large for store\.dtype=float16; use"):
        StoredBackbone(large, store=Store(tmp_path, dtype="float16"))(IMAGES)
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    "method", [lambda b, s: create_patchcore(b, coreset=0.3, scales=[1.0, 0.5], store=s), PaDiM]
)
def test_a_method_computes_every_image_once_and_scores_as_without(method, tmp_path: Path) -> None:
    inner, store = tiny_backbone(), Store(tmp_path)
    counted: list[int] = []
    inner.register_forward_hook(lambda _, given, __: counted.append(len(given[0])))

    def scores(kept: Store | None) -> Tensor:
        model = method(inner, kept) if method is not PaDiM else PaDiM(inner, channels=20, store=kept)
        model.collect(IMAGES[:4])
        model.finalise()
        model.collect(IMAGES[4:])
        model.finalise()
        return model(IMAGES).score

    alone = scores(None)
    own = len(counted)
    first, after = scores(store), len(counted)
    again = scores(store)
    assert after - own == own - (
        1 if method is PaDiM else 2
    )  # IMAGES[:4] and [4:] were seen before `model(IMAGES)`
    assert len(counted) == after
    torch.testing.assert_close(first, alone, rtol=1e-4, atol=1e-5)
    assert torch.equal(again, first)


def test_a_checkpoint_holds_nothing_of_the_network(tmp_path: Path) -> None:
    model = PatchCore(tiny_backbone(), coreset=0.3, store=Store(tmp_path))
    assert all(name.startswith("backbone.") for name in model.state_dict() if "trunk" in name)
    assert (model.backbone.name, model.backbone.patch) == ("test_resnet", 1)
    assert with_store(model.backbone, None) is model.backbone
    assert not model.train().backbone.backbone.training
