"""Draws the attention of a vision transformer for a few test images per category."""

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

_TILE_WIDTH = 256  # in pixels
# Quantile of an image's roll-out that gets the strongest colour.
_FULL_COLOUR_QUANTILE = 0.99


def choose_places(records: Sequence[Record], *, count: int) -> list[int]:
    """Chooses evenly spread images, half normal and half anomalous.

    Args:
        records: all images.
        count: largest number of images to choose.

    Returns:
        Their positions in `records`.
    """
    found: list[int] = []
    for label, share in ((0, count // 2), (1, count - count // 2)):
        places = [place for place, record in enumerate(records) if record.label == label]
        taken = min(share, len(places))
        found += [places[(2 * i + 1) * len(places) // (2 * taken)] for i in range(taken)]
    return found


def write_rollouts(
    run: Path, network: nn.Module, images: Any, *, category: str, count: int, device: torch.device
) -> None:
    """Writes two pictures per image and `features/attention/<category>.json`, which describes them.

    Colours range from an image's smallest value to its 99th percentile: they compare patches of one image,
    not images.

    Args:
        run: the run's folder.
        network: a network of `attention.transformer_in`.
        images: the test images, an `ImageDataset`.
        category: name of the category.
        count: largest number of images.
        device: device of the network.
    """
    entries = []
    for place in choose_places(images.records, count=count):
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
    """Draws an image with its defects outlined, and its roll-out over the image.

    Args:
        batch: a batch of one image.
        flow: maps (1, 3, H, W) to the roll-out (1, h, w).

    Returns:
        Two pictures, (h, w, 3) uint8.
    """
    geometry, truths = batch[GEOMETRY][0], batch[REGIONS]
    values = restore(flow(batch[IMAGE])[0].float().numpy(), geometry)
    colours = (batch[IMAGE][0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    frame = np.stack([restore(colours[..., c].astype(np.float32), geometry) for c in range(3)], axis=2)
    size = tile_size(geometry.original, width=_TILE_WIDTH)
    tile = resized(frame.round().astype(np.uint8), size)
    small = resized(values, size)
    heat = overlaid(
        tile,
        small,
        threshold=None,
        low=float(small.min()),
        high=float(np.quantile(small, _FULL_COLOUR_QUANTILE)),
    )
    regions = (truths[0] if truths else None) or []
    return outlined(tile, regions, frame=geometry.original), heat
