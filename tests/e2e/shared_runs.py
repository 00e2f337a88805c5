"""Runs of several methods that the tests of several processes start in each of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra

from adframe.cli.train import fit_and_test
from adframe.cli.typed import TypedOverrides
from adframe.io import row_file
from tests.e2e.scripts import composed

VIT = ("backbone=timm", "backbone.model=test_vit", "backbone.layers=[blocks.1]", "backbone.source=random")
CNN = (
    "backbone=timm", "backbone.model=test_resnet", "backbone.layers=[layer2,layer3]", "backbone.source=random"
)  # fmt: skip
# 13 images in batches of 4: the last batch has one image, of which two processes must not get two.
COMMON = (
    "dataset.products=[tray]", "dataset.size=64", "dataset.train=13", "dataset.test_good=5",
    "dataset.test_bad=4", "category=tray", "holdout=0.34", "image_size=64", "batch_size=4", "num_workers=0",
    "logger=none", "trainer=cpu", "callbacks.gallery.pictures=4",
)  # fmt: skip
METHODS = {
    "patchcore": ("model=patchcore", "save_maps=true", "synthesis=default", "model.robust=3.5", *CNN),
    "padim": ("model=padim", *CNN),
    "disk": ("model=patchcore", "memory=disk", "model.neighbours=3", *CNN),
    "composition": ("model=patchcore", "composition=true", "split=mvtec_shift_protocol", *CNN),
    "rad": ("model=rad", *VIT),
    "domains": ("model=pixel_mean", "refit=false", "+shift@domains.severe=severe"),
    "sit": ("model=sit", "learning.epochs=2", *VIT),
    "dinov2_lora": ("model=dinov2_lora", "learning.epochs=2", "model.lora.dropout=0.1", *VIT),
    "dinomaly": ("model=dinomaly", "learning.steps=8", "model.mining_steps=0", *VIT),
    "inp_former": ("model=inp_former", "learning.epochs=2", *VIT),
}


def train_all(folder: Path, data: Path, methods: Sequence[str]) -> Path:
    """Trains methods; the first process writes the runs to `folder`.

    Args:
        folder: gets one run per method.
        data: the folder of the toy dataset.
        methods: which of `METHODS`.

    Returns:
        `folder`.
    """
    row_file.BLOCK_BYTES = 10_000  # several blocks of a bank on disk
    for name in methods:
        overrides = METHODS[name]
        cfg = composed("train", *COMMON, *overrides, f"dataset.root={data}", f"paths.run={folder / name}")
        fit_and_test(cfg, TypedOverrides.from_hydra(), folder / name, [])
        GlobalHydra.instance().clear()
    return folder
