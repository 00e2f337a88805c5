"""Converts the tensors of a DINOv2 from timm's names to those of transformers."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from adframe.errors import AdframeError

_WHOLE = {
    "cls_token": "embeddings.cls_token",
    "reg_token": "embeddings.register_tokens",
    "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
    "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
    "norm.weight": "layernorm.weight",
    "norm.bias": "layernorm.bias",
}
_PARTS = {
    "norm1": "norm1",
    "norm2": "norm2",
    "attn.proj": "attention.o_proj",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)\.([^.]+)")


def has_timm_names(state: Mapping[str, Tensor]) -> bool:
    """Tells whether tensors have the names of timm's vision transformers.

    Args:
        state: tensors by name.
    """
    return "blocks.0.attn.qkv.weight" in state


def transformers_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames and splits the tensors of timm's `vit_*_patch14_dinov2` and `vit_*_patch14_reg4_dinov2`.

    timm computes queries, keys and values by one matrix, and has no mask token, which only pretraining uses.
    Its models with registers add the class token's position embedding to the class token.

    Args:
        state: tensors by timm's names.

    Returns:
        Tensors by the names of `Dinov2Model` or `Dinov2WithRegistersModel`, for a strict load.

    Raises:
        AdframeError: a tensor is none of a DINOv2.

    Example:
        >>> found = transformers_names({"blocks.0.attn.qkv.weight": torch.zeros(6, 2)})
        >>> [(name, tuple(tensor.shape)) for name, tensor in found.items()][0]
        ('encoder.layer.0.attention.q_proj.weight', (2, 2))
    """
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        block = _BLOCK.fullmatch(name)
        if name in _WHOLE:
            found[_WHOLE[name]] = tensor
        elif name == "pos_embed":
            own = torch.zeros_like(tensor[:, :1])
            places = torch.cat((own, tensor), dim=1) if "reg_token" in state else tensor
            found["embeddings.position_embeddings"] = places
            found["embeddings.mask_token"] = torch.zeros_like(tensor[:, 0])
        elif block is None:
            raise AdframeError(f"{name} is no tensor of timm's DINOv2")
        else:
            found |= _block_tensors(int(block[1]), block[2], block[3], tensor)
    return found


def _block_tensors(number: int, part: str, kind: str, tensor: Tensor) -> dict[str, Tensor]:
    place = f"encoder.layer.{number}"
    if part == "attn.qkv":
        return {
            f"{place}.attention.{letter}_proj.{kind}": piece.clone()
            for letter, piece in zip("qkv", tensor.chunk(3), strict=True)
        }
    if part in ("ls1", "ls2"):
        return {f"{place}.layer_scale{part[-1]}.lambda1": tensor}
    if part not in _PARTS:
        raise AdframeError(f"blocks.{number}.{part}.{kind} is no tensor of timm's DINOv2")
    return {f"{place}.{_PARTS[part]}.{kind}": tensor}
