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
    """`latency/p50_ms` and more for the run's books; nothing unless `callbacks.latency.images` is set.

    Args:
        recipe: of the run.
        system: fitted.
        data: whose test images are scored.
    """
    meter = recipe.latency()
    if meter is None:
        return {}
    return meter.measure(system.detector, _batches(data), device=recipe.device())


def _batches(data: AnomalyData) -> Iterator[Tensor]:
    """Test images by no other process: workers that load ahead would take cores from what is timed."""
    for category in data.categories:
        loader = data.test_on(category)
        yield from (
            batch[IMAGE]
            for batch in DataLoader(loader.dataset, batch_size=data.batch_size, collate_fn=loader.collate_fn)
        )
