from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from adframe.models.backbones import TimmBackbone
from adframe.models.fuse_batchnorm import fold_batchnorm
from adframe.models.weights import weights_digest

IMAGE = torch.rand(2, 3, 96, 64, generator=torch.Generator().manual_seed(0))


def lived_in(name: str, *, indices: list[int]) -> Any:
    """A network whose BatchNorms are not the identity that they are after initialising."""
    torch.manual_seed(0)
    trunk = timm.create_model(name, pretrained=False).eval().requires_grad_(False)
    for module in trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value, low, high in (
                (module.weight, 0.5, 1.5), (module.bias, -0.3, 0.3),
                (module.running_mean, -0.3, 0.3), (module.running_var, 0.5, 2.0),
            ):  # fmt: skip
                value.uniform_(low, high)
    trunk.prune_intermediate_layers(indices)
    return trunk


def norms(trunk: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in trunk.modules())


def maps(trunk: Any, indices: list[int]) -> list[Tensor]:
    found: list[Tensor] = trunk.forward_intermediates(IMAGE, indices=indices, intermediates_only=True)
    return found


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_byobnet", "resnet18"])
def test_every_batchnorm_goes_and_the_features_stay(name: str) -> None:
    trunk = lived_in(name, indices=[1, 2])
    before, state = weights_digest(trunk), norms(trunk)
    folded = fold_batchnorm(trunk, indices=[1, 2])
    assert state > 0
    assert norms(folded) == 0
    assert weights_digest(trunk) == before
    for one, other in zip(maps(trunk, [1, 2]), maps(folded, [1, 2]), strict=True):
        assert (one - other).norm() < 1e-5 * one.norm()


def test_a_batchnorm_before_the_convolution_stays() -> None:
    trunk = lived_in("resnetv2_50", indices=[1])  # pre-activation: only the inner ones follow a convolution
    folded = fold_batchnorm(trunk, indices=[1])
    assert 0 < norms(folded) < norms(trunk)
    torch.testing.assert_close(maps(folded, [1]), maps(trunk, [1]), rtol=1e-4, atol=1e-5)


class ReadTwice(nn.Module):
    """The convolution's own output goes on beside the normalised one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.norm.running_mean.fill_(2.0)

    def forward_intermediates(
        self, x: Tensor, *, indices: list[int], intermediates_only: bool
    ) -> list[Tensor]:
        raw = self.conv(x)
        return [raw + self.norm(raw)]


class CalledTwice(ReadTwice):
    """One convolution before two normalisations: none of them may go into it."""

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.BatchNorm2d(4)

    def forward_intermediates(
        self, x: Tensor, *, indices: list[int], intermediates_only: bool
    ) -> list[Tensor]:
        return [self.norm(self.conv(x)) + self.other(self.conv(x))]


def test_what_folding_would_change_is_left_alone() -> None:
    trunk = ReadTwice().eval()
    assert fold_batchnorm(trunk, indices=[0]) is trunk
    assert norms(fold_batchnorm(CalledTwice().eval(), indices=[0])) == 2


def test_a_network_that_takes_no_such_probe_is_left_alone() -> None:
    trunk = timm.create_model("mixer_s32_224", pretrained=False).eval()
    assert fold_batchnorm(trunk, indices=[0]) is trunk


def test_the_digest_is_of_the_weights_as_they_came_and_no_random_number_is_used() -> None:
    torch.manual_seed(4)
    plain = timm.create_model("test_resnet", pretrained=False)
    plain.prune_intermediate_layers([3])
    after = torch.rand(1)
    torch.manual_seed(4)
    backbone = TimmBackbone("test_resnet", layers=["layer3"], source="random")
    assert backbone.digest == weights_digest(plain) != weights_digest(backbone.trunk)
    assert torch.equal(torch.rand(1), after)
