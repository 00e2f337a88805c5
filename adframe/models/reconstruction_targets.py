"""Defines what a masked patch is reconstructed as: pixels, colours of a palette, or tokens of the network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor, nn
from torch.nn import functional as F

from adframe.models.buffers import make_room
from adframe.models.vit import Vit
from adframe.ops.gradient_similarity import gradient_dissimilarity
from adframe.ops.smoothing import heatmap

# Colours on which a palette is fitted.
PALETTE_SAMPLE = 100_000


class PixelTarget(nn.Module):
    """Reconstructs normalised pixels under L1, optionally with the strength of their gradients.

    Args:
        patch: side of a patch in pixels.
        gradient: weight of the multi-scale gradient dissimilarity in the loss.

    Example:
        >>> vit = Vit("test_vit", source="random")
        >>> image = torch.rand(1, 3, 32, 32)
        >>> target = PixelTarget(patch=vit.patch, gradient=0.0)
        >>> float(target.losses(image, image, hidden=torch.ones(1, 1, 32, 32), vit=vit)["l1"])
        0.0
    """

    terms = ("l1", "gradient")

    def __init__(self, *, patch: int, gradient: float) -> None:
        super().__init__()
        self.side, self.channels, self.gradient = patch, 3, gradient

    def losses(self, rebuilt: Tensor, normal: Tensor, *, hidden: Tensor, vit: Vit) -> dict[str, Tensor]:
        """Computes weighted losses, means over hidden pixels.

        Args:
            rebuilt: (B, 3, H, W) output of the decoder.
            normal: (B, 3, H, W) normalised target.
            hidden: (B, 1, H, W), 1 where hidden.
            vit: converts normalised pixels to grey values.

        Returns:
            Losses by name.
        """
        share = hidden.mean()
        l1 = (rebuilt - normal).abs().mean(dim=1, keepdim=True)  # (B, 1, H, W)
        losses = {"l1": (l1 * hidden).mean() / share}
        if self.gradient:
            truth = vit.grey(normal)
            # visible pixels are those of the image
            visible = torch.where(hidden.bool(), vit.grey(rebuilt), truth)
            apart = gradient_dissimilarity(visible, truth)
            losses["gradient"] = self.gradient * (apart * hidden).mean() / share
        return losses

    def errors(self, rebuilt: Tensor, normal: Tensor, *, vit: Vit) -> list[Tensor]:
        """Computes L1 and gradient dissimilarity per pixel.

        Args:
            rebuilt: (B, 3, H, W) output of the decoder.
            normal: (B, 3, H, W) normalised target.
            vit: converts normalised pixels to grey values.

        Returns:
            Two maps (B, 1, H, W).
        """
        l1 = (rebuilt - normal).abs().mean(dim=1, keepdim=True)
        return [l1, gradient_dissimilarity(vit.grey(rebuilt), vit.grey(normal))]

    def picture(self, rebuilt: Tensor) -> Tensor:
        """Returns the reconstruction itself, which is normalised pixels.

        Args:
            rebuilt: (B, 3, H, W) output of the decoder.
        """
        return rebuilt


class ColourTarget(nn.Module):
    """Reconstructs colours of a palette under cross-entropy, so that a blurry mean of two colours is no
    solution.

    Cells of the map are `cell` x `cell` pixels; the palette entry nearest to their mean colour is the token
    to predict, as in image GPT (Chen et al., ICML 2020), which has a token per pixel.

    Args:
        patch: side of a patch in pixels.
        colours: entries of the palette.
        cell: side of a cell in pixels; divides the patch.
        seed: seed of k-means.

    Example:
        >>> target = ColourTarget(patch=8, colours=4, cell=4, seed=0)
        >>> target.preview(torch.rand(2, 3, 32, 32))
        >>> target.finalise_preview()
        >>> target.palette.shape
        torch.Size([4, 3])
    """

    terms = ("nll",)
    palette: Tensor

    def __init__(self, *, patch: int, colours: int, cell: int, seed: int) -> None:
        super().__init__()
        self.side, self.channels, self.cell, self.seed = patch // cell, colours, cell, seed
        self.register_buffer("palette", torch.empty(0, 3))  # (K, 3) normalised
        self.register_load_state_dict_pre_hook(make_room)  # type: ignore[no-untyped-call]
        self._seen: list[Tensor] = []

    def preview(self, normal: Tensor) -> None:
        """Collects the colours of normal images.

        Args:
            normal: (B, 3, H, W), normalised.
        """
        cells = F.avg_pool2d(normal, self.cell).permute(0, 2, 3, 1).reshape(-1, 3)
        self._seen.append(cells.cpu())

    def finalise_preview(self) -> None:
        """Fits the palette by k-means to a sample of the collected colours."""
        cells = torch.cat(self._seen).numpy()
        self._seen = []
        rng = np.random.default_rng(self.seed)
        sample = cells[rng.permutation(len(cells))[:PALETTE_SAMPLE]]
        count = min(self.channels, len(np.unique(sample, axis=0)))
        centres = KMeans(count, n_init=1, random_state=self.seed).fit(sample).cluster_centers_
        palette = np.full((self.channels, 3), np.inf, dtype=np.float32)  # no cell is nearest to infinity
        palette[:count] = centres
        self.palette = torch.from_numpy(palette).to(self.palette.device)

    def losses(self, rebuilt: Tensor, normal: Tensor, *, hidden: Tensor, vit: Vit) -> dict[str, Tensor]:
        """Computes the mean negative log-likelihood over hidden cells, in nats.

        Args:
            rebuilt: (B, K, h, w) logits of the decoder.
            normal: (B, 3, H, W) normalised target.
            hidden: (B, 1, H, W), 1 where hidden.
            vit: not used.

        Returns:
            The loss by name.
        """
        del vit
        inside = F.avg_pool2d(hidden, self.cell)
        return {"nll": (self._nll(rebuilt, normal) * inside).mean() / inside.mean()}

    def errors(self, rebuilt: Tensor, normal: Tensor, *, vit: Vit) -> list[Tensor]:
        """Computes the negative log-likelihood per pixel, in nats.

        Args:
            rebuilt: (B, K, h, w) logits of the decoder.
            normal: (B, 3, H, W) normalised target.
            vit: not used.

        Returns:
            One map (B, 1, H, W).
        """
        del vit
        return [F.interpolate(self._nll(rebuilt, normal), scale_factor=self.cell, mode="nearest")]

    def picture(self, rebuilt: Tensor) -> Tensor:
        """Computes the expected colour of each cell.

        Args:
            rebuilt: (B, K, h, w) logits of the decoder.

        Returns:
            (B, 3, H, W) normalised pixels.
        """
        known = self.palette.nan_to_num(posinf=0.0)
        colour = torch.einsum("bkhw,kc->bchw", rebuilt.softmax(dim=1), known)
        return F.interpolate(colour, scale_factor=self.cell, mode="nearest")

    def _nll(self, rebuilt: Tensor, normal: Tensor) -> Tensor:
        colours = F.avg_pool2d(normal, self.cell).permute(0, 2, 3, 1)  # (B, h, w, 3)
        known = torch.isfinite(self.palette[:, 0])
        apart = torch.cdist(colours.flatten(0, 2).float(), self.palette[known].float())
        wanted = apart.argmin(dim=1).view(colours.shape[:3])  # (B, h, w)
        return F.cross_entropy(rebuilt.float(), wanted, reduction="none")[:, None]


class TokenTarget(nn.Module):
    """Reconstructs the tokens that the network before training computes for the whole image.

    What is hidden is predicted as content instead of colour, as in data2vec (Baevski et al., ICML 2022), but
    the teacher stays as it was. Tokens of each block are layer-normed; only their directions count.

    Args:
        teacher: the network before training.
        blocks: blocks whose tokens are reconstructed, counted from 0.

    Example:
        >>> target = TokenTarget(Vit("test_vit", source="random"), blocks=[3, 5])
        >>> target.terms, target.channels == 2 * 64
        (('features',), True)
    """

    terms = ("features",)

    def __init__(self, teacher: Vit, *, blocks: Sequence[int]) -> None:
        super().__init__()
        # A tuple hides it from torch: its weights belong to the method, once.
        self._teacher, self.blocks = (teacher,), list(blocks)
        self.side, self.channels = 1, teacher.width * len(self.blocks)

    def losses(self, rebuilt: Tensor, normal: Tensor, *, hidden: Tensor, vit: Vit) -> dict[str, Tensor]:
        """Computes the mean cosine distance over hidden patches.

        Args:
            rebuilt: (B, K * D, h, w) output of the decoder.
            normal: (B, 3, H, W) normalised image.
            hidden: (B, 1, H, W), 1 where hidden.
            vit: its patches are those of the teacher.

        Returns:
            The loss by name.
        """
        inside = F.avg_pool2d(hidden, vit.patch)
        return {"features": (self._distances(rebuilt, normal) * inside).mean() / inside.mean()}

    def errors(self, rebuilt: Tensor, normal: Tensor, *, vit: Vit) -> list[Tensor]:
        """Computes the cosine distance per pixel.

        Args:
            rebuilt: (B, K * D, h, w) output of the decoder.
            normal: (B, 3, H, W) normalised image.
            vit: not used.

        Returns:
            One map (B, 1, H, W).
        """
        del vit
        size = (normal.shape[-2], normal.shape[-1])
        return [heatmap(self._distances(rebuilt, normal), size=size, sigma=0.0)]

    def picture(self, rebuilt: Tensor) -> None:
        """Returns None, because tokens are no colours.

        Args:
            rebuilt: not used.
        """
        del rebuilt

    def _distances(self, rebuilt: Tensor, normal: Tensor) -> Tensor:
        """Returns 1 - cosine, the mean over blocks: (B, 1, h, w)."""
        (teacher,) = self._teacher
        with torch.no_grad():
            found = teacher.at(normal, blocks=self.blocks)
        parts = rebuilt.chunk(len(self.blocks), dim=1)
        batch, _, height, width = rebuilt.shape
        apart = []
        for part, tokens in zip(parts, found, strict=True):
            truth = F.layer_norm(tokens.float(), tokens.shape[-1:]).transpose(1, 2)
            truth = truth.reshape(batch, -1, height, width)
            apart.append(1 - F.cosine_similarity(part.float(), truth, dim=1))
        return torch.stack(apart).mean(0)[:, None]
