"""Class tokens of plain transformers, of those with registers, and of DINOv3's kind; blocks by depth."""

import pytest
import timm
import torch
from torch import Tensor, nn

from adframe.errors import AdframeError
from adframe.models.backbones import TimmBackbone
from adframe.models.extended_patchcore import create_patchcore
from adframe.models.fusion import Mean
from adframe.models.layers import BLOCKS_BY_DEPTH, choose_layers
from adframe.models.memory import Gaussian
from adframe.models.musc import MuSc
from adframe.models.rad import RAD
from tests.fakes.backbones import tiny_backbone
from tests.fakes.transformers import tiny_vit

IMAGES = torch.rand(3, 3, 64, 96, generator=torch.Generator().manual_seed(0))
# The classes of `backbone=dinov2_small_reg` and `backbone=dinov3_small`, narrow and shallow.
KINDS = {
    "plain": ("test_vit", {}),
    "registers": (
        "vit_small_patch14_reg4_dinov2",
        {"img_size": 56, "patch_size": 16, "embed_dim": 32, "depth": 4, "num_heads": 2},
    ),
    "dinov3": ("vit_small_patch16_dinov3", {"embed_dim": 48, "depth": 4, "num_heads": 2}),
}


@pytest.fixture(params=KINDS)
def network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> TimmBackbone:
    name, changes = KINDS[request.param]
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda *given, **keys: create(*given, **keys, **changes))
    torch.manual_seed(0)
    return TimmBackbone(name, layers="quarters", source="random")


def outputs_of(network: TimmBackbone, block: int) -> Tensor:
    """All tokens after a block, as a hook on the block itself sees them."""
    seen: list[Tensor] = []
    module: nn.Module = network.trunk.blocks[block]
    handle = module.register_forward_hook(lambda _, __, out: seen.append(out))
    network(IMAGES)
    handle.remove()
    return seen[0]


def test_the_class_token_is_the_first_token_of_the_deepest_block(network: TimmBackbone) -> None:
    maps, whole = network.with_class_token(IMAGES)
    every = outputs_of(network, network._indices[-1])
    assert every.shape[1] == network.trunk.num_prefix_tokens + 4 * 6
    assert torch.equal(whole, every[:, 0])
    patches = every[:, network.trunk.num_prefix_tokens :].transpose(1, 2)
    assert torch.equal(maps[-1], patches.reshape(maps[-1].shape))
    for one, other in zip(maps, network(IMAGES), strict=True):
        assert torch.equal(one, other)
    network.trunk.cls_token.data += 1.0
    assert not torch.allclose(network.with_class_token(IMAGES)[1], whole, atol=1e-2)


def test_every_method_takes_it(network: TimmBackbone) -> None:
    models = [
        RAD(network, neighbours=2),
        MuSc(network, degrees=[1, 3]),
        create_patchcore(network, coreset=0.5, memory=Gaussian, neighbourhood=1, top_share=0.01),
        create_patchcore(network, coreset=0.5, reduce="whiten", dimensions=4, neighbourhood=1),
        create_patchcore(network, coreset=0.5, fusion=Mean(), rotations=[30, 90], neighbourhood=1),
        create_patchcore(network, coreset=0.5, scales=[0.75, 1.0], neighbourhood=3),
    ]
    for model in models:
        model.collect(IMAGES)
        model.finalise()
        if isinstance(model, MuSc):
            model.collect_test(IMAGES)
            model.finalise_test()
        prediction = model(1 - IMAGES)
        assert prediction.score.isfinite().all()
        assert prediction.heatmap.shape == (3, 1, 64, 96)


def test_the_order_of_the_layers_does_not_change_the_class_token() -> None:
    one = tiny_vit(layers=["blocks.4", "blocks.1"]).with_class_token(IMAGES)
    other = tiny_vit(layers=["blocks.1", "blocks.4"]).with_class_token(IMAGES)
    assert torch.equal(one[1], other[1])
    assert torch.equal(one[0][0], other[0][1])


@pytest.mark.parametrize(
    ("word", "depth", "blocks"),
    [
        ("quarters", 24, [5, 11, 17, 23]),
        ("quarters", 12, [2, 5, 8, 11]),
        ("spread", 12, [3, 6, 9, 11]),
        ("middle", 40, list(range(22, 29))),
        ("middle", 12, [7, 8]),
    ],
)
def test_blocks_by_depth_are_those_of_the_papers(word: str, depth: int, blocks: list[int]) -> None:
    assert BLOCKS_BY_DEPTH[word](depth) == blocks


def test_a_shallow_network_has_each_block_once() -> None:
    trunk = timm.create_model("test_vit", depth=2)
    assert choose_layers(trunk, "spread", model="test_vit")[0] == ["blocks.0", "blocks.1"]
    assert choose_layers(trunk, "middle", model="test_vit")[0] == ["blocks.1"]


def test_what_is_no_transformer_says_so() -> None:
    with pytest.raises(AdframeError, match="layers=middle are blocks of a vision transformer"):
        TimmBackbone("test_resnet", layers="middle", source="random")
    with pytest.raises(AdframeError, match="has no class token"):
        tiny_backbone().with_class_token(IMAGES)
