"""Measures how well a method finds synthetic anomalies of a held-out family; no real defect is used."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from adframe.contracts import FAMILY, GEOMETRY, GOOD, IMAGE, LABEL, MASK, RECORD, REGIONS, Batch
from adframe.data.datamodule import AnomalyData
from adframe.metrics.image import image_metrics
from adframe.metrics.pixel import PixelMetrics
from adframe.ops.geometry import restore
from adframe.ops.regions import components
from adframe.systems.detection import DetectionSystem, heatmaps

_METRIC_NAMES = ("image/auroc", "pixel/auroc", "pixel/ap", "pixel/aupro_0.3", "pixel/aupro_0.05")


def synthetic_metrics(system: DetectionSystem, data: AnomalyData) -> dict[str, float]:
    """Measures held-out normal images, each without and with an anomaly of the held-out family.

    Pixel metrics refer to the frame in which the anomalies were drawn: the network's view, or the original
    frame (`synthesis.frame=original`).

    Args:
        system: the fitted model.
        data: its images, with the synthesis of anomalies.

    Returns:
        `synthetic/<metric>` -> value; {} where no anomalies are made.
    """
    if data.synthesis is None:
        return {}
    pixel, scores, labels = PixelMetrics(saturated=False), [], []
    pixel.keep_local()  # one process measures them
    system.detector.eval()
    with torch.no_grad():
        for batch in data.synthetic_dataloader("val"):
            prediction = system.detector(batch[IMAGE].to(system.device))
            scores += prediction.score.tolist()
            labels += [int(label) for label in batch[LABEL]]
            for place, heatmap in enumerate(heatmaps(prediction)):
                _measure_image(pixel, batch, place, heatmap)
    subsets = ["anomaly" if label else GOOD for label in labels]
    found = pixel.compute() | image_metrics(scores=scores, labels=labels, subsets=subsets, threshold=None)
    return {f"synthetic/{name}": found[name] for name in _METRIC_NAMES if name in found}


def _measure_image(pixel: PixelMetrics, batch: Batch, place: int, heatmap: np.ndarray) -> None:
    label, family = int(batch[LABEL][place]), batch[FAMILY][place]
    subset = "anomaly" if label else GOOD
    record = replace(batch[RECORD][place], label=label, subset=subset, defect=family, condition="")
    if batch[REGIONS] is not None:  # drawn in the original frame
        heatmap, regions = restore(heatmap, batch[GEOMETRY][place]), batch[REGIONS][place]
    else:
        regions = components(batch[MASK][place, 0].numpy() > 0)
    pixel.measure(record, heatmap=heatmap, regions=regions)
