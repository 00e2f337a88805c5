"""A frozen backbone that remembers: features of an image it has seen come from disk."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b

import timm
import torch
from torch import Tensor, nn

from adframe.errors import AdframeError
from adframe.io.feature_cache import Store
from adframe.models.backbones import TimmBackbone

FORMAT = 2  # of what is kept; another number finds none of the older files


class StoredBackbone(nn.Module):
    """Gives what its backbone gives, and computes the features of an image once.

    An image is known by its tensor: whatever changes the network's view of it (the file, the size,
    a shift, preprocessing) makes another one. Features are kept for one network (name, layers,
    weights, structure, normalisation, precision), one kind of device and one version of torch and
    timm each; `<store>/features/<name>-<hash>-<device>/` holds a file an image, with all its layers.

    What is read equals bit by bit what was computed, and lies in memory as it did, so that a run
    whose batches are the same gives the same numbers with a store and without. A batch of which one
    image is missing is computed whole for that reason. Only where an image was first seen in another
    batch may features differ: a network's convolutions then round differently, by about 1e-6 of
    their norm.

    Args:
        backbone: the network.
        store: where features are kept, and as what: `store.dtype`.
    """

    def __init__(self, backbone: TimmBackbone, *, store: Store) -> None:
        super().__init__()
        self.backbone, self.store = backbone, store
        self.name, self.layers, self.digest = backbone.name, backbone.layers, backbone.digest
        readable = re.sub(r"[^\w.-]", "_", self.name)
        self._folder = f"features/{readable}-{_identity(backbone, store=store)}"

    @property
    def patch(self) -> int:
        """What both sides of an image must be multiples of."""
        return self.backbone.patch

    @property
    def stride(self) -> int:
        """Pixels between neighbours on the coarsest map."""
        return self.backbone.stride

    @torch.no_grad()
    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1] to one (B, C, h, w) float32 map a layer, in the order of `layers`.

        Raises:
            AdframeError: what the backbone raises; a feature that float16 cannot hold.
        """
        keys = [f"{self._folder}-{image.device.type}/{_key(one)}" for one in image.cpu()]
        found: list[dict[str, Tensor]] = []
        for key in keys:
            if (kept := self.store.read(key)) is None:
                return self._computed(image, keys, have=len(found))
            found.append(kept)
        return [_joined(found, layer=i).to(image.device) for i in range(len(self.layers))]

    def _computed(self, image: Tensor, keys: Sequence[str], *, have: int) -> list[Tensor]:
        """A batch by the network; what is not kept yet is kept: of the first `have` images we know it is."""
        exact: list[Tensor] = self.backbone(image)
        rounded = [m.to(self.store.dtype) for m in exact]
        if self.store.dtype == torch.float16 and not all(bool(m.isfinite().all()) for m in rounded):
            raise AdframeError(
                f"features of {self.name} are too large for store.dtype=float16; use store.dtype=float32"
            )
        for place in range(have, len(keys)):
            if place == have or self.store.read(keys[place]) is None:
                self.store.write(keys[place], dict(_laid(m[place], i) for i, m in enumerate(rounded)))
        return [m.float() for m in rounded]


def stored(backbone: TimmBackbone, store: Store | None) -> TimmBackbone:
    """A backbone with a memory on disk; the backbone itself where there is no store."""
    return backbone if store is None else StoredBackbone(backbone, store=store)  # type: ignore[return-value]


def _key(image: Tensor) -> str:
    """BLAKE2b over the size and the bytes of (3, H, W)."""
    found = blake2b(f"{image.dtype} {list(image.shape)}".encode(), digest_size=20)
    found.update(image.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _identity(backbone: nn.Module, *, store: Store) -> str:
    """Hash of all that decides which features a network gives, and how they are kept.

    The structure counts, too: two networks of equal weights may differ in their activations alone.
    """
    own = [getattr(backbone, key, None) for key in ("name", "layers", "digest", "norm", "precision")]
    scaling = {name: value.tolist() for name, value in backbone.named_buffers(recurse=False)}  # mean and std
    facts = [FORMAT, own, scaling, repr(backbone), store.dtype, torch.__version__, timm.__version__]
    return blake2b(repr(facts).encode(), digest_size=8).hexdigest()


def _laid(features: Tensor, layer: int) -> tuple[str, Tensor]:
    """(C, h, w) as it lies in memory, under a name that says how: sums depend on it in the last bits."""
    last = features.permute(1, 2, 0)
    if last.is_contiguous() and not features.is_contiguous():
        return f"hwc{layer}", last
    return f"chw{layer}", features


def _joined(found: Sequence[dict[str, Tensor]], *, layer: int) -> Tensor:
    """One layer of several images (B, C, h, w) float32, as `_laid` had it."""
    if f"hwc{layer}" in found[0]:
        return torch.stack([kept[f"hwc{layer}"] for kept in found]).permute(0, 3, 1, 2).float()
    return torch.stack([kept[f"chw{layer}"] for kept in found]).float()
