"""Writes every test image's anomaly map where the official evaluators look for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adframe.callbacks.observer import TestObserver
from adframe.contracts import RECORD, Batch
from adframe.errors import AdframeError
from adframe.io.anomaly_maps import HALF_MAX, StoredMap, map_paths, write_map

DTYPES = ("float16", "float32")
_FEW = 256  # different scores in a float16 map below which rounding may blur its ranking


class MapWriter(TestObserver):
    """`<folder>/<category>/test/<good|defect folder>/<id>.tiff`, raw scores in the original frame.

    The scores are those that the pixel metrics rank. Rounding to float16 makes close scores equal
    and turns no order round; how many became equal is counted, and a warning is kept where it may
    show in a metric.

    Args:
        folder: the maps' folder; made with the first map.
        dtype: `float16` (half the size) or `float32` (every bit of a score).

    Raises:
        AdframeError: another dtype.
    """

    def __init__(self, *, folder: Path, dtype: str = "float16") -> None:
        if dtype not in DTYPES:
            raise AdframeError(f"callbacks.maps.dtype={dtype} is not possible; it must be float16 or float32")
        self.folder, self.dtype = folder, dtype
        self._stored: list[StoredMap] = []

    def start(self) -> None:
        """Forgets earlier tests."""
        self._stored = []

    def see(self, batch: Batch, outputs: dict[str, Any]) -> None:
        """Takes in one batch."""
        for record, scores in zip(batch[RECORD], outputs["frames"], strict=True):  # (H0, W0) each
            place = map_paths([record])[record.path]
            self._stored.append(write_map(self.folder / place, scores, dtype=self.dtype))

    def facts(self) -> dict[str, Any]:
        """Of the maps written since the test began: their number, their type, and what rounding merged."""
        merged, total = sum(s.merged for s in self._stored), sum(s.before for s in self._stored)
        return {
            "files": len(self._stored),
            "dtype": self.dtype,
            "kept_float32": sum(s.dtype != self.dtype for s in self._stored),
            "scores_merged": merged,
            "share_merged": merged / max(total, 1),
        }

    def warnings(self) -> list[str]:
        """What a reader of the maps should know; [] where rounding cost nothing worth telling."""
        large = sum(s.dtype != self.dtype for s in self._stored)
        coarse = sum(s.merged > 0 and s.after < _FEW for s in self._stored)
        lines = []
        if large:
            lines.append(f"{large} maps were kept in float32: scores beyond {HALF_MAX:.0f} overflow float16")
        if coarse:
            lines.append(
                f"float16 left fewer than {_FEW} different scores in {coarse} of {len(self._stored)} maps; "
                "callbacks.maps.dtype=float32 keeps all of them"
            )
        return lines
