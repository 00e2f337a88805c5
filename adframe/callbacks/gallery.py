"""Keeps the clearest successes and the worst mistakes, as pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from adframe.callbacks.observer import TestObserver
from adframe.contracts import GEOMETRY, IMAGE, RECORD, REGIONS, Batch, Decision, Geometry, Record, Region
from adframe.errors import AdframeError
from adframe.ops.geometry import restore
from adframe.reporting.heatmaps import heatmap_tiles, write_picture


@dataclass(frozen=True, slots=True)
class Candidate:
    """A test image that may become a picture; held at the network's size, so it is small."""

    margin: float  # how far on the right side of the threshold, in raw score; negative: a mistake
    record: Record
    decision: Decision
    image: np.ndarray  # (H, W, 3) uint8
    heatmap: np.ndarray  # (h, w) float32
    geometry: Geometry
    regions: list[Region]


class Gallery(TestObserver):
    """Picks while testing, draws afterwards; its memory does not grow with the test set.

    Args:
        pictures: how many best and how many worst images to keep; 0 keeps none. The best are half
            normal and half anomalous, or they would all be of one kind.
        width: width of one tile in pixels.
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
        """Forgets earlier tests."""
        self._worst, self._best = [], {0: [], 1: []}

    def see(self, batch: Batch, outputs: dict[str, Any]) -> None:
        """Takes in one batch of test images."""
        for i, record in enumerate(batch[RECORD]):
            if record.label is not None and self.pictures:
                self._offer(_candidate(batch, i, outputs["maps"][i], outputs["decisions"][i]))

    def write(
        self, run: Path, *, category: str, normal_median: float, normal_max: float
    ) -> list[dict[str, Any]]:
        """Draws the pictures and returns their index entries (see `results.gallery`).

        Args:
            run: the run's folder.
            category: whose pictures these are.
            normal_median: of the heatmap pixels of normal validation images: the colours start here.
            normal_max: the highest of those pixels: it is the middle of the colour scale, and what lies
                above it is outlined.
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

    def _offer(self, candidate: Candidate) -> None:
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
            _in_frame(candidate.image, candidate.geometry),
            heatmap=restore(candidate.heatmap, candidate.geometry),
            regions=candidate.regions,
            threshold=scale[1],
            low=scale[0],
            high=2 * scale[1] - scale[0],
            width=self.width,
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
    truths = batch[REGIONS]  # None where nobody in the batch is annotated
    return Candidate(
        margin=side * (decision.score - decision.threshold),
        record=record,
        decision=decision,
        image=_as_bytes(batch[IMAGE][i]),
        heatmap=heatmap.copy(),  # not a view, which would keep the whole batch alive
        geometry=batch[GEOMETRY][i],
        regions=(truths[i] or []) if truths is not None else [],  # this one may not be either
    )


def _in_frame(image: np.ndarray, geometry: Geometry) -> np.ndarray:
    """(H, W, 3) uint8, the network's view, to (H0, W0, 3): what was repeated around it is cut off again."""
    channels = [restore(channel, geometry) for channel in image.transpose(2, 0, 1).astype(np.float32)]
    return np.asarray(np.rint(np.stack(channels, axis=-1)), dtype=np.uint8)


def _as_bytes(image: Tensor) -> np.ndarray:
    """(3, H, W) in [0, 1] to (H, W, 3) uint8."""
    return (image * 255).round().byte().permute(1, 2, 0).cpu().numpy()
