"""A small set in MVTec AD's layout, of which a test then spoils one file."""

from __future__ import annotations

from pathlib import Path

from adframe.data.base import Source
from adframe.data.datamodule import AnomalyData
from adframe.data.dataset import View
from adframe.data.splits import Holdout
from tests.fakes.pictures import SIDE, draw, draw_mask
from tests.fakes.sources import source


def write_set(root: Path, *, size: tuple[int, int] = (SIDE, SIDE), suffix: str = "png") -> Path:
    """Six images to train on, two good and three with a defect; returns the category's folder."""
    base = root / "part"
    for i in range(6):
        draw(base / f"train/good/{i:03}.{suffix}", size=size)
    for i in range(2):
        draw(base / f"test/good/g{i}.{suffix}", size=size)
    for i in range(3):
        draw(base / f"test/cut/c{i}.{suffix}", size=size, defect=True)
        draw_mask(base / f"ground_truth/cut/c{i}_mask.png", size=size)
    return base


def set_up(dataset: Source | Path, *, category: str = "part") -> AnomalyData:
    """The datamodule after all its checks."""
    read = source(dataset, "mvtec_ad") if isinstance(dataset, Path) else dataset
    data = AnomalyData(
        read,
        categories=[category],
        view=View(size=(32, 32)),
        batch_size=2,
        num_workers=0,
        protocol=Holdout(0.34),
        seed=1,
    )
    data.setup()
    return data
