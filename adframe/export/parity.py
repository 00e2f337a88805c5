"""Compares a bundle with the run that it was made of: scores, maps, decisions, metrics, time and memory."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from adframe.contracts import GEOMETRY, IMAGE, RECORD, REGIONS, Geometry, Prediction, Record, Region
from adframe.errors import AdframeError
from adframe.metrics.image import image_metrics
from adframe.metrics.pixel import PixelMetrics
from adframe.ops.geometry import restore
from adframe.systems.detection import DetectionSystem, timed

VALIDATION, SYNTHETIC, TEST = "validation normals", "synthetic anomalies", "test images"


@dataclass
class Comparison:
    """What both forms of a model say about the same images.

    Attributes:
        name: which images: `VALIDATION`, `SYNTHETIC` or `TEST`.
        scores: raw scores, one pair (before, after) per image.
        map_difference: largest difference of any pixel of any heatmap.
        map_range: largest absolute value of the heatmaps before, to which it is compared.
        labels: 1 for anomalous images, 0 for normal ones, None where unknown.
        milliseconds: time of the network, one pair per image.
        pixels: pixel metrics (before, after), where the ground truth is known.
    """

    name: str
    scores: list[tuple[float, float]] = field(default_factory=list)
    map_difference: float = 0.0
    map_range: float = 0.0
    labels: list[int | None] = field(default_factory=list)
    milliseconds: list[tuple[float, float]] = field(default_factory=list)
    pixels: tuple[PixelMetrics, PixelMetrics] | None = None

    def add(
        self,
        before: DetectionSystem,
        after: DetectionSystem,
        image: Tensor,
        *,
        record: Record,
        geometry: Geometry,
        regions: list[Region] | None,
    ) -> None:
        """Lets both forms score an image.

        Args:
            before: the model of the run.
            after: the model of the bundle.
            image: (3, H, W) float32 in [0, 1].
            record: label and kind of defect.
            geometry: the place of the network's view in the image.
            regions: its annotated defects; None where unknown.
        """
        found: list[Prediction] = []
        spent = []
        with torch.inference_mode():
            for system in (before, after):
                prediction, seconds = timed(lambda system=system: system(image[None]))  # type: ignore[misc]
                found.append(prediction)
                spent.append(1000 * seconds)
        maps = [each.heatmap[0, 0].float().numpy() for each in found]
        self.scores.append((float(found[0].score[0]), float(found[1].score[0])))
        self.labels.append(record.label)
        self.milliseconds.append((spent[0], spent[1]))
        self.map_difference = max(self.map_difference, float(np.abs(maps[0] - maps[1]).max()))
        self.map_range = max(self.map_range, float(np.abs(maps[0]).max()))
        if regions is not None:
            self.pixels = self.pixels or (PixelMetrics(subsets=False), PixelMetrics(subsets=False))
            for metrics, heatmap in zip(self.pixels, maps, strict=True):
                metrics.measure(record, heatmap=restore(heatmap, geometry), regions=regions)

    def facts(self, *, threshold: float) -> dict[str, Any]:
        """Summarises the comparison.

        Args:
            threshold: threshold of image scores, the same for both.

        Returns:
            Plain values for JSON. `rank_correlation` is Spearman's; None for fewer than three images.
        """
        before, after = (np.array(column) for column in zip(*self.scores, strict=True))
        changed = [
            place for place, (one, two) in enumerate(self.scores) if (one > threshold) != (two > threshold)
        ]
        several = len(before) > 2 and len(set(before.tolist())) > 1 and len(set(after.tolist())) > 1
        facts: dict[str, Any] = {
            "images": len(before),
            "decisions_changed": len(changed),
            "largest_score_difference": float(np.abs(before - after).max()),
            "largest_score": float(np.abs(before).max()),
            "largest_map_difference": self.map_difference,
            "largest_map_value": self.map_range,
            "rank_correlation": float(spearmanr(before, after).statistic) if several else None,
        }
        return facts | self._metrics(before, after)

    def _metrics(self, before: np.ndarray, after: np.ndarray) -> dict[str, Any]:
        known = {label for label in self.labels if label is not None}
        if known != {0, 1} or None in self.labels:
            return {}
        subsets = ["anomaly" if label else "good" for label in self.labels]
        labels = [int(label or 0) for label in self.labels]
        image = [
            image_metrics(scores=scores.tolist(), labels=labels, subsets=subsets, threshold=None)
            for scores in (before, after)
        ]
        found: dict[str, Any] = {"image/auroc": [each["image/auroc"] for each in image]}
        if self.pixels is not None:
            pixel = [each.compute().get("pixel/auroc") for each in self.pixels]
            found["pixel/auroc"] = pixel
        return found


def compare_batches(
    name: str, batches: Iterable[Mapping[str, Any]], before: DetectionSystem, after: DetectionSystem
) -> Comparison | None:
    """Lets both forms of a model score images.

    Args:
        name: which images they are.
        batches: batches of a data module.
        before: the model of the run, on the CPU.
        after: the model of the bundle.

    Returns:
        The comparison; None without an image.
    """
    found = Comparison(name)
    for batch in batches:
        truths: Sequence[list[Region] | None] = batch[REGIONS] or [None] * len(batch[IMAGE])
        for image, record, geometry, regions in zip(
            batch[IMAGE], batch[RECORD], batch[GEOMETRY], truths, strict=True
        ):
            found.add(before, after, image, record=record, geometry=geometry, regions=regions)
    return found if found.scores else None


def latencies(comparisons: Sequence[Comparison]) -> dict[str, dict[str, float]]:
    """Summarises the times of the network, one image at a time.

    Args:
        comparisons: of all images; the first two of each are a warm-up and are left out.

    Returns:
        `before` and `after`, each with the median `p50` and the 95th percentile `p95` in milliseconds.
    """
    pairs = [pair for each in comparisons for pair in each.milliseconds[2:] or each.milliseconds]
    columns = np.array(pairs).T
    return {
        name: {"p50": float(np.percentile(column, 50)), "p95": float(np.percentile(column, 95))}
        for name, column in zip(("before", "after"), columns, strict=True)
    }


def run_measured(command: Sequence[str]) -> tuple[str, float | None, float]:
    """Runs a program and measures what it needs, from its start on.

    Args:
        command: the program and its arguments.

    Returns:
        What it printed, its largest resident memory in MiB (None where the system does not state it), and the
        seconds until its end.

    Raises:
        AdframeError: the program fails.
    """
    start, memory = time.perf_counter(), None
    with tempfile.TemporaryFile("w+") as errors, tempfile.TemporaryFile("w+") as printed:
        with subprocess.Popen(command, stdout=printed, stderr=errors) as process:
            # The largest memory that the system states after the end includes that of this process, which
            # started the program.
            while process.poll() is None:
                memory = _largest_memory(process.pid) or memory
                time.sleep(0.01)
        seconds = time.perf_counter() - start
        printed.seek(0)
        errors.seek(0)
        if process.returncode not in (0, 1):
            lines = errors.read().strip().splitlines() or [f"exit code {process.returncode}"]
            raise AdframeError(f"{' '.join(command[:3])} failed: {lines[-1]}")
        return printed.read(), memory, seconds


def _largest_memory(process: int) -> float | None:
    """Returns the largest resident memory of a running process so far in MiB; None where it is not stated."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return None
    stated = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(stated[0]) / 1024 if stated else None
