"""Collects the decisions about test images, and computes image metrics from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from adframe.contracts import Decision, Record
from adframe.io.processes import Processes
from adframe.metrics.image import decision_metrics, image_metrics
from adframe.stats.calibration_error import brier, calibration_error


@dataclass(slots=True)
class TestedImages:
    """The records and decisions of tested images; small, because it holds no heatmaps.

    Example:
        >>> from pathlib import Path
        >>> tested = TestedImages()
        >>> for score, label in ((0.1, 0), (0.9, 1)):
        ...     record = Record(Path("a.png"), category="c", split="test", label=label)
        ...     tested.add(record, decision=Decision(score=score, threshold=0.5))
        >>> tested.results(threshold=0.5)["image/auroc"]
        1.0
    """

    places: list[int] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)

    def add(self, record: Record, *, decision: Decision, place: int = 0) -> None:
        """Adds an image.

        Args:
            record: the image.
            decision: the decision about it.
            place: its position in the dataset, by which images of several processes are sorted.
        """
        self.places.append(place)
        self.records.append(record)
        self.decisions.append(decision)

    def merge(self, processes: Processes) -> None:
        """Adds the images of the other processes; all of them must call it.

        Args:
            processes: the processes that share the images.
        """
        if processes.count > 1:
            own = zip(self.records, self.decisions, strict=True)
            images = processes.in_order(zip(self.places, own, strict=True))
            self.records = [record for record, _ in images]
            self.decisions = [decision for _, decision in images]

    def results(self, *, threshold: float) -> dict[str, float]:
        """Computes all image metrics; those by zones and of probabilities where they exist.

        Args:
            threshold: calibrated threshold of image scores.

        Returns:
            Metrics by name.
        """
        labels = [record.label for record in self.records]
        table = image_metrics(
            scores=[decision.score for decision in self.decisions],
            labels=labels,
            subsets=[record.subset for record in self.records],
            conditions=[record.condition for record in self.records],
            reported=[bool(decision.reported) for decision in self.decisions],
            threshold=threshold,
        )
        by_zones, truth = _known_pairs([each.by_zones for each in self.decisions], labels)
        if len(by_zones):
            table |= {f"zones/{k}": v for k, v in decision_metrics(by_zones, labels=truth).items()}
        probabilities, truth = _known_pairs([each.probability for each in self.decisions], labels)
        if len(probabilities):
            table["image/ece"] = calibration_error(probabilities, truth)
            table["image/brier"] = brier(probabilities, truth)
        return table


def _known_pairs(values: Sequence[Any], labels: Sequence[int | None]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the values and labels (bool) of the images that have both."""
    pairs = [pair for pair in zip(values, labels, strict=True) if None not in pair]
    return np.array([value for value, _ in pairs]), np.array([bool(label) for _, label in pairs], dtype=bool)
