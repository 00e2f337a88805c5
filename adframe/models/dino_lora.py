"""A transformer adapted by LoRA on synthetic anomalies; its tokens scored by head, Gaussian and memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn

from adframe.contracts import IMAGE, LABEL, MASK, Batch, FeatureReader, Prediction
from adframe.errors import AdframeError, above
from adframe.models.anomaly_heads import Bottlenecks, DenseHead, Guide, Loss, TokenHead, anomaly_losses
from adframe.models.lora import AnyVit, Lora, frozen_names, merged, unadapted
from adframe.models.token_scores import Seen, TokenScores, TokenScoring

SCORING = "scores."  # what no training changes


class DinoLora(nn.Module):
    """A vision transformer adapted by LoRA to tell synthetic anomalies from normal images.

    What AnomalyVFM's study of MVTec AD 2 set out to do, with adapters inside the attention, masks to
    learn from, and the trained head in use. Epochs are compared on a family of anomalies that was
    never trained on; no real defect is seen before testing.

    Args:
        vit: the network with its starting weights; adapted in place.
        lora: what is adapted.
        scoring: from tokens to a score.
        blocks: whose patch tokens heads and scores read, counted from 0; null: at a half, three
            quarters and the end of the depth.
        head: `dense` or `token` (see `anomaly_heads`).
        loss: `focal_dice` or `confidence`.
        temperature: of `confidence`.
        multi_scale: widths of bottlenecks behind each block; none where empty.
        guided: weighs patch tokens by the class token's attention.
        exports: leaves the adapted network behind as a plain one, adapters added in.
        seed: of the coreset.
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
        super().__init__()
        self.blocks = [vit.depth * q // 4 - 1 for q in (2, 3, 4)] if blocks is None else list(blocks)
        if (
            not self.blocks
            or not all(0 <= block < vit.depth for block in self.blocks)
            or not above(temperature, 0)
        ):
            raise AdframeError(
                f"model.blocks={self.blocks} must name blocks from 0 to {vit.depth - 1} of {vit.name}, "
                f"model.temperature={temperature} must be above 0"
            )
        lora.adapt(vit)
        self.vit, self.kind, self.temperature, self.exports = vit, loss, temperature, exports
        self.head: DenseHead | TokenHead = (
            DenseHead(vit.width, layers=len(self.blocks)) if head == "dense" else TokenHead(vit.width)
        )
        wide = [Bottlenecks(vit.width, sizes=multi_scale) for _ in self.blocks if multi_scale]
        self.bottlenecks = nn.ModuleList(wide)
        self.guide = Guide(vit.width) if guided else None
        self.scores = TokenScores(Adapted(self), scoring=scoring, seed=seed)

    @property
    def backbone(self) -> AnyVit:
        """What a checkpoint names."""
        return self.vit

    @property
    def frozen(self) -> set[str]:
        """Names of the tensors that come from the backbone's own weights."""
        return frozen_names(self.vit, prefix="vit.")

    # Learning

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Named terms of a step on `image` (B, 3, H, W), `mask` (B, 1, H, W), `label` (B,); and `total`."""
        self.scores.reader.forget()
        logits = self.logits(self.tokens(batch[IMAGE]), grid=self.grid(batch[IMAGE]))
        with torch.autocast(logits.device.type, enabled=False):
            terms = anomaly_losses(
                logits.float(), mask=batch[MASK], label=batch[LABEL], kind=self.kind,
                temperature=self.temperature,
            )  # fmt: skip
        return terms | {"total": torch.stack(list(terms.values())).sum()}

    @torch.no_grad()
    def check(self, batch: Batch) -> dict[str, Tensor]:
        """The same on held-out images, whose anomalies are of the held-out family and do not change."""
        return self.loss(batch)

    def groups(self, *, weight_decay: float, layer_decay: float) -> list[dict[str, Any]]:
        """One group: adapters and heads are new, all learn at one rate."""
        del layer_decay
        learning = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return [{"params": learning, "weight_decay": weight_decay, "lr_scale": 1.0}]

    def learned(self) -> dict[str, Tensor]:
        """All that training has changed."""
        aside, state = self.frozen, self.state_dict()
        return {n: t for n, t in state.items() if n not in aside and not n.startswith(SCORING)}

    def load_learned(self, state: Mapping[str, Tensor]) -> None:
        """Takes it back, also where scores are made in another way."""
        self.scores.reader.forget()
        names = self.learned().keys()
        own = {name: t for name, t in self.state_dict().items() if name not in names}
        self.load_state_dict(own | dict(state), strict=True)

    def exported(self) -> dict[str, Tensor]:
        """The network's tensors under their plain names, adapters added in."""
        return merged(self.vit)

    # Normal images after learning

    @property
    def collects(self) -> bool:
        """Whether it wants the training images once more, as they are, after it has learned."""
        return self.scores.memory is not None

    def collect(self, image: Tensor) -> None:
        """Takes normal images (B, 3, H, W) into the memory bank."""
        if self.scores.memory is not None:
            self.scores.memory.collect(image)

    def finalise(self) -> None:
        """Makes the bank."""
        if self.scores.memory is not None:
            self.scores.memory.finalise()
            self.scores.memory.release()

    # Scoring

    @property
    def needs_held_out(self) -> bool:
        """Whether held-out normal images say what is usual."""
        return self.scores.needs_held_out

    @property
    def min_held_out(self) -> int:
        """Held-out normal images that it needs."""
        return self.scores.min_held_out

    @torch.no_grad()
    def collect_held_out(self, image: Tensor) -> None:
        """Takes held-out normal images (B, 3, H, W) in."""
        self.scores.collect_held_out(image)

    def finalise_held_out(self) -> bool:
        """Fixes what was observed; true where it wants to see the images again."""
        return self.scores.finalise_held_out()

    @torch.no_grad()
    def forward(self, image: Tensor) -> Prediction:
        """(B, 3, H, W) in [0, 1] to raw scores (B,) and heatmaps (B, 1, H, W)."""
        said: Prediction = self.scores(image)
        return said

    @torch.no_grad()
    def score_leave_one_out(self, image: Tensor) -> Prediction:
        """The same for images that were observed, each left out of what it is compared with."""
        return self.scores.score_leave_one_out(image)

    @torch.no_grad()
    def embeddings(self, image: Tensor) -> dict[str, Tensor]:
        """Class tokens (B, D) of images (B, 3, H, W): of the network `before` it was adapted, and `after`."""
        # What has just scored the images has read their tokens already.
        return {
            "before": self.tokens(image, adapted=False)[0].float(),
            "after": self.scores.reader.read(image).whole,
        }

    def feature_reader(self) -> FeatureReader:
        """The adapted network."""
        return self.scores.reader

    def facts(self) -> dict[str, float]:
        """Parameters that learn, and what the bank holds."""
        learning = sum(p.numel() for p in self.parameters() if p.requires_grad)
        memory = self.scores.memory
        return {"parameters": learning} | (memory.facts() if memory is not None else {})

    def grid(self, image: Tensor) -> tuple[int, int]:
        """Patches down and across."""
        return image.shape[-2] // self.vit.patch, image.shape[-1] // self.vit.patch

    def tokens(self, image: Tensor, *, adapted: bool = True) -> tuple[Tensor, list[Tensor]]:
        """Class token (B, D) and patch tokens (B, N, D) of the chosen blocks; as they were if not adapted."""
        with nullcontext() if adapted else unadapted(self.vit):
            final, found = self.vit.both(self.vit.normalise(image), blocks=self.blocks)
        if adapted and self.bottlenecks:
            found = [each(tokens) for each, tokens in zip(self.bottlenecks, found, strict=True)]
        return final[:, 0], found

    def logits(self, tokens: tuple[Tensor, list[Tensor]], *, grid: tuple[int, int]) -> Tensor:
        """The head's map (B, 1, h', w') of what `tokens` gave."""
        whole, found = tokens
        if self.guide is not None:
            found = [self.guide(each, whole=whole) for each in found]
        logits: Tensor = self.head(found, grid=grid)
        return logits


class Adapted:
    """Reads a batch once for all scores; no module, so that nothing is stored twice."""

    def __init__(self, owner: DinoLora) -> None:
        self._owner = (owner,)
        self.layers: Sequence[str] = [f"blocks.{block}" for block in owner.blocks]
        self._latest: tuple[Tensor, Seen] | None = None

    def read(self, image: Tensor) -> Seen:
        """Tokens and logits, float32."""
        if self._latest is None or self._latest[0] is not image:
            (owner,) = self._owner
            grid, tokens = owner.grid(image), owner.tokens(image)
            logits = owner.logits(tokens, grid=grid).float()
            self._latest = image, Seen(tokens[0].float(), [t.float() for t in tokens[1]], logits, grid)
        return self._latest[1]

    def forget(self) -> None:
        """What was read of the last batch: the weights are about to change."""
        self._latest = None

    def __call__(self, image: Tensor) -> list[Tensor]:
        """Patch tokens as one (B, D, h, w) map a block."""
        seen = self.read(image)
        return [t.transpose(1, 2).reshape(len(image), -1, *seen.grid) for t in seen.patches]
