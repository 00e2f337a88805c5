"""Caches features of a frozen backbone on disk."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import timm
import torch
from torch import Tensor, nn

from adframe.errors import AdframeError
from adframe.io.feature_cache import Store
from adframe.models.backbones import TimmBackbone
from adframe.models.ensemble import Ensemble

# Format of stored features; files of another number are not found.
FEATURE_FORMAT = 2


class StoredBackbone(nn.Module):
    """Returns the features of its backbone, and computes those of an image only once.

    An image is identified by its tensor: a change of the network's view of it (the file, the size, a shift,
    preprocessing) makes another image. Features are stored separately per network (name, layers, weights,
    structure, normalisation, precision), kind of device, version of torch and timm, and for compiled
    networks; `<store>/features/<name>-<hash>-<device>/` has one file per image, with all its layers.

    Stored features equal computed ones bit by bit and have the same memory layout, so that a run with the
    same batches gives the same numbers with and without a store. For this reason a batch with one missing
    image is computed as a whole. Features may only differ where an image was first seen in another batch: a
    network's convolutions then round differently, by about 1e-6 of their norm.

    Args:
        backbone: the network.
        store: stores the features, with the dtype `store.dtype`.

    Example:
        >>> from pathlib import Path
        >>> network = TimmBackbone("test_resnet", layers=["layer2"], source="random")
        >>> backbone = StoredBackbone(network, store=Store(Path("store")))
        >>> image = torch.rand(1, 3, 64, 64)
        >>> bool((backbone(image)[0] == backbone(image)[0]).all())  # computed, then read
        True
    """

    def __init__(self, backbone: TimmBackbone, *, store: Store) -> None:
        super().__init__()
        self.backbone, self.store = backbone, store
        self.name, self.layers, self.digest = backbone.name, backbone.layers, backbone.digest
        readable = re.sub(r"[^\w.-]", "_", self.name)
        self._folder = f"features/{readable}-{_identity(backbone, store=store)}"

    @property
    def patch(self) -> int:
        """Returns the number of which both sides of an image must be multiples."""
        return self.backbone.patch

    @property
    def origin(self) -> str:
        """Returns where the weights come from."""
        return str(getattr(self.backbone, "origin", self.name))

    @property
    def stride(self) -> int:
        """Returns the stride of the coarsest map in pixels."""
        return self.backbone.stride

    @torch.no_grad()
    def forward(self, image: Tensor) -> list[Tensor]:
        """Reads or computes the feature maps.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            One (B, C, h, w) float32 map per layer, in the order of `layers`.

        Raises:
            AdframeError: as the backbone, or if float16 cannot represent a feature.
        """
        compiled = getattr(self.backbone, "compiled", False)
        kind = image.device.type + ("-compiled" if compiled else "")
        keys = [f"{self._folder}-{kind}/{image_key(one)}" for one in image.cpu()]
        found: list[dict[str, Tensor]] = []
        for key in keys:
            if (kept := self.store.read(key)) is None:
                return self._compute(image, keys, have=len(found))
            found.append(kept)
        return [_restore_batch(found, layer=i).to(image.device) for i in range(len(self.layers))]

    def _compute(self, image: Tensor, keys: Sequence[str], *, have: int) -> list[Tensor]:
        """Computes a batch and stores the images that are missing; the first `have` images are known to be
        stored.
        """
        exact: list[Tensor] = self.backbone(image)
        rounded = [m.to(self.store.dtype) for m in exact]
        if self.store.dtype == torch.float16 and not all(bool(m.isfinite().all()) for m in rounded):
            raise AdframeError(
                f"features of {self.name} are too large for store.dtype=float16; use store.dtype=float32"
            )
        for place in range(have, len(keys)):
            if place == have or self.store.read(keys[place]) is None:
                self.store.write(keys[place], dict(_with_layout(m[place], i) for i, m in enumerate(rounded)))
        return [m.float() for m in rounded]


def with_store(backbone: TimmBackbone, store: Store | None) -> TimmBackbone:
    """Wraps a backbone with a store.

    Args:
        backbone: the network.
        store: stores the features; None stores nothing.

    Returns:
        The wrapped backbone, or the backbone itself without a store.
    """
    if store is None:
        return backbone
    if isinstance(backbone, Ensemble):  # a network shares its features with runs in which it is alone
        members: Any = {key: StoredBackbone(each, store=store) for key, each in backbone.members.items()}  # type: ignore[arg-type]
        return Ensemble(members, name=backbone.name)  # type: ignore[return-value]
    return StoredBackbone(backbone, store=store)  # type: ignore[return-value]


def image_key(image: Tensor) -> str:
    """Hashes the size and the pixels of an image with BLAKE2b.

    Args:
        image: (3, H, W) on the CPU.

    Returns:
        40 hexadecimal digits.
    """
    found = blake2b(f"{image.dtype} {list(image.shape)}".encode(), digest_size=20)
    found.update(image.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _identity(backbone: nn.Module, *, store: Store) -> str:
    """Hashes everything that determines a network's features and their storage.

    The structure is included, because two networks with equal weights may differ in their activations.
    """
    own = [getattr(backbone, key, None) for key in ("name", "layers", "digest", "norm", "precision")]
    scaling = {name: value.tolist() for name, value in backbone.named_buffers(recurse=False)}  # mean and std
    facts = [FEATURE_FORMAT, own, scaling, repr(backbone), store.dtype, torch.__version__, timm.__version__]
    return blake2b(repr(facts).encode(), digest_size=8).hexdigest()


def _with_layout(features: Tensor, layer: int) -> tuple[str, Tensor]:
    """Returns (C, h, w) in its memory layout with a name that describes it, because sums depend on it in the
    last bits.
    """
    last = features.permute(1, 2, 0)
    if last.is_contiguous() and not features.is_contiguous():
        return f"hwc{layer}", last
    return f"chw{layer}", features


def _restore_batch(found: Sequence[dict[str, Tensor]], *, layer: int) -> Tensor:
    """Stacks one layer of several images to (B, C, h, w) float32, in the memory layout of `_with_layout`."""
    if f"hwc{layer}" in found[0]:
        return torch.stack([kept[f"hwc{layer}"] for kept in found]).permute(0, 3, 1, 2).float()
    return torch.stack([kept[f"chw{layer}"] for kept in found]).float()
