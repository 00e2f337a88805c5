"""What a masked patch is to be rebuilt as: pixels, or colours of a palette."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor, nn
from torch.nn import functional as F

from adframe.models.buffers import make_room
from adframe.models.vit import Vit
from adframe.ops.gradient_similarity import gradient_dissimilarity

SAMPLE = 100_000  # colours that a palette is fitted on


class Pixels(nn.Module):
    """Normalised pixels under L1, optionally with the strength of their gradients.

    Args:
        patch: side of a patch in pixels.
        gradient: weight of the multi-scale gradient dissimilarity in the loss.
    """

    terms = ("l1", "gradient")

    def __init__(self, *, patch: int, gradient: float) -> None:
        super().__init__()
        self.side, self.channels, self.gradient = patch, 3, gradient

    def losses(self, rebuilt: Tensor, normal: Tensor, *, hidden: Tensor, vit: Vit) -> dict[str, Tensor]:
        """Weighted terms, means over hidden pixels.

        Args:
            rebuilt: (B, 3, H, W) what the decoder says.
            normal: (B, 3, H, W) normalised truth.
            hidden: (B, 1, H, W) 1 where it was hidden.
            vit: knows the way back to [0, 1].
        """
        share = hidden.mean()
        l1 = (rebuilt - normal).abs().mean(dim=1, keepdim=True)  # (B, 1, H, W)
        losses = {"l1": (l1 * hidden).mean() / share}
        if self.gradient:
            truth = vit.grey(normal)
            seen = torch.where(hidden.bool(), vit.grey(rebuilt), truth)  # what was not hidden is as it was
            apart = gradient_dissimilarity(seen, truth)
            losses["gradient"] = self.gradient * (apart * hidden).mean() / share
        return losses

    def errors(self, rebuilt: Tensor, normal: Tensor, *, vit: Vit) -> list[Tensor]:
        """L1 and gradient dissimilarity by pixel, (B, 1, H, W) each."""
        l1 = (rebuilt - normal).abs().mean(dim=1, keepdim=True)
        return [l1, gradient_dissimilarity(vit.grey(rebuilt), vit.grey(normal))]

    def picture(self, rebuilt: Tensor) -> Tensor:
        """Normalised pixels: they are the picture."""
        return rebuilt


class Colours(nn.Module):
    """Colours of a palette under cross-entropy: a blurry mean of two colours is no answer.

    Cells of the map are `cell` x `cell` pixels; their mean colour's nearest palette entry is the
    token to be named, as in image GPT (Chen et al., ICML 2020), which has a token a pixel.

    Args:
        patch: side of a patch in pixels.
        colours: entries of the palette.
        cell: side of a cell in pixels; divides the patch.
        seed: of k-means.
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
        """Takes the colours of normal images in."""
        cells = F.avg_pool2d(normal, self.cell).permute(0, 2, 3, 1).reshape(-1, 3)
        self._seen.append(cells.cpu())

    def finalise_held_out(self) -> None:
        """Fits the palette on a sample of what was surveyed, by k-means."""
        cells = torch.cat(self._seen).numpy()
        self._seen = []
        rng = np.random.default_rng(self.seed)
        sample = cells[rng.permutation(len(cells))[:SAMPLE]]
        count = min(self.channels, len(np.unique(sample, axis=0)))
        centres = KMeans(count, n_init=1, random_state=self.seed).fit(sample).cluster_centers_
        palette = np.full((self.channels, 3), np.inf, dtype=np.float32)  # no cell is nearest to infinity
        palette[:count] = centres
        self.palette = torch.from_numpy(palette).to(self.palette.device)

    def losses(self, rebuilt: Tensor, normal: Tensor, *, hidden: Tensor, vit: Vit) -> dict[str, Tensor]:
        """Mean negative log-likelihood over hidden cells, nats; arguments as for `Pixels`."""
        del vit
        inside = F.avg_pool2d(hidden, self.cell)
        return {"nll": (self._nll(rebuilt, normal) * inside).mean() / inside.mean()}

    def errors(self, rebuilt: Tensor, normal: Tensor, *, vit: Vit) -> list[Tensor]:
        """Negative log-likelihood by pixel, (B, 1, H, W), in nats."""
        del vit
        return [F.interpolate(self._nll(rebuilt, normal), scale_factor=self.cell, mode="nearest")]

    def picture(self, rebuilt: Tensor) -> Tensor:
        """(B, K, h, w) logits to the expected colour of each cell as normalised pixels (B, 3, H, W)."""
        known = self.palette.nan_to_num(posinf=0.0)
        colour = torch.einsum("bkhw,kc->bchw", rebuilt.softmax(dim=1), known)
        return F.interpolate(colour, scale_factor=self.cell, mode="nearest")

    def _nll(self, rebuilt: Tensor, normal: Tensor) -> Tensor:
        colours = F.avg_pool2d(normal, self.cell).permute(0, 2, 3, 1)  # (B, h, w, 3)
        known = torch.isfinite(self.palette[:, 0])
        apart = torch.cdist(colours.flatten(0, 2).float(), self.palette[known].float())
        wanted = apart.argmin(dim=1).view(colours.shape[:3])  # (B, h, w)
        return F.cross_entropy(rebuilt.float(), wanted, reduction="none")[:, None]
