"""Collects the clearest correct decisions and the worst mistakes, and draws them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from adframe.callbacks.observer import TestObserver
from adframe.contracts import GEOMETRY, IMAGE, RECORD, REGIONS, Batch, Decision, Geometry, Record, Region
from adframe.errors import AdframeError
from adframe.io.processes import Processes
from adframe.ops.geometry import restore
from adframe.reporting.heatmaps import heatmap_tiles, write_picture


@dataclass(frozen=True, slots=True)
class Candidate:
    """A test image that may be drawn; kept at the network's size to save memory.

    Attributes:
        margin: distance from the threshold in raw score; negative for a mistake.
        record: the image.
        decision: the decision about it.
        image: (H, W, 3) uint8.
        heatmap: (h, w) float32.
        geometry: the network's view of the image.
        regions: its annotated defects.
    """

    margin: float
    record: Record
    decision: Decision
    image: np.ndarray
    heatmap: np.ndarray
    geometry: Geometry
    regions: list[Region]


class Gallery(TestObserver):
    """Selects images during a test and draws them afterwards; memory does not grow with the test set.

    Args:
        pictures: number of best and number of worst images; 0 keeps none. Half of the best images are normal
            and half anomalous, because otherwise all would be of one kind.
        width: width of one tile in pixels, 32 or more.

    Raises:
        AdframeError: if a number is out of range.

    Example:
        >>> Gallery(pictures=4, width=128).pictures
        4
    """

    def __init__(self, *, pictures: int = 12, width: int = 256) -> None:
        if pictures < 0 or width < 32:
            raise AdframeError(
                f"callbacks.gallery.pictures={pictures} must be 0 or more, "
                f"callbacks.gallery.width={width} 32 or more"
            )
        self.pictures, self.width = pictures, width
        self._worst: list[Candidate] = []
        self._best: dict[int, list[Candidate]] = {}

    def start(self) -> None:
        """Discards the candidates of earlier tests."""
        self._worst, self._best = [], {0: [], 1: []}

    def see(self, batch: Batch, outputs: dict[str, Any]) -> None:
        """Selects candidates of one batch.

        Args:
            batch: the batch.
            outputs: result of `DetectionSystem.test_step`.
        """
        for i, record in enumerate(batch[RECORD]):
            if record.label is not None and self.pictures:
                self._consider(_candidate(batch, i, outputs["maps"][i], outputs["decisions"][i]))

    def merge(self, processes: Processes) -> None:
        """Selects among the candidates of all processes.

        Args:
            processes: the processes that share the images.
        """
        own = {each.record.path: each for each in (*self._worst, *self._best[0], *self._best[1])}
        found = processes.in_order((each.record.place, each) for each in own.values())
        self.start()
        for candidate in found:
            self._consider(candidate)

    def write(
        self, run: Path, *, category: str, normal_median: float, normal_max: float
    ) -> list[dict[str, Any]]:
        """Draws the pictures and returns their index entries (see `results.gallery`).

        Args:
            run: the run's folder.
            category: name of the category.
            normal_median: median of the heatmap pixels of normal validation images, where the colour scale
                starts.
            normal_max: largest of those pixels, the middle of the colour scale; pixels above it are outlined.

        Returns:
            One entry per image.
        """
        worst = sorted(self._worst, key=lambda c: c.margin)
        shown = {c.record.path for c in worst}
        half = self.pictures // 2
        best = [
            c for label in (1, 0) for c in self._best[label][: half if label == 0 else self.pictures - half]
        ]
        best = sorted((c for c in best if c.record.path not in shown), key=lambda c: -c.margin)
        return [
            self._draw(
                run, candidate, category=category, kind=kind, rank=rank, scale=(normal_median, normal_max)
            )
            for kind, chosen in (("best", best), ("worst", worst))
            for rank, candidate in enumerate(chosen)
        ]

    def _consider(self, candidate: Candidate) -> None:
        label = int(candidate.record.label or 0)
        self._worst = sorted([*self._worst, candidate], key=lambda c: c.margin)[: self.pictures]
        self._best[label] = sorted([*self._best[label], candidate], key=lambda c: -c.margin)[: self.pictures]

    def _draw(
        self,
        run: Path,
        candidate: Candidate,
        *,
        category: str,
        kind: str,
        rank: int,
        scale: tuple[float, float],
    ) -> dict[str, Any]:
        tiles = heatmap_tiles(
            _to_original_frame(candidate.image, candidate.geometry),
            heatmap=restore(candidate.heatmap, candidate.geometry),
            regions=candidate.regions,
            threshold=scale[1],
            low=scale[0],
            high=2 * scale[1] - scale[0],
            width=self.width,
            inside=candidate.geometry.inside,
        )
        files = {name: Path("heatmaps", category, f"{kind}_{rank:02d}_{name}.jpg") for name in tiles}
        for name, tile in tiles.items():
            write_picture(run / files[name], tile)
        record, decision = candidate.record, candidate.decision
        return {
            "category": category,
            "kind": kind,
            "rank": rank,
            "tiles": {name: file.as_posix() for name, file in files.items()},
            "path": str(record.path),
            "defect": record.defect,
            "subset": record.subset,
            "label": record.label,
            "score": decision.score,
            "threshold": decision.threshold,
            "decision": decision.anomalous,
        }


def _candidate(batch: Batch, i: int, heatmap: np.ndarray, decision: Decision) -> Candidate:
    record: Record = batch[RECORD][i]
    side = 1 if record.label else -1
    # None where no image of the batch has ground truth.
    truths = batch[REGIONS]
    return Candidate(
        margin=side * (decision.score - decision.threshold),
        record=record,
        decision=decision,
        image=_to_uint8(batch[IMAGE][i]),
        # Not a view, which would keep the whole batch in memory.
        heatmap=heatmap.copy(),
        geometry=batch[GEOMETRY][i],
        # A single image may lack ground truth, too.
        regions=(truths[i] or []) if truths is not None else [],
    )


def _to_original_frame(image: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Maps the network's view (H, W, 3) uint8 to the original frame (H0, W0, 3) and cuts off its padding."""
    channels = [restore(channel, geometry) for channel in image.transpose(2, 0, 1).astype(np.float32)]
    return np.asarray(np.rint(np.stack(channels, axis=-1)), dtype=np.uint8)


def _to_uint8(image: Tensor) -> np.ndarray:
    """Converts (3, H, W) in [0, 1] to (H, W, 3) uint8."""
    return (image * 255).round().byte().permute(1, 2, 0).cpu().numpy()
