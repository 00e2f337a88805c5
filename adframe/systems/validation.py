"""Collects scores and pixels of validation images for calibration, one image at a time."""

from __future__ import annotations

import numpy as np

from adframe.calibration.calibrator import Calibrator, Zone
from adframe.calibration.rules import Sample
from adframe.contracts import GEOMETRY, GOOD, INDEX, RECORD, REGIONS, Batch, Record, Region
from adframe.io.processes import Processes
from adframe.metrics.histogram import PixelHistograms
from adframe.metrics.image import image_metrics
from adframe.metrics.packing import add_packed, pack_histograms
from adframe.ops.geometry import restore
from adframe.ops.regions import union
from adframe.ops.zones import peaks_of, zones_of


class Validation:
    """Collects image scores, and histograms of heatmap pixels in the original frame per zone.

    No heatmap is kept: memory does not grow with the number of images.

    Args:
        zones: number of zones per side of the grid.

    Example:
        >>> validation = Validation(zones=1)
        >>> validation.scores()
        {'normal': [], 'anomalous': []}
        >>> validation.parts()
        {}
    """

    def __init__(self, *, zones: int) -> None:
        self.grid = (zones, zones)
        self._places: list[int] = []  # in the dataset
        self._scores: list[float] = []
        self._labels: list[int] = []  # -1 for unknown
        self._records: list[Record] = []
        self._peaks: list[np.ndarray] = []
        self._pixels = PixelHistograms()

    def add(self, batch: Batch, *, scores: list[float], maps: list[np.ndarray]) -> None:
        """Adds a batch.

        Args:
            batch: the batch.
            scores: B raw scores.
            maps: B heatmaps (h, w).
        """
        truths = batch[REGIONS] or [None] * len(maps)
        for i, record in enumerate(batch[RECORD]):
            whole = restore(maps[i], batch[GEOMETRY][i])
            regions = [] if record.label == 0 else truths[i]
            self._places.append(int(batch[INDEX][i]))
            self._scores.append(scores[i])
            self._labels.append(-1 if record.label is None else record.label)
            self._records.append(record)
            self._peaks.append(peaks_of(whole, grid=self.grid))
            if regions is not None:
                inside = batch[GEOMETRY][i].inside
                self._count(whole, union(regions, whole.shape), path=str(record.path), within=inside)

    def merge(self, processes: Processes) -> None:
        """Adds what the other processes have collected; all of them must call it.

        Args:
            processes: the processes that share the images.
        """
        if processes.count == 1:
            return
        own = zip(self._scores, self._labels, self._records, self._peaks, strict=True)
        images = processes.in_order(zip(self._places, own, strict=True))
        self._scores = [image[0] for image in images]
        self._labels = [image[1] for image in images]
        self._records = [image[2] for image in images]
        self._peaks = [image[3] for image in images]
        packed = processes.gather(pack_histograms(self._pixels))
        self._pixels = PixelHistograms()
        add_packed(self._pixels, np.concatenate(packed))

    def fit(self, calibrator: Calibrator) -> None:
        """Fits a calibrator on everything that was added.

        Args:
            calibrator: the calibrator to fit.
        """
        histograms = self._pixels
        calibrator.fit(
            np.array(self._scores),
            np.array(self._labels),
            split="val",
            pixels={_zone_of_group(key): _pixel_sample(histograms, [key]) for key in histograms.groups},
            whole=_pixel_sample(histograms, list(histograms.groups)),
            peaks=np.array(self._peaks),
        )

    def facts(self) -> dict[str, float]:
        """Returns image AUROC and AP, where the split has normal and anomalous images."""
        pairs = zip(self._scores, self._labels, strict=True)
        known = [(score, label) for score, label in pairs if label >= 0]
        scores, labels = [score for score, _ in known], [label for _, label in known]
        if len(set(labels)) < 2:
            return {}
        subsets = ["anomaly" if label else GOOD for label in labels]
        found = image_metrics(scores=scores, labels=labels, subsets=subsets, threshold=None)
        return {name: found[name] for name in ("image/auroc", "image/ap")}

    def scores(self) -> dict[str, list[float]]:
        """Returns raw scores of labelled images under `normal` and `anomalous`."""
        pairs = list(zip(self._scores, self._labels, strict=True))
        return {
            name: [score for score, own in pairs if own == label]
            for name, label in (("normal", 0), ("anomalous", 1))
        }

    def parts(self) -> dict[str, list[list[float]]]:
        """Returns raw scores of normal images by category and part, the images of a part by their paths."""
        found: dict[str, dict[str, list[float]]] = {}
        images = zip(self._records, self._scores, self._labels, strict=True)
        for record, score, label in sorted(images, key=lambda image: str(image[0].path)):
            if label == 0:
                found.setdefault(record.category, {}).setdefault(record.unit, []).append(score)
        return {category: list(parts.values()) for category, parts in found.items()}

    def _count(
        self, scores: np.ndarray, defective: np.ndarray, *, path: str, within: np.ndarray | None
    ) -> None:
        for place, pixels in zones_of((scores.shape[0], scores.shape[1]), grid=self.grid):
            values, found = scores[pixels], defective[pixels]
            if within is not None:  # the order of pixels does not matter here, so that one row holds them
                own = within[pixels]
                if not own.any():
                    continue
                values, found = values[own][None], found[own][None]
            region = [Region(0, 0, found, float(found.sum()))] if found.any() else []
            self._pixels.add(values, regions=region, group=_group_of_zone(place), path=path)


def _group_of_zone(place: Zone) -> tuple[str, str, str]:
    return f"{place[0]},{place[1]}", GOOD, ""


def _zone_of_group(key: tuple[str, str, str]) -> Zone:
    row, column = key[0].split(",")
    return int(row), int(column)


def _pixel_sample(histograms: PixelHistograms, keys: list[tuple[str, str, str]]) -> Sample:
    """Returns the pixels of some zones as a sample.

    Where bins are wide, each pixel counts as the largest score of its bin, so that no threshold lets more
    normal pixels through than it states.
    """
    tally = histograms.tally(keys)
    return Sample(
        tally.highest[::-1].astype(np.float64), tally.normal[::-1].copy(), tally.anomalous[::-1].copy()
    )
