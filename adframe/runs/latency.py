"""Measures a fitted model's latency where the configuration asks for it."""

from __future__ import annotations

from collections.abc import Iterator

from omegaconf import DictConfig
from torch import Tensor
from torch.utils.data import DataLoader

from adframe.config.build import build, build_trainer
from adframe.contracts import IMAGE
from adframe.data.datamodule import AnomalyData
from adframe.diagnostics.latency import Latency
from adframe.systems.detection import DetectionSystem


def latency_meter(cfg: DictConfig) -> Latency | None:
    """What measures; None where it is off, or where a stored run is older than it."""
    if "latency" not in cfg.callbacks:
        return None
    meter: Latency = build(cfg, "callbacks.latency")
    return meter if meter.images else None


def latency_facts(cfg: DictConfig, system: DetectionSystem, data: AnomalyData) -> dict[str, float]:
    """`latency/p50_ms` and more for the run's books; nothing unless `callbacks.latency.images` is set.

    Args:
        cfg: the run's; stored ones may be older than this measurement.
        system: fitted.
        data: whose test images are scored.
    """
    meter = latency_meter(cfg)
    if meter is None:
        return {}
    device = build_trainer(cfg, [], None).strategy.root_device
    return meter.measure(system.detector, _batches(data), device=device)


def _batches(data: AnomalyData) -> Iterator[Tensor]:
    """Test images by no other process: workers that load ahead would take cores from what is timed."""
    for category in data.categories:
        loader = data.test_on(category)
        yield from (
            batch[IMAGE]
            for batch in DataLoader(loader.dataset, batch_size=data.batch_size, collate_fn=loader.collate_fn)
        )
