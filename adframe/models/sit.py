"""SiT: masked reconstruction adapted to normal images (after Atito et al., arXiv 2104.03602)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from adframe.contracts import IMAGE, INDEX, Batch, FeatureReader, Prediction
from adframe.errors import AdframeError, at_least
from adframe.models.contrastive_loss import Contrast
from adframe.models.decoder import TokenDecoder
from adframe.models.masking import FIXED, Masking
from adframe.models.normalizer import FEWEST, Normaliser
from adframe.models.reconstruction_targets import Colours, Pixels
from adframe.models.scoring import Scoring, image_score
from adframe.models.stitching import stitched_tokens
from adframe.models.vit import Vit, token_distance
from adframe.models.vit_maps import VitMaps
from adframe.ops.smoothing import heatmap

SCORING = ("normaliser", "starting")  # parts that no training changes


class SiT(nn.Module):
    """Hides blocks of normal images, learns to rebuild them, and scores by what it cannot rebuild.

    All tokens stay: hidden patches are replaced in the image itself, and there is no mask token.
    Only hidden pixels count, in training and in scoring. Masks of a training step follow from the
    seed, the step and the images, so that a resumed run goes on with the same losses.

    Args:
        vit: the network, with its starting weights.
        scoring: from masked images to a score.
        mask_ratio: share of the patches hidden in training, in (0, 1).
        fill: what stands in hidden patches: `zeros` (the mean colour), `noise` (of unit variance), or
            `image`: another image's content in half of the images, zeros in the others. Scoring
            knows no other image and fills with zeros there.
        target: `pixels`, or `colour_tokens`.
        gradient: weight of the gradient dissimilarity in the loss, for pixels.
        colours, cell: size of the palette, and side in pixels of what has one colour, for colour tokens.
        contrastive: weight of the contrastive term; see `Contrast` for why it is 0, or small.
        adapt: `all` layers, or the `decoder` only, on frozen features.
        seed: draws masks and noise.

    Raises:
        AdframeError: a setting that is not possible.
    """

    synthetic = False
    step: Tensor

    def __init__(
        self,
        vit: Vit,
        *,
        scoring: Scoring,
        mask_ratio: float = 0.65,
        fill: Literal["zeros", "noise", "image"] = "zeros",
        target: Literal["pixels", "colour_tokens"] = "pixels",
        gradient: float = 1.0,
        colours: int = 64,
        cell: int = 4,
        contrastive: float = 0.0,
        adapt: Literal["all", "decoder"] = "all",
        seed: int = 42,
    ) -> None:
        super().__init__()
        if not (at_least(gradient, 0) and at_least(contrastive, 0)) or colours < 2:
            raise AdframeError(
                f"model.gradient={gradient} and model.contrastive={contrastive} must be 0 or more, "
                f"model.colours={colours} 2 or more"
            )
        if target == "colour_tokens" and (cell < 1 or vit.patch % cell):
            raise AdframeError(f"model.cell={cell} must divide the patch of {vit.patch} pixels")
        if max(scoring.token_blocks, default=0) >= vit.depth:
            raise AdframeError(
                f"model.scoring.token_blocks={list(scoring.token_blocks)}: {vit.name} has blocks 0 to "
                f"{vit.depth - 1}"
            )
        self.vit, self.scoring = vit, scoring
        self.masking = Masking(patch=vit.patch, ratio=mask_ratio, fill=fill, seed=seed)
        self.target: Pixels | Colours = (
            Pixels(patch=vit.patch, gradient=gradient)
            if target == "pixels"
            else Colours(patch=vit.patch, colours=colours, cell=cell, seed=seed)
        )
        self.decoder = TokenDecoder(vit.width, side=self.target.side, channels=self.target.channels)
        self.weights = scoring.weights(self.target.terms)
        self.normaliser = Normaliser(scoring.normalisation, sigma=scoring.sigma)
        self.contrastive = contrastive
        self.contrast = Contrast(vit) if contrastive else None
        self.starting = (
            copy.deepcopy(vit).requires_grad_(False)
            if scoring.tokens and scoring.token_network == "starting"
            else None
        )
        if adapt == "decoder":
            vit.requires_grad_(False)
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))  # of training

    @property
    def backbone(self) -> Vit:
        """What a checkpoint names; it is no frozen part of it."""
        return self.vit

    # Learning

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Named terms of a training step on `image` (B, 3, H, W), and `total`, their sum."""
        if self.contrast is not None and self.step:
            self.contrast.follow(self.vit)
        losses = self._losses(batch, step=int(self.step))
        self.step += 1
        return losses

    @torch.no_grad()
    def check(self, batch: Batch) -> dict[str, Tensor]:
        """The same on held-out images at masks that never change, to compare epochs by."""
        return self._losses(batch, step=FIXED)

    def groups(self, *, weight_decay: float, layer_decay: float) -> list[dict[str, Any]]:
        """Parameter groups with `lr_scale`: smaller towards the input, whole in the heads."""
        heads = [*self.decoder.parameters(), *(self.contrast.head.parameters() if self.contrast else ())]
        groups = self.vit.groups(weight_decay=weight_decay, layer_decay=layer_decay)
        groups.append({"params": heads, "weight_decay": weight_decay, "lr_scale": 1.0})
        return [g | {"params": kept} for g in groups if (kept := [p for p in g["params"] if p.requires_grad])]

    def learned(self) -> dict[str, Tensor]:
        """All that training has changed."""
        return {name: t for name, t in self.state_dict().items() if name.split(".")[0] not in SCORING}

    def load_learned(self, state: Mapping[str, Tensor]) -> None:
        """Takes it back, also where scores are made in another way."""
        own = {name: t for name, t in self.state_dict().items() if name.split(".")[0] in SCORING}
        self.load_state_dict(own | dict(state), strict=True)

    @property
    def needs_preview(self) -> bool:
        """Whether it wants to see the training images once before it learns."""
        return isinstance(self.target, Colours) and not self.target.palette.numel()

    def preview(self, image: Tensor) -> None:
        """Takes training images (B, 3, H, W) in, for the palette."""
        if isinstance(self.target, Colours):
            self.target.preview(self.vit.normalise(image))

    def finalise_preview(self) -> None:
        """Fits the palette."""
        if isinstance(self.target, Colours):
            self.target.finalise_held_out()

    # Scoring

    @property
    def needs_held_out(self) -> bool:
        """Whether errors are brought to the scale of held-out images."""
        return self.normaliser.kind != "none"

    @property
    def min_held_out(self) -> int:
        """Held-out normal images that it needs."""
        return FEWEST if self.needs_held_out else 1

    @torch.no_grad()
    def collect_held_out(self, image: Tensor) -> None:
        """Takes the errors of held-out normal images (B, 3, H, W) in."""
        self.normaliser.collect_held_out(self.errors(image))

    def finalise_held_out(self) -> None:
        """Fixes what is usual."""
        self.normaliser.finalise_held_out()

    @torch.no_grad()
    def forward(self, image: Tensor) -> Prediction:
        """(B, 3, H, W) in [0, 1] to raw scores (B,) and heatmaps (B, 1, H, W)."""
        return self._prediction(self.normaliser(self.errors(image)))

    @torch.no_grad()
    def score_leave_one_out(self, image: Tensor) -> Prediction:
        """The same for images that were observed, each left out of what it is compared with."""
        return self._prediction(self.normaliser.leaving_out(self.errors(image)))

    @torch.no_grad()
    def errors(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) to smoothed errors (B, T, H, W), a map a term of `weights`."""
        normal = self.vit.normalise(image)
        covers = self.scoring.covers(self.masking.grid(image))
        passes = [self._apart(rebuilt, normal) for rebuilt in self._rebuilt(normal, covers)]
        maps = torch.stack(passes).mean(0)
        size = (image.shape[-2], image.shape[-1])
        with _exact(image):
            return heatmap(maps.flatten(0, 1)[:, None], size=size, sigma=self.scoring.sigma).view_as(maps)

    @torch.no_grad()
    def picture(self, image: Tensor) -> dict[str, Tensor]:
        """What a person wants to see of (B, 3, H, W): four pictures (B, 3, H, W) in [0, 1] each."""
        normal = self.vit.normalise(image)
        hidden = self.masking.draw(normal, index=torch.arange(len(image)), step=FIXED)
        tokens = self.vit(self.masking.filled(normal, hidden, step=FIXED))
        rebuilt = self.decoder(self.vit.patches(tokens), grid=self.masking.grid(image))
        shown = torch.where(hidden.bool(), self.target.picture(rebuilt.float()), normal)
        error = (shown - normal).abs().mean(dim=1, keepdim=True)
        return {
            "input": image,
            "hidden": self.vit.restore(torch.where(hidden.bool(), 0.0, normal)),
            "rebuilt": self.vit.restore(shown),
            "error": (error / error.amax().clamp(min=1e-6)).expand(-1, 3, -1, -1),
        }

    def feature_reader(self) -> FeatureReader:
        """The encoder, which sees the whole image: nothing is hidden."""
        return VitMaps(self.vit)

    def facts(self) -> dict[str, float]:
        """Parameters that learn, and training steps so far."""
        learning = sum(p.numel() for p in self.parameters() if p.requires_grad)
        return {"parameters": learning, "steps": int(self.step)}

    def _losses(self, batch: Batch, *, step: int) -> dict[str, Tensor]:
        normal = self.vit.normalise(batch[IMAGE])
        hidden = self.masking.draw(normal, index=batch[INDEX], step=step)
        tokens = self.vit(self.masking.filled(normal, hidden, step=step))
        rebuilt = self.decoder(self.vit.patches(tokens), grid=self.masking.grid(normal)).float()
        with _exact(normal):
            losses = self.target.losses(rebuilt, normal, hidden=hidden, vit=self.vit)
        if self.contrast is not None:
            losses["contrast"] = self.contrastive * self.contrast(tokens[:, 0], normal)
        return losses | {"total": torch.stack(list(losses.values())).sum()}

    def _rebuilt(self, normal: Tensor, covers: list[Tensor]) -> list[Tensor]:
        """One map a cover; tokens are stitched, as the decoder sees each by itself, and decoded once."""
        tokens = stitched_tokens(
            self.vit, normal, masking=self.masking, covers=covers, chunk=self.scoring.chunk
        )
        return [self.decoder(each, grid=self.masking.grid(normal)).float() for each in tokens]

    def _apart(self, rebuilt: Tensor, normal: Tensor) -> Tensor:
        """(B, T, H, W) the errors that have a weight."""
        with _exact(normal):
            errors = self.target.errors(rebuilt, normal, vit=self.vit)
        maps = dict(zip(self.target.terms, errors, strict=True))
        if "tokens" in self.weights:
            pair = (self.target.picture(rebuilt), normal)
            grid = token_distance(self.starting or self.vit, *pair, blocks=self.scoring.token_blocks)
            with _exact(normal):
                maps["tokens"] = heatmap(grid, size=(normal.shape[-2], normal.shape[-1]), sigma=0.0)
        return torch.cat([maps[name].float() for name in self.weights], dim=1)

    def _prediction(self, errors: Tensor) -> Prediction:
        """Weighted mean of (B, T, H, W) errors."""
        weights = errors.new_tensor(list(self.weights.values())).view(1, -1, 1, 1)
        maps = (errors * weights).sum(dim=1, keepdim=True) / weights.sum()
        return Prediction(image_score(maps, top_share=self.scoring.top_share), maps)


def _exact(like: Tensor) -> torch.autocast:
    """Errors are sums over many pixels: only the network may compute in half precision."""
    return torch.autocast(like.device.type, enabled=False)
