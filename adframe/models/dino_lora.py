"""Adapts a transformer by LoRA on synthetic anomalies, and scores its tokens by head, Gaussian and memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Literal

import torch
from torch import Tensor, nn

from adframe.contracts import IMAGE, LABEL, MASK, Batch, FeatureReader, Prediction
from adframe.errors import AdframeError, above
from adframe.models.anomaly_heads import Bottlenecks, DenseHead, Guide, Loss, TokenHead, anomaly_losses
from adframe.models.layers import blocks_at_quarters, check_blocks
from adframe.models.lora import AnyVit, Lora, frozen_names, merged_weights, unadapted
from adframe.models.seeded_training import SeededTraining
from adframe.models.token_scores import TokenFeatures, TokenScores, TokenScoring

# Names of tensors that training does not change.
SCORING_PREFIX = "scores."


class DinoLora(SeededTraining):
    """A vision transformer adapted by LoRA to distinguish synthetic anomalies from normal images.

    It implements the plan of AnomalyVFM's study of MVTec AD 2, with adapters inside the attention, masks as
    targets, and the trained head in use. Epochs are compared on a family of anomalies that is not used for
    training; no real defect is seen before testing.

    Args:
        vit: the network with its starting weights; adapted in place.
        lora: configures the adapters.
        scoring: configures the scores of tokens.
        blocks: blocks whose patch tokens are used by heads and scores, counted from 0; null takes those at a
            half, three quarters and the end of the depth.
        head: `dense` or `token` (see `anomaly_heads`).
        loss: `focal_dice` or `confidence`.
        temperature: temperature of `confidence`, above 0.
        multi_scale: widths of bottlenecks after each block; empty adds none.
        guided: whether to weight patch tokens by the class token's attention.
        exports: whether to export the adapted network as a plain one, with the adapters merged.
        seed: seed of the coreset, and of the dropout in training.

    Raises:
        AdframeError: if a block does not exist or is named twice, or the temperature is not above 0.

    Example:
        >>> from adframe.models.token_scores import TokenScoring
        >>> from adframe.models.vit import Vit
        >>> scoring = TokenScoring(score="memory")
        >>> model = DinoLora(Vit("test_vit", source="random"), lora=Lora(rank=2), scoring=scoring)
        >>> model.collect(torch.rand(2, 3, 64, 64))
        >>> model.finalise()
        >>> model(torch.rand(1, 3, 64, 64)).heatmap.shape
        torch.Size([1, 1, 64, 64])
    """

    synthetic = True

    def __init__(
        self,
        vit: AnyVit,
        *,
        lora: Lora,
        scoring: TokenScoring,
        blocks: Sequence[int] | None = None,
        head: Literal["dense", "token"] = "dense",
        loss: Loss = "focal_dice",
        temperature: float = 1.0,
        multi_scale: Sequence[int] = (),
        guided: bool = False,
        exports: bool = False,
        seed: int = 42,
    ) -> None:
        # Only dropout depends on the step.
        super().__init__(seed=seed, stores_step=lora.dropout > 0)
        self.blocks = blocks_at_quarters(vit.depth, (2, 3, 4)) if blocks is None else list(blocks)
        check_blocks(self.blocks, depth=vit.depth, setting="model.blocks", name=vit.name)
        if not above(temperature, 0):
            raise AdframeError(f"model.temperature={temperature} must be above 0")
        lora.adapt(vit)
        self.vit, self.kind, self.temperature, self.exports = vit, loss, temperature, exports
        self.head: DenseHead | TokenHead = (
            DenseHead(vit.width, layers=len(self.blocks)) if head == "dense" else TokenHead(vit.width)
        )
        wide = [Bottlenecks(vit.width, sizes=multi_scale) for _ in self.blocks if multi_scale]
        self.bottlenecks = nn.ModuleList(wide)
        self.guide = Guide(vit.width) if guided else None
        self.scores = TokenScores(AdaptedReader(self), scoring=scoring, seed=seed)

    @property
    def backbone(self) -> AnyVit:
        """Returns the network whose name a checkpoint stores."""
        return self.vit

    @property
    def frozen(self) -> set[str]:
        """Returns the names of the tensors that come from the backbone's own weights."""
        return frozen_names(self.vit, prefix="vit.")

    # Training

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Computes the terms of the loss; those of held-out images are of a family of anomalies that is not
        trained on.

        Args:
            batch: with `image` (B, 3, H, W), `mask` (B, 1, H, W) and `label` (B,).

        Returns:
            Losses by name.
        """
        self.scores.reader.forget()
        logits = self.logits(self.tokens(batch[IMAGE]), grid=self.grid(batch[IMAGE]))
        with torch.autocast(logits.device.type, enabled=False):
            return anomaly_losses(
                logits.float(), mask=batch[MASK], label=batch[LABEL], kind=self.kind,
                temperature=self.temperature,
            )  # fmt: skip

    def learned(self) -> dict[str, Tensor]:
        """Returns everything that training has changed."""
        aside, state = self.frozen, self.state_dict()
        return {n: t for n, t in state.items() if n not in aside and not n.startswith(SCORING_PREFIX)}

    def load_learned(self, state: Mapping[str, Tensor]) -> None:
        """Restores trained parameters, also where scores are computed in another way.

        Args:
            state: result of `learned`.
        """
        self.scores.reader.forget()
        names = self.learned().keys()
        own = {name: t for name, t in self.state_dict().items() if name not in names}
        self.load_state_dict(own | dict(state), strict=True)

    def exported(self) -> dict[str, Tensor]:
        """Returns the network's tensors under their plain names, with the adapters merged."""
        return merged_weights(self.vit)

    # Normal images after learning

    @property
    def collects(self) -> bool:
        """Tells whether it collects the unchanged training images after training."""
        return self.scores.memory is not None

    def collect(self, image: Tensor) -> None:
        """Adds normal images to the memory bank.

        Args:
            image: (B, 3, H, W) in [0, 1].
        """
        self.collect_features(self.features(image))

    def features(self, image: Tensor) -> list[Tensor]:
        """Returns the feature maps (B, D, h, w) of images; [] where no memory bank is used.

        Args:
            image: (B, 3, H, W) in [0, 1].
        """
        return [] if self.scores.memory is None else self.scores.memory.features(image)

    def collect_features(self, found: list[Tensor]) -> None:
        """Adds normal images to the memory bank, as `collect`.

        Args:
            found: result of `features`.
        """
        if self.scores.memory is not None:
            self.scores.memory.collect_features(found)

    def finalise(self) -> None:
        """Fits the memory bank."""
        if self.scores.memory is not None:
            self.scores.memory.finalise()
            self.scores.memory.release()

    # Scoring

    @property
    def needs_held_out(self) -> bool:
        """Tells whether scores are scaled by held-out normal images."""
        return self.scores.needs_held_out

    @property
    def min_held_out(self) -> int:
        """Returns the number of held-out normal images that it requires."""
        return self.scores.min_held_out

    @torch.no_grad()
    def collect_held_out(self, image: Tensor) -> None:
        """Collects held-out normal images.

        Args:
            image: (B, 3, H, W) in [0, 1].
        """
        self.scores.collect_held_out(image)

    def finalise_held_out(self) -> bool:
        """Fits the scales; returns True where it must collect the images again."""
        return self.scores.finalise_held_out()

    @torch.no_grad()
    def forward(self, image: Tensor) -> Prediction:
        """Scores images.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            Raw scores (B,) and heatmaps (B, 1, H, W).
        """
        prediction: Prediction = self.scores(image)
        return prediction

    @torch.no_grad()
    def score_leave_one_out(self, image: Tensor) -> Prediction:
        """Scores images that were collected, each without its own contribution.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            Raw scores (B,) and heatmaps (B, 1, H, W).
        """
        return self.scores.score_leave_one_out(image)

    @torch.no_grad()
    def embeddings(self, image: Tensor) -> dict[str, Tensor]:
        """Computes class tokens of the network `before` and `after` it was adapted.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            (B, D) float32 by name.
        """
        # Scoring has just read the tokens of these images.
        return {
            "before": self.tokens(image, adapted=False)[0].float(),
            "after": self.scores.reader.read(image).whole,
        }

    @torch.no_grad()
    def token_maps(self, image: Tensor, *, adapted: bool) -> Tensor:
        """Computes the patch tokens of all chosen blocks, next to each other.

        Args:
            image: (B, 3, H, W) in [0, 1].
            adapted: whether to use the adapters.

        Returns:
            (B, D, h, w) float32.
        """
        found = [self.scored(patches) for patches in self.tokens(image, adapted=adapted)[1]]
        tokens = torch.cat(found, dim=2)
        return tokens.transpose(1, 2).reshape(len(image), -1, *self.grid(image))

    def feature_reader(self) -> FeatureReader:
        """Returns the adapted network as a feature reader."""
        return self.scores.reader

    def facts(self) -> dict[str, float]:
        """Returns the number of trained parameters, and the facts of the memory bank."""
        learning = sum(p.numel() for p in self._trained())
        memory = self.scores.memory
        return {"parameters": learning} | (memory.facts() if memory is not None else {})

    def grid(self, image: Tensor) -> tuple[int, int]:
        """Returns the number of patches down and across.

        Args:
            image: (B, 3, H, W).
        """
        return image.shape[-2] // self.vit.patch, image.shape[-1] // self.vit.patch

    def tokens(self, image: Tensor, *, adapted: bool = True) -> tuple[Tensor, list[Tensor]]:
        """Computes the tokens of images.

        Args:
            image: (B, 3, H, W) in [0, 1].
            adapted: whether to use the adapters.

        Returns:
            Class tokens (B, D), and patch tokens (B, N, D) of the chosen blocks.
        """
        with nullcontext() if adapted else unadapted(self.vit):
            final, found = self.vit.both(self.vit.normalise(image), blocks=self.blocks)
        if adapted and self.bottlenecks:
            found = [each(tokens) for each, tokens in zip(self.bottlenecks, found, strict=True)]
        return final[:, 0], found

    def scored(self, patches: Tensor) -> Tensor:
        """Returns patch tokens as the bank and the Gaussian take them.

        Args:
            patches: (B, N, D) after a block.

        Returns:
            (B, N, D) float32.
        """
        return (self.vit.final_norm(patches) if self.scores.scoring.norm else patches).float()

    def logits(self, tokens: tuple[Tensor, list[Tensor]], *, grid: tuple[int, int]) -> Tensor:
        """Applies the head.

        Args:
            tokens: result of `tokens`.
            grid: (h, w) in patches.

        Returns:
            (B, 1, h', w') logits.
        """
        whole, found = tokens
        if self.guide is not None:
            found = [self.guide(each, whole=whole) for each in found]
        logits: Tensor = self.head(found, grid=grid)
        return logits


class AdaptedReader:
    """Reads a batch once for all scores. It is not a module, so that no parameter is stored twice.

    Args:
        owner: the adapted model.

    Example:
        >>> from adframe.models.token_scores import TokenScoring
        >>> from adframe.models.vit import Vit
        >>> vit = Vit("test_vit", source="random")
        >>> reader = AdaptedReader(DinoLora(vit, lora=Lora(rank=2), scoring=TokenScoring()))
        >>> len(reader(torch.rand(1, 3, 64, 64))) == len(reader.layers)
        True
    """

    def __init__(self, owner: DinoLora) -> None:
        self._owner = (owner,)
        self.layers: Sequence[str] = [f"blocks.{block}" for block in owner.blocks]
        self._latest: tuple[Tensor, TokenFeatures] | None = None

    def read(self, image: Tensor) -> TokenFeatures:
        """Computes tokens and logits in float32, and keeps those of the last batch.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            The tokens and logits.
        """
        if self._latest is None or self._latest[0] is not image:
            (owner,) = self._owner
            grid, tokens = owner.grid(image), owner.tokens(image)
            logits = owner.logits(tokens, grid=grid).float()
            patches = [owner.scored(patches) for patches in tokens[1]]
            self._latest = (image, TokenFeatures(tokens[0].float(), patches, logits, grid))
        return self._latest[1]

    def forget(self) -> None:
        """Discards the tokens of the last batch, because the weights are about to change."""
        self._latest = None

    def __call__(self, image: Tensor) -> list[Tensor]:
        """Computes feature maps.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            Patch tokens as one (B, D, h, w) map per block.
        """
        seen = self.read(image)
        return [t.transpose(1, 2).reshape(len(image), -1, *seen.grid) for t in seen.patches]
