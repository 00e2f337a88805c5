"""PatchCore (Roth et al., Towards Total Recall in Industrial Anomaly Detection, CVPR 2022)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adframe.contracts import FeatureReader, Prediction
from adframe.errors import AdframeError, at_least
from adframe.io.feature_cache import Store
from adframe.models.backbones import TimmBackbone
from adframe.models.cached_backbone import with_store
from adframe.models.fusion import Concat
from adframe.models.memory import Greedy, Memory
from adframe.models.named_backbones import create_backbone
from adframe.models.patch_memory import PatchMemory, Settings
from adframe.models.robust import checked_robust
from adframe.ops.coreset_search import CoresetProgress
from adframe.ops.patches import Border
from adframe.ops.smoothing import heatmap


class PatchCore(nn.Module):
    """Scores an image by the largest distance of its patches to a memory bank of normal patches.

    Call `collect` with every normal image, then `finalise` and `release`; after that the module maps images
    to predictions. Collected features wait on disk, so that process memory grows with the bank and not with
    the number of training images. `ExtendedPatchCore` has what goes beyond the paper.

    Args:
        backbone: Network that gives the feature maps, or a name for `create_backbone`. All its layers are
            interpolated to the finest grid and concatenated.
        coreset: Share of the patches that the memory bank keeps, in (0, 1].
        memory: Makes an empty memory (see `models.memory`), which chooses what the bank keeps. None takes
            the greedy coreset.
        neighbourhood: Odd side of the window over which features are averaged, in patches; 3 in the paper.
        border: What this window counts beyond the feature map (see `ops.patches.patch_grid`).
        projection: Width of the random projection in which the coreset is selected. None selects in the
            full width. The bank itself always keeps the full features.
        neighbours: Number of bank rows of the re-weighting (b in the paper's equation 7; 9 in anomalib).
            1 turns it off: the score is the largest distance, as in the authors' released code.
        sigma: Standard deviation of the Gaussian that smooths the heatmap, in pixels of the network's input.
        limit_mb: Largest size of a distance matrix, in MiB.
        seed: Draws the random projection and the first pick of the coreset.
        spool: Folder for collected features; the system's temporary folder if None.
        store: Cache that keeps features and coreset selections for later runs; None caches nothing.
        robust: Leaves training images out that the others do not explain (see `systems.screening`): the
            number of scaled median absolute deviations above the median. None leaves none out.

    Raises:
        AdframeError: An argument is outside its range, or the weights of a named backbone are unavailable.

    Example:
        >>> model = PatchCore("efficientnet_lite0", coreset=0.5)
        >>> model.collect(torch.rand(4, 3, 64, 64))
        >>> model.finalise()
        >>> prediction = model(torch.rand(2, 3, 64, 64))
        >>> prediction.score.shape, prediction.heatmap.shape
        (torch.Size([2]), torch.Size([2, 1, 64, 64]))
    """

    def __init__(
        self,
        backbone: TimmBackbone | str,
        *,
        coreset: float,
        memory: Callable[[], Memory] = Greedy,
        neighbourhood: int = 3,
        border: Border = "zeros",
        projection: int | None = None,
        neighbours: int = 1,
        sigma: float = 4.0,
        limit_mb: int = 256,
        seed: int = 42,
        spool: str | Path | None = None,
        store: Store | None = None,
        robust: float | None = None,
    ) -> None:
        super().__init__()
        self.robust = checked_robust(robust)
        if not at_least(sigma, 0):
            raise AdframeError(f"model.sigma={sigma} must be a finite number, 0 or more")
        self.settings = Settings(
            coreset=coreset,
            neighbourhood=neighbourhood,
            border=border,
            projection=projection,
            neighbours=neighbours,
            limit_mb=limit_mb,
            seed=seed,
            spool=None if spool is None else Path(spool),
            store=store,
        )
        backbone = create_backbone(backbone) if isinstance(backbone, str) else backbone
        self.backbone = with_store(backbone, store)
        every_layer = range(len(backbone.layers))
        self.memory = PatchMemory(memory(), layers=every_layer, fusion=Concat(), settings=self.settings)
        self.sigma = sigma
        # Called with (picked, to pick) while a coreset is selected.
        self.progress: CoresetProgress | None = None
        self.register_load_state_dict_pre_hook(_accept_older_names)  # type: ignore[no-untyped-call]

    def collect(self, image: Tensor) -> None:
        """Adds the patches of normal images to those that the memory bank is chosen from.

        Args:
            image: (B, 3, H, W) float32 in [0, 1].
        """
        self.collect_features(self.features(image))

    def features(self, image: Tensor) -> list[Tensor]:
        """Returns the feature maps (B, C_i, h_i, w_i) of images.

        Args:
            image: (B, 3, H, W) float32 in [0, 1].
        """
        maps: list[Tensor] = self.backbone(image)
        return maps

    def collect_features(self, found: list[Tensor]) -> None:
        """Adds the patches of normal images, as `collect`.

        Args:
            found: result of `features`.
        """
        self.memory.collect(found)

    def leave_one_out_scores(self) -> Tensor:
        """Returns (N,), the largest distance of each collected image's patches to those of the others."""
        return self.memory.leave_one_out_scores()

    def keep(self, images: Tensor) -> None:
        """Forgets images, as if only the others had been collected.

        Args:
            images: (N,) bool, True for those that stay.
        """
        self.memory.keep(images)

    def reopen(self) -> str:
        """Makes a fitted model ready to collect more images, whose patches `finalise` adds to the bank.

        Returns:
            How exact the result is.

        Raises:
            AdframeError: the memory cannot be extended.
        """
        return self.memory.reopen()

    def finalise(self) -> None:
        """Selects the memory bank from all patches that were collected."""
        self.memory.finalise(progress=self.progress)

    def release(self) -> None:
        """Frees the disk space of the collected features; `collect` and `finalise` end with it."""
        self.memory.release()

    @torch.no_grad()
    def forward(self, image: Tensor) -> Prediction:
        """Scores images.

        Args:
            image: (B, 3, H, W) float32 in [0, 1].

        Returns:
            Raw scores (B,) and heatmaps (B, 1, H, W).

        Raises:
            RuntimeError: The memory bank is empty.
        """
        distances, weight = self.memory.score(self.backbone(image))
        smooth = heatmap(distances, size=(image.shape[-2], image.shape[-1]), sigma=self.sigma)
        return Prediction(distances.amax((1, 2, 3)) * weight, smooth)

    def feature_reader(self) -> FeatureReader:
        """The backbone with its cache, which gives the feature maps before they are averaged."""
        return self.backbone

    def facts(self) -> dict[str, float]:
        """Size of the memory: see `PatchMemory.facts`."""
        return self.memory.facts()


def _accept_older_names(_: nn.Module, state: dict[str, Any], prefix: str, *__: Any) -> None:
    # Releases whose PatchCore held a list of memories wrote `memories.0.` where `memory.` is read now.
    older = f"{prefix}memories.0."
    for name in [name for name in state if name.startswith(older)]:
        state[f"{prefix}memory.{name.removeprefix(older)}"] = state.pop(name)
