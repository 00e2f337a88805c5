"""The image tower of a CLIP or SigLIP, for whole images and for windows of their patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adframe.errors import AdframeError
from adframe.models.backbones import check_size, no_class_token_error, origin_of
from adframe.models.clip_towers import TowersSource, encode_texts
from adframe.models.layers import LayerWord, choose_blocks
from adframe.models.weights import REVISION, weights_digest
from adframe.ops.windows import window_places


@dataclass(frozen=True, slots=True)
class ClipEmbeddings:
    """Embeddings of images and of windows of their patches.

    Attributes:
        whole: (B, E) of the whole images, unit length, comparable with embeddings of texts.
        windows: (B, W, E) for each size of windows, unit length.
        patches: (B, h * w, D) tokens of the patches after the last block, unit length.
        grid: (h, w) in patches.
    """

    whole: Tensor
    windows: list[Tensor]
    patches: Tensor
    grid: tuple[int, int]


class ClipBackbone(nn.Module):
    """The frozen image tower of a CLIP (Radford et al., ICML 2021) or SigLIP (Zhai et al., ICCV 2023).

    The text tower is opened only where texts are encoded. Images are normalised by the mean and standard
    deviation of the network's own processor, and position embeddings are interpolated (bicubic) to their
    size.

    It can take the place of a `TimmBackbone` as well: called, it returns the tokens of chosen blocks as maps.

    Args:
        model: a repository of the hub in transformers' format, such as `openai/clip-vit-base-patch16` or
            `google/siglip2-base-patch16-224`.
        layers: blocks whose tokens are read, `blocks.0` and so on, or a word for some (`models.layers`).
        source: `hub` (the hub's cache, else a download) or `random` (tiny and untrained, for tests).
        checkpoint: a local folder with config.json, weights and the tokenizer's files instead of the hub.
        name: name in tables and checkpoints; None takes the repository's name.
        revision: revision of the weights on the hub: a branch, a tag or a commit.
        norm: whether to pass the tokens of every block through the final LayerNorm.
        precision: `bfloat16` computes matrix products in it.

    Raises:
        AdframeError: the weights are unavailable, incomplete, or of another kind of network.

    Example:
        >>> backbone = ClipBackbone("clip", source="random")
        >>> found = backbone.embed(torch.rand(2, 3, 64, 80), sides=[2], chunk=64)
        >>> found.grid, found.whole.shape, found.windows[0].shape
        ((4, 5), torch.Size([2, 24]), torch.Size([2, 12, 24]))
    """

    mean: Tensor
    std: Tensor
    dynamic_img_size = True  # an exporter calls `set_input_size`

    def __init__(
        self,
        model: str,
        *,
        layers: Sequence[str] | LayerWord = "quarters",
        source: str = "hub",
        checkpoint: str | Path | None = None,
        name: str | None = None,
        revision: str = REVISION,
        norm: bool = False,
        precision: Literal["float32", "bfloat16"] = "float32",
    ) -> None:
        super().__init__()
        self.name, self.norm, self.precision = name or model, norm, precision
        self.where = TowersSource(model=model, source=source, checkpoint=checkpoint, revision=revision)
        towers = self.where.towers()
        self.origin = origin_of(model, source=source, repository=model, revision=revision)
        if checkpoint is not None:
            self.origin = str(checkpoint)
        family = towers.config.model_type
        self.trunk: Any = towers.vision_model
        self.layers, self._blocks = choose_blocks(len(self.trunk.encoder.layers), layers, model=self.name)
        self.projection: nn.Module = getattr(towers, "visual_projection", nn.Identity())
        if family == "siglip" and not self.trunk.use_head:
            raise AdframeError(
                f"{self.where.label} has no pooling head; its images cannot be compared with texts"
            )
        self.has_class_token = family == "clip"
        self.logit_scale = float(towers.logit_scale.exp())
        self.digest = weights_digest(self)
        mean, std = self.where.normalisation(family)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self._resized: Tensor | None = None  # position embeddings of one size, for export

    def train(self, mode: bool = True) -> ClipBackbone:
        """Stays in evaluation mode.

        Args:
            mode: not used.

        Returns:
            The backbone.
        """
        del mode
        return super().train(False)

    @property
    def patch(self) -> int:
        """Returns the side of a patch in pixels."""
        return int(self.trunk.config.patch_size)

    @property
    def stride(self) -> int:
        """Returns the stride of the maps in pixels."""
        return self.patch

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Computes the embeddings of texts with the text tower, which is opened for this.

        Args:
            texts: one or more.

        Returns:
            (N, E) float32 of unit length, on the CPU.

        Raises:
            AdframeError: the text tower or its tokenizer is unavailable, or a text is too long.
        """
        return encode_texts(self.where, texts)

    def set_input_size(self, img_size: tuple[int, int]) -> None:
        """Resizes the position embeddings once, for images of one size only.

        Args:
            img_size: (H, W) in pixels.
        """
        patches = (img_size[0] // self.patch) * (img_size[1] // self.patch)
        like = torch.empty(1, patches + self.has_class_token, self.trunk.config.hidden_size)
        self._resized = self.trunk.embeddings.interpolate_pos_encoding(like, *img_size).clone()

    @torch.no_grad()
    def forward(self, image: Tensor) -> list[Tensor]:
        """Computes the tokens of the chosen blocks.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            One (B, D, h, w) float32 map per layer, in the order of `layers`.

        Raises:
            AdframeError: the image does not divide into patches.
        """
        return self._maps(image)[0]

    @torch.no_grad()
    def with_class_token(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        """Computes the tokens of the chosen blocks, and the class token of the deepest of them.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            The maps as `forward` returns them, and (B, D) float32.

        Raises:
            AdframeError: the network has no class token, or the image does not divide into patches.
        """
        if not self.has_class_token:
            raise no_class_token_error(self.name)
        return self._maps(image)

    def _maps(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        """Returns the map of each layer, and the first token of the deepest one."""
        with self._autocast(image):
            tokens, grid = self._embedded(image)
            after: list[Tensor] = []
            for block in self.trunk.encoder.layers[: max(self._blocks) + 1]:
                tokens = block(tokens, attention_mask=None)
                after.append(self.trunk.post_layernorm(tokens) if self.norm else tokens)
        patches = [after[block][:, int(self.has_class_token) :].float() for block in self._blocks]
        maps = [each.transpose(1, 2).reshape(len(image), -1, *grid) for each in patches]
        return maps, after[-1][:, 0].float()

    @torch.no_grad()
    def embed(self, image: Tensor, *, sides: Sequence[int], chunk: int) -> ClipEmbeddings:
        """Computes embeddings of whole images and of windows of their patches.

        For a window, only its patches (and the class token, where there is one) pass through the network, as
        if the others were not there; they keep their positions.

        Args:
            image: (B, 3, H, W) in [0, 1].
            sides: sides of the windows, in patches.
            chunk: number of windows that pass through the network together.

        Returns:
            The embeddings.

        Raises:
            AdframeError: the image does not divide into patches, or has fewer than a window.
        """
        with self._autocast(image):
            tokens, grid = self._embedded(image)
            whole, patches = self._through(tokens)
            windows = [self._windows(tokens, window_places(grid, side=side), chunk=chunk) for side in sides]
        return ClipEmbeddings(_unit(whole), [_unit(each) for each in windows], _unit(patches), grid)

    def _autocast(self, image: Tensor) -> torch.autocast:
        return torch.autocast(image.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    def _embedded(self, image: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Returns the tokens (B, prefix + N, D) before the first block, and the grid."""
        height, width = image.shape[-2], image.shape[-1]
        check_size((height, width), patch=self.patch, name=self.name)
        embeddings = self.trunk.embeddings
        tokens = embeddings.patch_embedding((image - self.mean) / self.std).flatten(2).transpose(1, 2)
        if self.has_class_token:
            first = embeddings.class_embedding.expand(len(image), 1, -1)
            tokens = torch.cat([first.to(tokens.dtype), tokens], dim=1)
        resized = self._resized
        if resized is None:
            resized = embeddings.interpolate_pos_encoding(tokens, height, width)
        tokens = tokens + resized
        if self.has_class_token:
            tokens = self.trunk.pre_layrnorm(tokens)  # the name is the library's
        return tokens, (height // self.patch, width // self.patch)

    def _windows(self, tokens: Tensor, places: Tensor, *, chunk: int) -> Tensor:
        """Returns the embeddings (B, W, E) of windows."""
        prefix = int(self.has_class_token)
        kept = places.to(tokens.device) + prefix
        if prefix:
            kept = torch.cat([torch.zeros_like(kept[:, :1]), kept], dim=1)
        # Windows of one image at a time, so that its embeddings do not depend on the images next to it.
        return torch.stack(
            [torch.cat([self._through(own[part])[0] for part in torch.split(kept, chunk)]) for own in tokens]
        )

    def _through(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Passes tokens (B, prefix + N, D) through the blocks; returns (B, E) and patch tokens (B, N, D)."""
        last = self.trunk.encoder(inputs_embeds=tokens).last_hidden_state
        if self.has_class_token:
            return self.projection(self.trunk.post_layernorm(last[:, 0])), last[:, 1:]
        last = self.trunk.post_layernorm(last)
        return self.trunk.head(last), last


def _unit(vectors: Tensor) -> Tensor:
    return F.normalize(vectors.float(), dim=-1)
