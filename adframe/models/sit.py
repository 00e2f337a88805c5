"""SiT: masked reconstruction adapted to normal images (after Atito et al., arXiv 2104.03602)."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from adframe.contracts import IMAGE, INDEX, Batch, FeatureReader, Prediction
from adframe.errors import AdframeError, at_least
from adframe.models.contrastive_loss import Contrast
from adframe.models.decoder import TokenDecoder
from adframe.models.layers import blocks_at_quarters, check_blocks
from adframe.models.masking import FIXED_STEP, Masking
from adframe.models.normalizer import MIN_HELD_OUT, Normaliser
from adframe.models.reconstruction_targets import ColourTarget, PixelTarget, TokenTarget
from adframe.models.scoring import Scoring, image_score
from adframe.models.stitching import stitched_tokens
from adframe.models.vit import Vit, token_distance
from adframe.models.vit_maps import VitMaps
from adframe.ops.smoothing import heatmap

# Parts that training does not change.
SCORING_PARTS = ("normaliser", "starting")


class SiT(nn.Module):
    """Hides blocks of normal images, trains to reconstruct them, and scores by the reconstruction error.

    All tokens remain: hidden patches are replaced in the image itself, and there is no mask token. Only
    hidden pixels count, in training and in scoring. Masks of a training step depend on the seed, the step and
    the images only, so that a resumed run continues with the same losses.

    Args:
        vit: the network with its starting weights.
        scoring: configures the scores of masked images.
        mask_ratio: share of the patches hidden in training, in (0, 1).
        fill: content of hidden patches: `zeros` (the mean colour), `noise` (of unit variance), or `image`:
            another image's content in half of the images, zeros in the others. Scoring has no other image and
            then fills with zeros.
        target: `pixels`; `colour_tokens`; or `tokens`, those of the network before training.
        target_blocks: blocks whose tokens are reconstructed, counted from 0; None takes those at a half,
            three quarters and the end of the depth.
        gradient: weight of the gradient dissimilarity in the loss, for pixels.
        colours, cell: size of the palette, and side in pixels of an area with one colour, for colour tokens.
        contrastive: weight of the contrastive term; see `Contrast` for why it should be 0 or small.
        adapt: `all` layers, or the `decoder` only, on frozen features.
        seed: draws masks and noise.

    Raises:
        AdframeError: if a setting is not possible.

    Example:
        >>> model = SiT(Vit("test_vit", source="random"), scoring=Scoring(blocks=[1], normalisation="none"))
        >>> model(torch.rand(1, 3, 32, 32)).heatmap.shape
        torch.Size([1, 1, 32, 32])
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
        target: Literal["pixels", "colour_tokens", "tokens"] = "pixels",
        target_blocks: Sequence[int] | None = None,
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
        self.starting = (
            copy.deepcopy(vit).eval().requires_grad_(False)
            if target == "tokens" or (scoring.tokens and scoring.token_network == "starting")
            else None
        )
        self.target: PixelTarget | ColourTarget | TokenTarget
        if target == "tokens":
            assert self.starting is not None
            usual = blocks_at_quarters(vit.depth, (2, 3, 4))
            chosen = usual if target_blocks is None else list(target_blocks)
            check_blocks(chosen, depth=vit.depth, setting="model.target_blocks", name=vit.name)
            self.target = TokenTarget(self.starting, blocks=chosen)
        elif target == "pixels":
            self.target = PixelTarget(patch=vit.patch, gradient=gradient)
        else:
            self.target = ColourTarget(patch=vit.patch, colours=colours, cell=cell, seed=seed)
        if scoring.tokens and target == "tokens":
            raise AdframeError(
                "model.scoring.tokens compares reconstructed pixels by their tokens; set it to 0 with "
                "model.target=tokens: model.scoring.features is the weight of reconstructed tokens"
            )
        self.decoder = TokenDecoder(vit.width, side=self.target.side, channels=self.target.channels)
        self.weights = scoring.weights(self.target.terms)
        self.normaliser = Normaliser(scoring.normalisation, sigma=scoring.sigma)
        self.contrastive = contrastive
        self.contrast = Contrast(vit) if contrastive else None
        if adapt == "decoder":
            vit.requires_grad_(False)
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))  # of training

    @property
    def backbone(self) -> Vit:
        """Returns the network whose name a checkpoint stores; it is trained, not frozen."""
        return self.vit

    # Training

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Computes the losses of a training step.

        Args:
            batch: with `image` (B, 3, H, W) and `index` (B,).

        Returns:
            Losses by name, and `total`, their sum.
        """
        if self.contrast is not None and self.step:
            self.contrast.follow(self.vit)
        losses = self._losses(batch, step=int(self.step))
        self.step += 1
        return losses

    @torch.no_grad()
    def check(self, batch: Batch) -> dict[str, Tensor]:
        """Computes the losses of held-out images at fixed masks, to compare epochs.

        Args:
            batch: as for `loss`.

        Returns:
            Losses by name, and `total`.
        """
        return self._losses(batch, step=FIXED_STEP)

    def groups(self, *, weight_decay: float, layer_decay: float) -> list[dict[str, Any]]:
        """Returns parameter groups with `lr_scale`: smaller towards the input, 1 in the heads.

        Args:
            weight_decay: weight decay of matrices.
            layer_decay: factor of the rate from a block to the block below, in (0, 1].

        Returns:
            The groups.
        """
        heads = [*self.decoder.parameters(), *(self.contrast.head.parameters() if self.contrast else ())]
        groups = self.vit.groups(weight_decay=weight_decay, layer_decay=layer_decay)
        groups.append({"params": heads, "weight_decay": weight_decay, "lr_scale": 1.0})
        return [g | {"params": kept} for g in groups if (kept := [p for p in g["params"] if p.requires_grad])]

    def learned(self) -> dict[str, Tensor]:
        """Returns everything that training has changed."""
        return {name: t for name, t in self.state_dict().items() if name.split(".")[0] not in SCORING_PARTS}

    def load_learned(self, state: Mapping[str, Tensor]) -> None:
        """Restores trained parameters, also where scores are computed in another way.

        Args:
            state: result of `learned`.
        """
        own = {name: t for name, t in self.state_dict().items() if name.split(".")[0] in SCORING_PARTS}
        self.load_state_dict(own | dict(state), strict=True)

    @property
    def needs_preview(self) -> bool:
        """Tells whether it must see the training images once before training."""
        return isinstance(self.target, ColourTarget) and not self.target.palette.numel()

    def preview(self, image: Tensor) -> None:
        """Collects the colours of training images for the palette.

        Args:
            image: (B, 3, H, W) in [0, 1].
        """
        if isinstance(self.target, ColourTarget):
            self.target.preview(self.vit.normalise(image))

    def finalise_preview(self) -> None:
        """Fits the palette."""
        if isinstance(self.target, ColourTarget):
            self.target.finalise_preview()

    # Scoring

    @property
    def needs_held_out(self) -> bool:
        """Tells whether errors are scaled by held-out images."""
        return self.normaliser.kind != "none"

    @property
    def min_held_out(self) -> int:
        """Returns the number of held-out normal images that it requires."""
        return MIN_HELD_OUT if self.needs_held_out else 1

    @torch.no_grad()
    def collect_held_out(self, image: Tensor) -> None:
        """Collects the errors of held-out normal images.

        Args:
            image: (B, 3, H, W) in [0, 1].
        """
        self.normaliser.collect_held_out(self.errors(image))

    def finalise_held_out(self) -> None:
        """Fits the scales of errors."""
        self.normaliser.finalise_held_out()

    @torch.no_grad()
    def forward(self, image: Tensor) -> Prediction:
        """Scores images.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            Raw scores (B,) and heatmaps (B, 1, H, W).
        """
        return self._prediction(self.normaliser(self.errors(image)))

    @torch.no_grad()
    def score_leave_one_out(self, image: Tensor) -> Prediction:
        """Scores images that were collected, each without its own contribution.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            Raw scores (B,) and heatmaps (B, 1, H, W).
        """
        return self._prediction(self.normaliser.leaving_out(self.errors(image)))

    @torch.no_grad()
    def errors(self, image: Tensor) -> Tensor:
        """Computes smoothed reconstruction errors.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            (B, T, H, W), one map per entry of `weights`.
        """
        normal = self.vit.normalise(image)
        covers = self.scoring.covers(self.masking.grid(image))
        passes = [self._weighted_errors(rebuilt, normal) for rebuilt in self._rebuilt(normal, covers)]
        maps = torch.stack(passes).mean(0)
        size = (image.shape[-2], image.shape[-1])
        with _full_precision(image):
            return heatmap(maps.flatten(0, 1)[:, None], size=size, sigma=self.scoring.sigma).view_as(maps)

    @torch.no_grad()
    def picture(self, image: Tensor) -> dict[str, Tensor]:
        """Draws the reconstruction of images.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            Four pictures (B, 3, H, W) in [0, 1] by name.
        """
        normal = self.vit.normalise(image)
        hidden = self.masking.draw(normal, index=torch.arange(len(image)), step=FIXED_STEP)
        tokens = self.vit(self.masking.filled(normal, hidden, step=FIXED_STEP))
        rebuilt = self.decoder(self.vit.patches(tokens), grid=self.masking.grid(image))
        colours = self.target.picture(rebuilt.float())
        if (
            colours is None
        ):  # tokens have none: the picture shows the image, and the error where it was hidden
            shown, error = normal, self.target.errors(rebuilt.float(), normal, vit=self.vit)[0] * hidden
        else:
            shown = torch.where(hidden.bool(), colours, normal)
            error = (shown - normal).abs().mean(dim=1, keepdim=True)
        return {
            "input": image,
            "hidden": self.vit.restore(torch.where(hidden.bool(), 0.0, normal)),
            "rebuilt": self.vit.restore(shown),
            "error": (error / error.amax().clamp(min=1e-6)).expand(-1, 3, -1, -1),
        }

    def feature_reader(self) -> FeatureReader:
        """Returns the encoder, which sees the whole image without masks."""
        return VitMaps(self.vit)

    def facts(self) -> dict[str, float]:
        """Returns the number of trained parameters and of training steps so far."""
        learning = sum(p.numel() for p in self.parameters() if p.requires_grad)
        return {"parameters": learning, "steps": int(self.step)}

    def _losses(self, batch: Batch, *, step: int) -> dict[str, Tensor]:
        normal = self.vit.normalise(batch[IMAGE])
        hidden = self.masking.draw(normal, index=batch[INDEX], step=step)
        tokens = self.vit(self.masking.filled(normal, hidden, step=step))
        rebuilt = self.decoder(self.vit.patches(tokens), grid=self.masking.grid(normal)).float()
        with _full_precision(normal):
            losses = self.target.losses(rebuilt, normal, hidden=hidden, vit=self.vit)
        if self.contrast is not None:
            losses["contrast"] = self.contrastive * self.contrast(tokens[:, 0], normal)
        return losses | {"total": torch.stack(list(losses.values())).sum()}

    def _rebuilt(self, normal: Tensor, covers: list[Tensor]) -> list[Tensor]:
        """Reconstructs one map per cover; tokens are stitched, because the decoder treats each alone, and
        decoded once.
        """
        tokens = stitched_tokens(
            self.vit, normal, masking=self.masking, covers=covers, chunk=self.scoring.chunk
        )
        return [self.decoder(each, grid=self.masking.grid(normal)).float() for each in tokens]

    def _weighted_errors(self, rebuilt: Tensor, normal: Tensor) -> Tensor:
        """Returns the errors with a weight above 0, (B, T, H, W)."""
        with _full_precision(normal):
            errors = self.target.errors(rebuilt, normal, vit=self.vit)
        maps = dict(zip(self.target.terms, errors, strict=True))
        if "tokens" in self.weights:
            colours = self.target.picture(rebuilt)
            assert colours is not None
            network = self.starting or self.vit
            grid = token_distance(network, colours, normal, blocks=self.scoring.token_blocks)
            with _full_precision(normal):
                maps["tokens"] = heatmap(grid, size=(normal.shape[-2], normal.shape[-1]), sigma=0.0)
        return torch.cat([maps[name].float() for name in self.weights], dim=1)

    def _prediction(self, errors: Tensor) -> Prediction:
        """Averages (B, T, H, W) errors by their weights."""
        weights = errors.new_tensor(list(self.weights.values())).view(1, -1, 1, 1)
        maps = (errors * weights).sum(dim=1, keepdim=True) / weights.sum()
        return Prediction(image_score(maps, top_share=self.scoring.top_share), maps)


def _full_precision(like: Tensor) -> torch.autocast:
    """Disables autocast, because errors are sums over many pixels: only the network may use half
    precision.
    """
    return torch.autocast(like.device.type, enabled=False)
