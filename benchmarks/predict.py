"""Inspecting images with a loaded model, beside the bare network and search, in turn in one process.

    python -m benchmarks.predict                      # two minutes on two cores
    python -m benchmarks.predict --images 100 --backbones resnet18

A model of random weights and a bank of 1 % of 200 images, 256x256 px: time does not depend on the values. The
bare side has its images in memory as tensors; a model also resizes them, restores the map to the image,
decides, and states what is doubtful. Files are decoded in threads while the network works.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from adframe.calibration.calibrator import Calibrator
from adframe.calibration.rules import MeanStd, Quantile, Sample
from adframe.data.dataset import View
from adframe.data.image_facts import ImageFacts
from adframe.inference.detector import TrainedDetector
from adframe.metrics.pixel import PixelMetrics
from adframe.models.backbones import TimmBackbone
from adframe.models.named_backbones import create_backbone
from adframe.models.patchcore import PatchCore
from adframe.models.tiled_backbone import TiledBackbone
from adframe.systems.training_free import TrainingFreeSystem

SIZE, BATCH = 256, 8
BANK = 2048  # rows: 1 % of the patches of 200 images


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--backbones", nargs="+", default=["resnet18", "efficientnet_lite0"])
    options = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        pixels = _pixels(16)
        files = _write(Path(folder), pixels, count=options.images)
        for name in options.backbones:
            console.print(_table(name, pixels, files, repeats=options.repeats))


def _table(name: str, pixels: list[np.ndarray], files: list[Path], *, repeats: int) -> Table:
    detector = _detector(name)
    arrays = [pixels[place % len(pixels)] for place in range(64)]
    tensors = [torch.from_numpy(each.transpose(2, 0, 1).copy()).float() / 255 for each in arrays]
    stacks = [torch.stack(tensors[start : start + BATCH]) for start in range(0, 64, BATCH)]

    def bare() -> None:
        with torch.inference_mode():
            for stack in stacks:
                detector.system.detector(stack)

    def loaded() -> None:
        detector.predict(arrays, batch_size=BATCH)

    title = f"{name}, {SIZE}x{SIZE}, bank of {BANK} rows, {torch.get_num_threads()} threads"
    table = Table("what", "seconds", "ratio", title=title)
    first, second = _in_turn(bare, loaded, repeats=repeats)
    table.add_row("bare network and search, 64 images", f"{first:.2f}", "")
    table.add_row("predict, 64 arrays", f"{second:.2f}", f"{second / first:.2f}")
    start, spent = time.perf_counter(), time.process_time()
    detector.predict(files, batch_size=BATCH)
    wall, busy = time.perf_counter() - start, time.process_time() - spent
    table.add_row(
        f"predict, {len(files)} PNG files of 1024x1024", f"{wall:.2f}", f"{busy / wall:.2f} cores busy"
    )
    single = sorted(_seconds(lambda image=image: detector.predict(image)) for image in arrays)
    table.add_row(
        "one array: p50, p95 in ms",
        f"{1000 * statistics.median(single):.1f}, {1000 * single[int(0.95 * len(single))]:.1f}", "",
    )  # fmt: skip
    table.add_row(*_tiles(detector, repeats=repeats))
    return table


def _tiles(detector: TrainedDetector, *, repeats: int) -> tuple[str, str, str]:
    """Tiles without overlap beside the same pixels as one batch."""
    backbone = detector.system.detector.backbone
    tiles = TiledBackbone(backbone, size=(SIZE, SIZE), overlap=0, chunk=BATCH)
    image = torch.rand(1, 3, 2 * SIZE, 4 * SIZE)
    batch = torch.rand(8, 3, SIZE, SIZE)
    with torch.inference_mode():
        plain, own = _in_turn(lambda: backbone(batch), lambda: tiles(image), repeats=4 * repeats)
    return "8 tiles of an image beside 8 images", f"{own:.3f}", f"{own / plain:.2f}"


def _detector(name: str) -> TrainedDetector:
    layers = ["layer2", "layer3"]
    backbone = (
        create_backbone(name)
        if name == "efficientnet_lite0"
        else TimmBackbone(name, layers=layers, source="random")
    )
    model = PatchCore(backbone, coreset=1.0)
    model.collect(torch.rand(2, 3, SIZE, SIZE))
    model.finalise()
    bank = model.memory.memory.bank
    assert len(bank) == BANK
    calibrator = Calibrator(image=Quantile(), pixel=MeanStd())
    scores = np.linspace(1.0, 2.0, 32)
    calibrator.fit(
        scores,
        np.zeros(32),
        split="val",
        pixels={},
        whole=Sample.of(scores, np.array([])),
        peaks=np.zeros((32, 1, 1)),
    )
    system = TrainingFreeSystem(
        detector=model, calibrator=calibrator, pixel=PixelMetrics(saturated=False), refit=False
    )
    facts = ImageFacts(count=200, bits=16, grey=False, sides=(1024, 1024), aspects=(1.0, 1.0))
    return TrainedDetector(system, view=View(size=(SIZE, SIZE)), category="bench", facts=facts)


def _pixels(count: int) -> list[np.ndarray]:
    """Images of 256x256, so that the bare side and ours have the same pixels."""
    draws = np.random.default_rng(0)
    return [draws.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8) for _ in range(count)]


def _write(folder: Path, pixels: list[np.ndarray], *, count: int) -> list[Path]:
    """Files of 1024x1024, which compress as photographs do."""
    paths = []
    for place in range(count):
        path = folder / f"{place:04}.png"
        if place < len(pixels):
            Image.fromarray(pixels[place]).resize((1024, 1024), Image.Resampling.BICUBIC).save(path)
        else:
            path.write_bytes(paths[place % len(pixels)].read_bytes())
        paths.append(path)
    return paths


def _in_turn(
    first: Callable[[], object], second: Callable[[], object], *, repeats: int
) -> tuple[float, float]:
    first(), second()
    times = [(_seconds(first), _seconds(second)) for _ in range(repeats)]
    return statistics.median(a for a, _ in times), statistics.median(b for _, b in times)


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
