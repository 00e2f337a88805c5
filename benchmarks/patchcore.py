"""The stages of PatchCore, each beside the plain way of doing it, in turn in one process.

    python benchmarks/patchcore.py            # about two minutes on two cores
    python benchmarks/patchcore.py --rows 20000 --repeats 1

Weights are random (`backbone.source=random`): time does not depend on them. Features are
correlated random rows, as wide as ResNet18's layers 2 and 3 together.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import timm
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from adframe.models.backbones import TimmBackbone
from adframe.models.patchcore import PatchCore
from adframe.ops.coreset import greedy_k_centre
from adframe.ops.neighbours import nearest
from adframe.ops.smoothing import heatmap
from adframe.ops.spool import Spool

WIDTH = 384
Pair = tuple[str, Callable[[], object], Callable[[], object]]


def features(rows: int, *, seed: int) -> Tensor:
    """(rows, WIDTH) with a falling spectrum: a few strong directions, as network features have."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=generator)).Q
    scale = torch.arange(1, WIDTH + 1).float().rsqrt()
    return torch.randn(rows, WIDTH, generator=generator) * scale @ basis


def extraction(images: Tensor) -> Pair:
    ours = TimmBackbone("resnet18", layers=["layer2", "layer3"], source="random")
    plain = timm.create_model("resnet18", features_only=True, out_indices=(2, 3)).eval()
    with torch.no_grad():
        return "extraction, 8 images of 256x256", lambda: ours(images), lambda: plain(images)


def coreset(rows: Tensor, *, share: float) -> Pair:
    spool, count = Spool(), max(1, round(share * len(rows)))
    spool.append(rows)
    title = f"coreset, {count} of {len(rows)} rows"
    return (
        title,
        lambda: greedy_k_centre(spool, count=count, seed=0),
        lambda: one_pass_a_pick(rows, count=count),
    )


def one_pass_a_pick(rows: Tensor, *, count: int) -> list[int]:
    """The definition, as the reference implementations have it: all rows against each new centre."""
    picks, distance = [0], (rows - rows[0]).norm(dim=1)
    for _ in range(count - 1):
        picks.append(int(distance.argmax()))
        distance = torch.minimum(distance, (rows - rows[picks[-1]]).norm(dim=1))
    return picks


def scoring(queries: Tensor, bank: Tensor) -> Pair:
    norms = bank.square().sum(1)
    return (
        f"scoring, {len(queries)} patches, {len(bank)} in the bank",
        lambda: nearest(queries, bank, norms=norms),
        lambda: torch.cdist(queries, bank).topk(1, largest=False),
    )


def smoothing(grid: Tensor) -> Pair:
    return (
        f"heatmap, {len(grid)} of 256x256 from 32x32",
        lambda: heatmap(grid, size=(256, 256), sigma=4.0),
        lambda: blurred(grid),
    )


def blurred(grid: Tensor) -> Tensor:
    """Bilinear upsampling, then one dense 33x33 convolution."""
    line = torch.exp(-0.5 * (torch.arange(-16, 17) / 4.0) ** 2)
    kernel = torch.outer(line / line.sum(), line / line.sum())[None, None]
    large = F.interpolate(grid, size=(256, 256), mode="bilinear", align_corners=False)
    return F.conv2d(F.pad(large, (16, 16, 16, 16), mode="reflect"), kernel)


def stages(*, batches: int) -> dict[str, float]:
    """Where the time of a whole fit goes, seconds; smooth random pictures, 8 a batch."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(8 * batches, 3, 16, 16, generator=generator)
    images = F.interpolate(coarse, size=(256, 256), mode="bicubic").clamp(0, 1)
    backbone = TimmBackbone("resnet18", layers=["layer2", "layer3"], source="random")
    model = PatchCore(backbone, coreset=0.01)
    collect = seconds(lambda: [model.collect(batch) for batch in images.split(8)])
    finalise = seconds(model.finalise)
    model.release()
    score = seconds(lambda: model(images[:8]))
    return {"extraction and spooling": collect, "coreset": finalise, "scoring 8 images": score}


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    with torch.no_grad():
        run()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=50_000, help="training patches for the coreset")
    parser.add_argument("--share", type=float, default=0.01, help="of them that the bank keeps")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    rows = features(options.rows, seed=0)
    images = torch.rand(8, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    pairs = [
        extraction(images),
        coreset(rows, share=options.share),
        scoring(rows[:8192], rows[-2048:]),
        smoothing(torch.rand(32, 1, 32, 32)),
    ]
    table = Table(title=f"medians of {options.repeats}, {torch.get_num_threads()} threads")
    for heading in ("stage", "adframe, s", "plain, s", "ratio"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for title, ours, plain in pairs:
        turns = [(seconds(ours), seconds(plain)) for _ in range(options.repeats)]
        fast, slow = (statistics.median(column) for column in zip(*turns, strict=True))
        table.add_row(title, f"{fast:.3f}", f"{slow:.3f}", f"{slow / fast:.1f}x")
    Console().print(table)
    spent = stages(batches=25)
    whole = sum(spent.values())
    Console().print(f"whole fit, 200 images of 256x256, 1 %: {whole:.1f} s")
    for name, value in spent.items():
        Console().print(f"  {name}: {value:.2f} s, {100 * value / whole:.0f} %")


if __name__ == "__main__":
    main()
