"""The torchmetrics shell around the pixel measures: one pass, no maps kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from adframe.contracts import GOOD, AdframeError, Region
from adframe.metrics.histogram import PixelHistograms, Tally
from adframe.metrics.packing import absorb, pack
from adframe.metrics.pixel_measures import (
    aupro,
    aupro_bound,
    auroc_bound,
    pixel_ap,
    pixel_auroc,
    pixel_f1_max,
    segmentation,
)
from adframe.metrics.subsets import own_line

Measure = Callable[[Tally], dict[str, float]]


class PixelMetrics(Metric):
    """All pixel metrics of a test set in one pass, without keeping a map.

    Works with torchmetrics' synchronisation: processes exchange filled bins, so that numbers are
    equal to the last digit however images are spread, ordered and batched.

    Args:
        limits: false-positive rates, in (0, 1], up to which AU-PRO is integrated.
        subsets: whether `compute` also reports subsets other than good and anomaly (LOCO: logical
            and structural), their names in front.
        max_bins: memory against accuracy; see `PixelHistograms`, and `bound` for what it cost.
        saturated: regions are LOCO channels, and AU-PRO is called AUC-sPRO.
        threshold: adds SegF1 and IoU of `score > threshold`, counted exactly. Where it is known only
            later, set the attribute and call `reset` before the first image.

    Raises:
        AdframeError: a limit outside (0, 1], or too few bins.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    packed: list[Tensor] | Tensor

    def __init__(
        self,
        *,
        limits: Sequence[float] = (0.3, 0.05),
        subsets: bool = True,
        max_bins: int = 131072,
        saturated: bool = False,
        threshold: float | None = None,
    ) -> None:
        super().__init__()
        if wrong := [limit for limit in limits if not 0 < limit <= 1]:
            raise AdframeError(f"metrics.limits of AU-PRO are false-positive rates in (0, 1], not {wrong}")
        self.limits = tuple(limits)
        self.subsets = subsets
        self.max_bins = max_bins
        self.saturated = saturated
        self.threshold = threshold
        self.add_state("packed", default=[], dist_reduce_fx="cat")
        self._histograms = self._empty()

    def update(
        self,
        *,
        heatmap: np.ndarray | Tensor,
        regions: list[Region],
        defect: str,
        subset: str,
        path: str,
    ) -> None:
        """Adds one image.

        Args:
            heatmap: (H, W) float32 raw scores in the original frame.
            regions: its annotated defects in the same frame; [] where it has none.
            defect: its defect type.
            subset: its subset; "good" images count as normal for every defect type and subset.
            path: the image, for messages.

        Raises:
            AdframeError: NaN or infinite scores, or a region outside the frame; names the path.
        """
        scores = heatmap.detach().float().cpu().numpy() if isinstance(heatmap, Tensor) else heatmap
        self._histograms.add(scores, regions=regions, group=(defect, subset), path=path)

    def compute(self) -> dict[str, float]:
        """The metrics over all images, and those of each subset with its name in front.

        A subset is judged against the good images. With `saturated` the plain AUC-sPRO is the mean
        of the subsets', as the official LOCO evaluation has it.
        """
        return self._table(self._scores)

    def bound(self) -> dict[str, float]:
        """The most that binning can have changed `compute`'s AUROC and AU-PRO, by their names."""
        with self._synced():
            return self._table(self._bounds)

    def per_defect(self) -> dict[str, dict[str, float]]:
        """The metrics of each defect type against the good images. All processes must call it."""
        with self._synced():
            histograms = self._merged()
            defects = sorted({defect for defect, subset in histograms.groups if subset != GOOD})
            return {defect: self._scores(_pick(histograms, defect=defect)) for defect in defects}

    def forward(self, *_: Any, **__: Any) -> None:
        """Refused: values of single batches would need a second state; call `update`, then `compute`."""
        raise NotImplementedError("PixelMetrics has no value per batch; call update, then compute")

    def reset(self) -> None:
        super().reset()
        self._histograms = self._empty()

    def sync(
        self,
        dist_sync_fn: Callable[..., Any] | None = None,
        process_group: Any | None = None,
        should_sync: bool = True,
        distributed_available: Callable[[], bool] | None = None,
    ) -> None:
        available = distributed_available or self.distributed_available_fn
        if should_sync and available is not None and available():
            self.packed = [torch.from_numpy(pack(self._histograms)).to(self.device)]
        super().sync(dist_sync_fn, process_group, should_sync, distributed_available)

    def _synced(self) -> Any:
        return self.sync_context(
            dist_sync_fn=self.dist_sync_fn, should_sync=self._to_sync, should_unsync=self._should_unsync
        )

    def _merged(self) -> PixelHistograms:
        """This process's sums, or all processes' while synchronised."""
        if not self._is_synced:
            return self._histograms
        merged = self._empty()
        absorb(merged, dim_zero_cat(self.packed).cpu().numpy())
        return merged

    def _empty(self) -> PixelHistograms:
        return PixelHistograms(max_bins=self.max_bins, threshold=self.threshold)

    def _table(self, measure: Measure) -> dict[str, float]:
        """A measure over all groups, and over each subset with the good images."""
        histograms = self._merged()
        names = own_line(subset for _, subset in histograms.groups)
        table = measure(histograms.tally(histograms.groups))
        parts = {name: measure(_pick(histograms, subset=name)) for name in names}
        if self.saturated and parts:
            for limit in self.limits:
                key = self._overlap_name(limit)
                table[key] = fmean(part[key] for part in parts.values())
        if self.subsets:
            table |= {f"{name}/{key}": value for name, part in parts.items() for key, value in part.items()}
        return table

    def _scores(self, tally: Tally) -> dict[str, float]:
        ranking = {
            "pixel/auroc": pixel_auroc(tally),
            "pixel/ap": pixel_ap(tally),
            "pixel/f1_max": pixel_f1_max(tally)[0],
        }
        overlaps = {self._overlap_name(limit): aupro(tally, limit=limit) for limit in self.limits}
        return ranking | overlaps | segmentation(tally)

    def _bounds(self, tally: Tally) -> dict[str, float]:
        overlaps = {self._overlap_name(limit): aupro_bound(tally, limit=limit) for limit in self.limits}
        return {"pixel/auroc": auroc_bound(tally)} | overlaps

    def _overlap_name(self, limit: float) -> str:
        return f"pixel/{'auspro' if self.saturated else 'aupro'}_{limit:g}"


def _pick(histograms: PixelHistograms, *, defect: str | None = None, subset: str | None = None) -> Tally:
    """The sum of a defect type's or a subset's groups and the good images."""
    return histograms.tally(
        key for key in histograms.groups if key[1] == GOOD or defect == key[0] or subset == key[1]
    )
