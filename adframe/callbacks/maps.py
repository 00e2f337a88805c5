"""Writes the anomaly map of every test image in the layout of the official evaluators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adframe.callbacks.observer import TestObserver
from adframe.contracts import RECORD, Batch
from adframe.errors import AdframeError
from adframe.io.anomaly_maps import HALF_MAX, StoredMap, map_paths, write_map
from adframe.io.processes import Processes

DTYPES = ("float16", "float32")
# With fewer distinct scores in a float16 map, rounding may change its ranking.
_MIN_DISTINCT = 256


class MapWriter(TestObserver):
    """Writes `<folder>/<category>/test/<good|defect folder>/<id>.tiff`, raw scores in the original frame.

    The scores are those that the pixel metrics rank. Rounding to float16 makes close scores equal but never
    reverses their order. The number of merged scores is counted, with a warning where it may affect a metric.

    Args:
        folder: folder of the maps; created with the first map.
        dtype: `float16` (half the size) or `float32` (full precision).

    Raises:
        AdframeError: if the dtype is another one.

    Example:
        >>> MapWriter(folder=Path("maps"), dtype="float32").facts()["files"]
        0
    """

    def __init__(self, *, folder: Path, dtype: str = "float16") -> None:
        if dtype not in DTYPES:
            raise AdframeError(f"callbacks.maps.dtype={dtype} is not possible; it must be float16 or float32")
        self.folder, self.dtype = folder, dtype
        self._stored: list[StoredMap] = []

    def start(self) -> None:
        """Discards the counts of earlier tests."""
        self._stored = []

    def see(self, batch: Batch, outputs: dict[str, Any]) -> None:
        """Writes the maps of one batch.

        Args:
            batch: the batch.
            outputs: result of `DetectionSystem.test_step`.
        """
        for record, scores in zip(batch[RECORD], outputs["frames"], strict=True):  # (H0, W0) each
            place = map_paths([record])[record.path]
            self._stored.append(write_map(self.folder / place, scores, dtype=self.dtype))

    def merge(self, processes: Processes) -> None:
        """Counts the maps of all processes.

        Args:
            processes: the processes that share the images.
        """
        self._stored = [each for own in processes.gather(self._stored) for each in own]

    def facts(self) -> dict[str, Any]:
        """Returns number and type of the maps since the test began, and the scores that rounding merged."""
        merged, total = sum(s.merged for s in self._stored), sum(s.before for s in self._stored)
        return {
            "files": len(self._stored),
            "dtype": self.dtype,
            "kept_float32": sum(s.dtype != self.dtype for s in self._stored),
            "scores_merged": merged,
            "share_merged": merged / max(total, 1),
        }

    def warnings(self) -> list[str]:
        """Returns warnings for readers of the maps; [] where rounding had no notable effect."""
        large = sum(s.dtype != self.dtype for s in self._stored)
        coarse = sum(s.merged > 0 and s.after < _MIN_DISTINCT for s in self._stored)
        lines = []
        if large:
            lines.append(f"{large} maps were kept in float32: scores beyond {HALF_MAX:.0f} overflow float16")
        if coarse:
            lines.append(
                f"float16 left fewer than {_MIN_DISTINCT} distinct scores in {coarse} of {len(self._stored)} "
                "maps; callbacks.maps.dtype=float32 keeps all of them"
            )
        return lines
