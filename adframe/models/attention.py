"""Computes which patches a vision transformer attends to: attention rolled out over its blocks.

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

ATTENTION_KINDS = (Attention, Dinov2Attention, Dinov2WithRegistersAttention)


def rolled_out(attentions: Sequence[Tensor]) -> Tensor:
    """Multiplies the attention of all blocks, each with the identity added for the residual path.

    Args:
        attentions: (B, N, N) of each block, the first block first: means over heads, with rows that sum to 1.

    Returns:
        (B, N, N), rows that sum to 1: the share of each token's output that comes from each input token.
    """
    flow = torch.eye(attentions[0].shape[-1], device=attentions[0].device).expand_as(attentions[0])
    for attention in attentions:
        mixed = attention + torch.eye(attention.shape[-1], device=attention.device)
        flow = (mixed / mixed.sum(dim=-1, keepdim=True)) @ flow
    return flow


def transformer_in(detector: nn.Module) -> nn.Module | None:
    """Finds the network of a detector whose attention can be rolled out.

    These are timm's plain vision transformers, and DINOv2 of transformers, adapted or not.

    Args:
        detector: any detector.

    Returns:
        The network; None for others: convolutions, windows, rotary positions (DINOv3).
    """
    network: Any = getattr(detector, "vit", None) or getattr(detector, "backbone", None)
    network = network.backbone if isinstance(network, StoredBackbone) else network
    trunk = getattr(network, "trunk", None)
    plain = isinstance(trunk, VisionTransformer) or isinstance(network, TransformersVit)
    return network if plain and _attention_layers(trunk) else None


def has_class_token(network: nn.Module) -> bool:
    """Tells whether the roll-out is that of a class token.

    Args:
        network: result of `transformer_in`.

    Returns:
        True if the network has a class token.
    """
    trunk: Any = network.trunk
    return isinstance(network, TransformersVit) or trunk.cls_token is not None


@torch.no_grad()
def rollout(network: Any, image: Tensor) -> Tensor:
    """Computes the share of the class token's output that comes from each patch, over the blocks in use.

    Without a class token, it is the mean over the outputs of all patch tokens. A frozen backbone is cut off
    after its last used layer, and so is its roll-out. Attention is computed again from each block's input,
    because fused kernels never store it.

    Args:
        network: result of `transformer_in`.
        image: (B, 3, H, W) in [0, 1].

    Returns:
        (B, h, w) float32; sums to less than 1, because the rest comes from class and register tokens.
    """
    normal = (image - network.mean) / network.std
    flow = rolled_out(attentions(network.trunk, lambda: _forward_pass(network, normal)))
    prefix = _prefix_length(network)
    row = flow[:, 0] if has_class_token(network) else flow[:, prefix:].mean(1)  # (B, N)
    return row[:, prefix:].reshape(len(image), image.shape[-2] // network.patch, -1)


def attentions(trunk: nn.Module, run: Callable[[], object]) -> list[Tensor]:
    """Records the attention of each block in one pass.

    Args:
        trunk: the transformer.
        run: passes images through it.

    Returns:
        (B, N, N) float32 of each block, the mean over its heads.
    """
    found: dict[int, Tensor] = {}
    handles = []
    for place, module in enumerate(_attention_layers(trunk)):

        def seen(layer: nn.Module, given: tuple[Any, ...], named: dict[str, Any], at: int = place) -> None:
            found[at] = _attention_weights(layer, given[0] if given else named["hidden_states"])

        handles.append(module.register_forward_pre_hook(seen, with_kwargs=True))
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return [found[place] for place in sorted(found)]


def _attention_layers(trunk: nn.Module | None) -> list[nn.Module]:
    return (
        [] if trunk is None else [module for module in trunk.modules() if isinstance(module, ATTENTION_KINDS)]
    )


def _attention_weights(layer: Any, tokens: Tensor) -> Tensor:
    """Returns (B, N, N): the softmax of queries and keys, averaged over the heads."""
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


def _prefix_length(network: Any) -> int:
    """Returns the number of tokens before the patch tokens: class and registers."""
    if isinstance(network, TransformersVit):
        return 1 + int(getattr(network.trunk.config, "num_register_tokens", 0))
    return int(network.trunk.num_prefix_tokens)


def _forward_pass(network: Any, normal: Tensor) -> None:
    """Passes normalised images through the network, in the precision in which it computes."""
    half = getattr(network, "precision", "float32") == "bfloat16"
    with torch.autocast(normal.device.type, torch.bfloat16, enabled=half):
        if isinstance(network, TransformersVit):
            network.trunk(normal)
        else:
            network.trunk.forward_features(normal)
