"""Pictures of what a vision transformer attends to, of a few test images a category."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from adframe.contracts import GEOMETRY, IMAGE, RECORD, REGIONS, Batch, Record
from adframe.data.dataset import collate
from adframe.io.files import write_json
from adframe.models.attention import has_class_token, rollout
from adframe.ops.geometry import restore
from adframe.reporting.heatmaps import overlaid, write_picture
from adframe.reporting.outlines import outlined, resized, tile_size
from adframe.reporting.patch_sections import ATTENTION

_WIDTH = 256  # pixels of a tile
_FULL = 0.99  # the quantile of an image's roll-out that gets the full colour


def chosen(records: Sequence[Record], *, count: int) -> list[int]:
    """Evenly spread places of half as many normal and half as many anomalous images."""
    found: list[int] = []
    for label, share in ((0, count // 2), (1, count - count // 2)):
        places = [place for place, record in enumerate(records) if record.label == label]
        taken = min(share, len(places))
        found += [places[(2 * i + 1) * len(places) // (2 * taken)] for i in range(taken)]
    return found


def write_rollouts(
    run: Path, network: nn.Module, images: Any, *, category: str, count: int, device: torch.device
) -> None:
    """Leaves two pictures an image and `features/attention/<category>.json`, which says what they are.

    Colours grow from an image's smallest value to its 99th percentile: they compare patches of an
    image, not images.

    Args:
        run: the run's folder.
        network: of `attention.transformer_in`.
        images: the test images, an `ImageDataset`.
        category: whose images these are.
        count: how many at most.
        device: where the network is.
    """
    entries = []
    for place in chosen(images.records, count=count):
        batch = collate([images[place]])
        record: Record = batch[RECORD][0]
        truth, flow = pictures(batch, lambda image: rollout(network, image.to(device)).cpu())
        stem = f"{category}/{record.defect}_{record.path.stem}"
        for name, picture in (("truth", truth), ("rollout", flow)):
            write_picture(run / ATTENTION / f"{stem}_{name}.jpg", picture)
        entries.append(
            {"path": str(record.path), "defect": record.defect, "label": record.label, "stem": stem}
        )
    if entries:
        facts = {"class_token": has_class_token(network), "images": entries}
        write_json(run / ATTENTION / f"{category}.json", facts)


def pictures(batch: Batch, flow: Callable[[Tensor], Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Of a batch of one image: it with its defects outlined, and its roll-out over it; (h, w, 3) uint8."""
    geometry, truths = batch[GEOMETRY][0], batch[REGIONS]
    values = restore(flow(batch[IMAGE])[0].float().numpy(), geometry)
    colours = (batch[IMAGE][0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    frame = np.stack([restore(colours[..., c].astype(np.float32), geometry) for c in range(3)], axis=2)
    size = tile_size(geometry.original, width=_WIDTH)
    tile = resized(frame.round().astype(np.uint8), size)
    small = resized(values, size)
    heat = overlaid(
        tile, small, threshold=None, low=float(small.min()), high=float(np.quantile(small, _FULL))
    )
    regions = (truths[0] if truths else None) or []
    return outlined(tile, regions, frame=geometry.original), heat
