"""Each method gives the maps that it looks at, by layer."""

from __future__ import annotations

import torch

from adframe.contracts import Layered
from adframe.io.feature_cache import Store
from adframe.models.padim import PaDiM
from adframe.models.patchcore import PatchCore
from adframe.models.pixel_mean import PixelMean
from tests.fakes.adapted import tiny_lora
from tests.fakes.backbones import tiny_backbone
from tests.fakes.masked import images, tiny_sit


def test_a_frozen_backbone_is_read_as_it_is_and_through_its_store(tmp_path: object) -> None:
    plain = tiny_backbone()
    for method in (PatchCore(plain, coreset=1.0), PaDiM(plain)):
        assert method.feature_reader() is plain
    kept = PatchCore(plain, coreset=1.0, store=Store(str(tmp_path)))
    reader = kept.feature_reader()
    assert reader is kept.backbone
    assert reader is not plain
    assert list(reader.layers) == ["layer2", "layer3"]


def test_what_learns_gives_the_tokens_of_its_blocks() -> None:
    for method in (tiny_sit(), tiny_lora()):
        reader, image = method.feature_reader(), images(3)
        assert reader is not None
        maps = reader(image)
        assert len(maps) == len(reader.layers) > 1
        last = maps[-1]
        _, blocks = method.vit.both(method.vit.normalise(image), blocks=[method.vit.depth - 1])
        torch.testing.assert_close(last.flatten(2).transpose(1, 2), blocks[0])
        assert last.shape == (3, method.vit.width, 64 // method.vit.patch, 64 // method.vit.patch)


def test_a_method_without_layers_has_none_even_if_a_backbone_is_named() -> None:
    assert not isinstance(PixelMean(tiny_backbone()), Layered)
    assert not isinstance(torch.nn.Identity(), Layered)
