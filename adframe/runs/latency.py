"""Measures a fitted model's latency where the recipe asks for it."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor
from torch.utils.data import DataLoader

from adframe.contracts import IMAGE
from adframe.data.datamodule import AnomalyData
from adframe.runs.recipe import Recipe
from adframe.systems.detection import DetectionSystem


def latency_facts(recipe: Recipe, system: DetectionSystem, data: AnomalyData) -> dict[str, float]:
    """Measures the latency of a fitted model.

    Args:
        recipe: the recipe of the run.
        system: the fitted model.
        data: its images; the test images are scored.

    Returns:
        `latency/p50_ms` and more; {} unless `callbacks.latency.images` is set.
    """
    meter = recipe.latency()
    if meter is None:
        return {}
    return meter.measure(system.detector, _test_images(data), device=recipe.device())


def _test_images(data: AnomalyData) -> Iterator[Tensor]:
    """Yields test images in this process: workers that load ahead would take cores from the model."""
    for category in data.categories:
        loader = data.test_on(category)
        yield from (
            batch[IMAGE]
            for batch in DataLoader(loader.dataset, batch_size=data.batch_size, collate_fn=loader.collate_fn)
        )
