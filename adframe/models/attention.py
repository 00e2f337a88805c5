"""Where a vision transformer's output comes from: attention rolled out over its blocks.

Source: Abnar and Zuidema, Quantifying Attention Flow in Transformers, ACL 2020.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from timm.layers.attention import Attention
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from transformers.models.dinov2.modeling_dinov2 import Dinov2Attention
from transformers.models.dinov2_with_registers.modeling_dinov2_with_registers import (
    Dinov2WithRegistersAttention,
)

from adframe.models.cached_backbone import StoredBackbone
from adframe.models.hf_vit import TransformersVit

KINDS = (Attention, Dinov2Attention, Dinov2WithRegistersAttention)


def rolled_out(attentions: Sequence[Tensor]) -> Tensor:
    """The product over blocks of their attention, each with the identity added for the residual path.

    Args:
        attentions: first block first: (B, N, N), the mean over heads, rows that sum to 1.

    Returns:
        (B, N, N), rows that sum to 1: how much of each token's output comes from each input token.
    """
    flow = torch.eye(attentions[0].shape[-1], device=attentions[0].device).expand_as(attentions[0])
    for attention in attentions:
        mixed = attention + torch.eye(attention.shape[-1], device=attention.device)
        flow = (mixed / mixed.sum(dim=-1, keepdim=True)) @ flow
    return flow


def transformer_in(detector: nn.Module) -> nn.Module | None:
    """The network whose attention can be rolled out: timm's plain vision transformers, and DINOv2 of
    transformers, adapted or not. None for others: convolutions, windows, rotary positions (DINOv3).
    """
    network: Any = getattr(detector, "vit", None) or getattr(detector, "backbone", None)
    network = network.backbone if isinstance(network, StoredBackbone) else network
    trunk = getattr(network, "trunk", None)
    plain = isinstance(trunk, VisionTransformer) or isinstance(network, TransformersVit)
    return network if plain and _layers(trunk) else None


def has_class_token(network: nn.Module) -> bool:
    """Whether the roll-out is that of a class token."""
    trunk: Any = network.trunk
    return isinstance(network, TransformersVit) or trunk.cls_token is not None


@torch.no_grad()
def rollout(network: Any, image: Tensor) -> Tensor:
    """How much of the class token's output comes from each patch, over the blocks that are in use.

    Where there is no class token: the mean over all patch tokens' outputs. A frozen backbone is cut
    off behind the last layer it gives, and so is its roll-out. Attention is computed from each
    block's input again, because fused kernels never hold it.

    Args:
        network: of `transformer_in`.
        image: (B, 3, H, W) in [0, 1].

    Returns:
        (B, h, w) float32; sums to less than 1: the rest comes from class and register tokens.
    """
    normal = (image - network.mean) / network.std
    flow = rolled_out(attentions(network.trunk, lambda: _run(network, normal)))
    prefix = _prefix(network)
    row = flow[:, 0] if has_class_token(network) else flow[:, prefix:].mean(1)  # (B, N)
    return row[:, prefix:].reshape(len(image), image.shape[-2] // network.patch, -1)


def attentions(trunk: nn.Module, run: Callable[[], object]) -> list[Tensor]:
    """(B, N, N) float32 of each block, the mean over its heads, seen in one pass.

    Args:
        trunk: the transformer.
        run: passes images through it.
    """
    found: dict[int, Tensor] = {}
    handles = []
    for place, module in enumerate(_layers(trunk)):

        def seen(layer: nn.Module, given: tuple[Any, ...], named: dict[str, Any], at: int = place) -> None:
            found[at] = _attention(layer, given[0] if given else named["hidden_states"])

        handles.append(module.register_forward_pre_hook(seen, with_kwargs=True))
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return [found[place] for place in sorted(found)]


def _layers(trunk: nn.Module | None) -> list[nn.Module]:
    return [] if trunk is None else [module for module in trunk.modules() if isinstance(module, KINDS)]


def _attention(layer: Any, tokens: Tensor) -> Tensor:
    """(B, N, N): softmax of queries on keys, the mean over heads."""
    batch, count, _ = tokens.shape
    if isinstance(layer, Attention):
        three = layer.qkv(tokens).view(batch, count, 3, layer.num_heads, layer.head_dim)
        queries, keys, _ = three.permute(2, 0, 3, 1, 4)  # (B, heads, N, d) each
        queries, keys, scale = layer.q_norm(queries), layer.k_norm(keys), layer.scale
    else:
        shape = (batch, count, layer.num_attention_heads, layer.head_dim)
        queries, keys = (
            project(tokens).view(shape).transpose(1, 2) for project in (layer.q_proj, layer.k_proj)
        )
        scale = layer.scaling
    with torch.autocast(tokens.device.type, enabled=False):
        likeness: Tensor = scale * queries.float() @ keys.float().transpose(-2, -1)
        return likeness.softmax(-1).mean(1)


def _prefix(network: Any) -> int:
    """Tokens before those of patches: class and registers."""
    if isinstance(network, TransformersVit):
        return 1 + int(getattr(network.trunk.config, "num_register_tokens", 0))
    return int(network.trunk.num_prefix_tokens)


def _run(network: Any, normal: Tensor) -> None:
    """One pass of normalised images, in the precision that the network computes in."""
    half = getattr(network, "precision", "float32") == "bfloat16"
    with torch.autocast(normal.device.type, torch.bfloat16, enabled=half):
        if isinstance(network, TransformersVit):
            network.trunk(normal)
        else:
            network.trunk.forward_features(normal)
