"""Accumulates all pixel metrics in one pass, as a torchmetrics metric that keeps no anomaly maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from adframe.contracts import GOOD, Record, Region
from adframe.errors import AdframeError
from adframe.io.processes import Processes
from adframe.metrics.histogram import PixelHistograms, Tally
from adframe.metrics.packing import add_packed, pack_histograms
from adframe.metrics.pixel_bootstrap import Resamples
from adframe.metrics.pixel_measures import (
    aupro,
    aupro_bound,
    auroc_bound,
    pixel_ap,
    pixel_auroc,
    pixel_f1_max,
    segmentation,
)
from adframe.metrics.subsets import ImageSelection, condition_selections, subset_selections
from adframe.ops.mask_postprocessing import MaskPostprocessing

MetricValue = TypeVar("MetricValue", float, np.ndarray)


class PixelMetrics(Metric):
    """Computes all pixel metrics of a test set in one pass, without keeping an anomaly map.

    It works with torchmetrics' synchronisation: processes exchange filled bins, so that the numbers are equal
    to the last digit however images are distributed, ordered and batched.

    Args:
        limits: false-positive rates, in (0, 1], up to which AU-PRO is integrated.
        subsets: whether `compute` also reports subsets other than good and anomaly (LOCO: logical and
            structural) and conditions (AD 2: lights), with their names as prefix.
        max_bins: largest number of histogram bins per group, a compromise between memory and accuracy; see
            `PixelHistograms`, and `bound` for the resulting error.
        saturated: whether regions are LOCO channels that saturate; AU-PRO is then named AUC-sPRO.
        threshold: adds SegF1 and IoU of `score > threshold`, counted exactly; None leaves them out. Where the
            threshold is known only later, set the attribute and call `reset` before the first image.

    The attribute `zone_thresholds` is set in the same way. It is (gh, gw), one threshold per zone of the
    frame (`ops.zones`), and adds `zones/pixel/segf1` and `zones/pixel/iou`. The attribute `masks`, too: it is
    the post-processing of the masks of which SegF1 and IoU are computed.

    Raises:
        AdframeError: if a limit is outside (0, 1], or there are too few bins.

    Example:
        >>> metrics = PixelMetrics(limits=(0.3,))
        >>> region = Region(top=0, left=0, mask=np.ones((1, 1), bool), saturation=1)
        >>> heatmap = np.float32([[0.9, 0.1], [0.2, 0.3]])
        >>> where = {"defect": "scratch", "subset": "anomaly", "path": "a.png"}
        >>> metrics.update(heatmap=heatmap, regions=[region], **where)
        >>> metrics.compute()["pixel/auroc"]
        1.0
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
        self.zone_thresholds: np.ndarray | None = None
        self.masks: MaskPostprocessing | None = None
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
        condition: str = "",
        group: str = "",
    ) -> None:
        """Adds one image.

        Args:
            heatmap: (H, W) float32 raw scores in the original frame.
            regions: its annotated defects in the same frame; [] where it has none.
            defect: its defect type.
            subset: its subset; images of "good" count as normal for every defect type and subset.
            path: path of the image, for messages, and so that resamples do not depend on the order of images.
            condition: its light condition; "" where unknown.
            group: images of one part share a group; "" for an image on its own.

        Raises:
            AdframeError: if the scores hold NaN or infinity, or a region lies outside the frame; the message
                has the path.
        """
        scores = heatmap.detach().float().cpu().numpy() if isinstance(heatmap, Tensor) else heatmap
        self._histograms.add(
            scores, regions=regions, group=(defect, subset, condition), path=path, part=group
        )

    def measure(self, record: Record, *, heatmap: np.ndarray, regions: list[Region] | None) -> None:
        """Adds one image by its record. Does nothing where `regions` is None, because the ground truth is
        unknown.

        Args:
            record: names the defect type, subset, condition, group and path.
            heatmap: as in `update`.
            regions: as in `update`, or None.

        Raises:
            AdframeError: as `update`.
        """
        if regions is not None:
            self.update(
                heatmap=heatmap,
                regions=regions,
                defect=record.defect,
                subset=record.subset,
                condition=record.condition,
                group=record.group,
                path=str(record.path),
            )

    def compute(self) -> dict[str, float]:
        """Computes the metrics over all images, and those of each subset and condition with its name as
        prefix.

        A subset is compared with the good images, a condition with the good images photographed in it. With
        `saturated` the AUC-sPRO without prefix is the mean over subsets, as in the official LOCO evaluation.
        """
        histograms = self._merged()
        return self._metric_table(
            histograms, lambda selection: self._metric_values(_tally_of(histograms, selection))
        )

    def bound(self) -> dict[str, float]:
        """Bounds the errors of the AUROC and AU-PRO of `compute` that are due to binning, by metric name."""
        with self._synced():
            histograms = self._merged()
            return self._metric_table(
                histograms, lambda selection: self._error_bounds(_tally_of(histograms, selection))
            )

    def per_defect(self) -> dict[str, dict[str, float]]:
        """Computes the metrics of each defect type against the good images. All processes must call it."""
        with self._synced():
            histograms = self._merged()
            defects = sorted({key[0] for key in histograms.groups if key[1] != GOOD})
            return {
                defect: self._metric_values(
                    histograms.tally(key for key in histograms.groups if key[1] == GOOD or key[0] == defect)
                )
                for defect in defects
            }

    def resampled(self, *, resamples: int = 1000, seed: int) -> dict[str, np.ndarray]:
        """Computes the metrics of `compute` on resampled images. All processes must call it.

        See `pixel_bootstrap` for the resampling and its accuracy. No pixel is read again.
        `bootstrap.interval` turns the values into percentile intervals.

        Args:
            resamples: number of resamples.
            seed: seed of the draws; `image_resampled` with the same seed and paths draws the same images.

        Returns:
            (resamples,) float64 by metric name.
        """
        with self._synced():
            histograms = self._merged()
            drawn = Resamples(histograms.sketches, resamples=resamples, seed=seed)
            return self._metric_table(
                histograms,
                lambda selection: drawn.measures(
                    selection,
                    tally=_tally_of(histograms, selection),
                    limits=self.limits,
                    overlap=self._overlap_name,
                ),
            )

    def forward(self, *_: Any, **__: Any) -> None:
        """Refuses to run, because values of single batches would need a second state."""
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
        """Packs the state before torchmetrics exchanges it; arguments are those of `Metric.sync`."""
        available = distributed_available or self.distributed_available_fn
        if should_sync and available is not None and available():
            self.packed = [torch.from_numpy(pack_histograms(self._histograms)).to(self.device)]
        super().sync(dist_sync_fn, process_group, should_sync, distributed_available)

    def merge(self, processes: Processes) -> None:
        """Adds the images of the other processes, once for all later results; all of them must call it.

        Args:
            processes: the processes that share the images.
        """
        if processes.count > 1:
            packed = processes.gather(pack_histograms(self._histograms))
            self._histograms = self._empty()
            add_packed(self._histograms, np.concatenate(packed))
            self.keep_local()

    def keep_local(self) -> None:
        """Leaves the images of other processes out of later results, or those that were merged already."""
        self.sync_on_compute = self._to_sync = False

    def _synced(self) -> Any:
        return self.sync_context(
            dist_sync_fn=self.dist_sync_fn, should_sync=self._to_sync, should_unsync=self._should_unsync
        )

    def _merged(self) -> PixelHistograms:
        """Returns the sums of this process, or of all processes while synchronised."""
        if not self._is_synced:
            return self._histograms
        merged = self._empty()
        add_packed(merged, dim_zero_cat(self.packed).cpu().numpy())
        return merged

    def _empty(self) -> PixelHistograms:
        return PixelHistograms(
            max_bins=self.max_bins,
            threshold=self.threshold,
            zone_thresholds=self.zone_thresholds,
            masks=self.masks,
            sketching=True,
        )

    def _metric_table(
        self, histograms: PixelHistograms, measure: Callable[[ImageSelection], dict[str, MetricValue]]
    ) -> dict[str, MetricValue]:
        """Applies `measure` to all images, then to each selection."""
        table = measure(ImageSelection())
        subsets = subset_selections(key[1] for key in histograms.groups)
        parts = {selection: measure(selection) for selection in subsets if self.subsets or self.saturated}
        if self.saturated and parts:
            for limit in self.limits:
                key = f"{self._overlap_name}_{limit:g}"
                table[key] = reduce(add, [part[key] for part in parts.values()]) / len(parts)
        if not self.subsets:
            return table
        conditions = condition_selections(key[2] for key in histograms.groups)
        parts |= {selection: measure(selection) for selection in conditions}
        for selection, part in parts.items():
            table |= selection.prefix_keys(part)
        return table

    def _metric_values(self, tally: Tally) -> dict[str, float]:
        ranking = {
            "pixel/auroc": pixel_auroc(tally),
            "pixel/ap": pixel_ap(tally),
            "pixel/f1_max": pixel_f1_max(tally)[0],
        }
        overlaps = {f"{self._overlap_name}_{limit:g}": aupro(tally, limit=limit) for limit in self.limits}
        return ranking | overlaps | segmentation(tally)

    def _error_bounds(self, tally: Tally) -> dict[str, float]:
        overlaps = {
            f"{self._overlap_name}_{limit:g}": aupro_bound(tally, limit=limit) for limit in self.limits
        }
        return {"pixel/auroc": auroc_bound(tally)} | overlaps

    @property
    def _overlap_name(self) -> str:
        return "pixel/auspro" if self.saturated else "pixel/aupro"


def _tally_of(histograms: PixelHistograms, selection: ImageSelection) -> Tally:
    return histograms.tally(
        key for key in histograms.groups if selection.includes(subset=key[1], condition=key[2])
    )
