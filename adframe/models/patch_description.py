"""The patch description network (PDN) of EfficientAD, whose outputs see 33x33 pixels each, and its files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from adframe.errors import AdframeError
from adframe.models.weights import load_strict, read_checkpoint, weights_digest

Size = Literal["small", "medium"]
# Number of channels of the features.
FEATURES = 384
# Channels of the first convolution of the small network.
WIDTH = 128
# Positions of a grid of stride 4 at each side of an image that lie beyond the first and the last output.
MARGIN = 4
# Convolutions, each with a weight and a bias, by which the sizes are told apart.
_CONVOLUTIONS: dict[Size, int] = {"small": 4, "medium": 6}


class PatchDescription(nn.Sequential):
    """A network of few convolutions without padding and of stride 4 (Batzner et al., WACV 2024, appendix).

    An image of 256 pixels has 56x56 outputs. Tensors are named by the position of their layer, as in
    published files of the network: `0.weight`, `0.bias`, `3.weight`, ...

    Args:
        size: `small` has four convolutions, `medium` six of twice the width.
        features: number of channels of the output.
        width: channels of the first convolution of `small`.

    Example:
        >>> PatchDescription("small", features=6, width=4)(torch.rand(1, 3, 256, 256)).shape
        torch.Size([1, 6, 56, 56])
    """

    def __init__(self, size: Size, *, features: int = FEATURES, width: int = WIDTH) -> None:
        self.size, self.features, self.width = size, features, width
        if size == "small":
            further = [nn.Conv2d(2 * width, 2 * width, 3), nn.ReLU(), nn.Conv2d(2 * width, features, 4)]
        else:
            width *= 2
            further = [
                nn.Conv2d(2 * width, 2 * width, 1), nn.ReLU(), nn.Conv2d(2 * width, 2 * width, 3), nn.ReLU(),
                nn.Conv2d(2 * width, features, 4), nn.ReLU(), nn.Conv2d(features, features, 1),
            ]  # fmt: skip
        super().__init__(
            nn.Conv2d(3, width, 4), nn.ReLU(), nn.AvgPool2d(2),
            nn.Conv2d(width, 2 * width, 4), nn.ReLU(), nn.AvgPool2d(2),
            *further,
        )  # fmt: skip


class Teacher(nn.Module):
    """A frozen patch description network with the weights of a local file.

    Args:
        path: a `.safetensors` or `.pth` file of `adframe distill`, or a published one with the same names.

    Raises:
        AdframeError: the file is missing or damaged, or holds another network.

    Example:
        >>> from safetensors.torch import save_file
        >>> save_file(PatchDescription("small", features=6, width=4).state_dict(), "teacher.safetensors")
        >>> teacher = Teacher("teacher.safetensors")
        >>> teacher.name, teacher(torch.rand(1, 3, 256, 256)).shape
        ('pdn_small', torch.Size([1, 6, 56, 56]))
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        state, said = read_checkpoint(Path(path), key="model.teacher")
        self.network = _described(state, path)
        load_strict(self.network, state, ignorable=set(), origin=f"model.teacher={path}")
        self.requires_grad_(False).eval()
        self.name, self.layers = f"pdn_{self.network.size}", ["output"]
        self.digest, self.origin = weights_digest(self.network), f"{path}: {said}"

    def train(self, mode: bool = True) -> Teacher:
        """Stays in evaluation mode.

        Args:
            mode: not used.

        Returns:
            The teacher.
        """
        del mode
        return super().train(False)

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        """Describes images.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            (B, C, h, w).
        """
        features: Tensor = self.network(normalise_imagenet(image))
        return features


def normalise_imagenet(image: Tensor) -> Tensor:
    """Normalises images by mean and standard deviation of ImageNet, as the network takes them.

    Args:
        image: (B, 3, H, W) in [0, 1].

    Returns:
        (B, 3, H, W).
    """
    mean, std = (image.new_tensor(c).view(1, 3, 1, 1) for c in (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD))
    return (image - mean) / std


def _described(state: Mapping[str, Tensor], path: str | Path) -> PatchDescription:
    """Builds the network of a file, by the number of its convolutions and their channels."""
    for size, count in _CONVOLUTIONS.items():
        shapes = [state.get(f"{name}.weight", torch.empty(0)).shape for name in ("0", _last_name(size))]
        if len(state) == 2 * count and all(len(shape) == 4 for shape in shapes):
            width = shapes[0][0] // (1 if size == "small" else 2)
            return PatchDescription(size, features=shapes[1][0], width=width)
    raise AdframeError(
        f"model.teacher={path} holds no patch description network: it needs 4 or 6 convolutions with the "
        "names 0.weight, 0.bias, 3.weight, ...; write one with adframe distill"
    )


def _last_name(size: Size) -> str:
    """Returns the name of the last convolution."""
    return {"small": "8", "medium": "12"}[size]
