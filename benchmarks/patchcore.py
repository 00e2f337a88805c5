"""The stages of PatchCore, each beside the plain way of doing it, in turn in one process.

    python benchmarks/patchcore.py                                # several minutes on two cores
    python benchmarks/patchcore.py --rows 20000 --repeats 1 --images 16

Weights are random (`backbone.source=random`): time does not depend on them. Features are correlated
random rows. A plain coreset is timed on `--picks` picks, all of which cost the same, and extrapolated; ours
is run to the end, and the picks that both made are compared. The last lines are a whole fit of a
Wide-ResNet50 beside its backbone alone, batch by batch in turn.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import timm
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from adframe.io.disk_matrix import Spool
from adframe.models.backbones import TimmBackbone
from adframe.models.patchcore import PatchCore
from adframe.ops.coreset import greedy_k_centre
from adframe.ops.neighbours import nearest, round_bank
from adframe.ops.smoothing import heatmap

BATCH = 8
Pair = tuple[str, Callable[[], object], Callable[[], object]]
Time = tuple[float, float]  # of the wall, of the processor


def features(rows: int, *, width: int, seed: int) -> Tensor:
    """(rows, width) with a falling spectrum: a few strong directions, as network features have."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(width, width, generator=torch.Generator().manual_seed(99))).Q
    scale = torch.arange(1, width + 1).float().rsqrt()
    return torch.randn(rows, width, generator=generator) * scale @ basis


def extraction(images: Tensor) -> Pair:
    ours = TimmBackbone("resnet18", layers=["layer2", "layer3"], source="random")
    plain = timm.create_model("resnet18", features_only=True, out_indices=(2, 3)).eval()
    with torch.no_grad():
        return "extraction, 8 images of 256x256", lambda: ours(images), lambda: plain(images)


def coreset(rows: Tensor, *, share: float, picks: int) -> tuple[str, list[Time], str]:
    """Title, both sides' seconds, and how many picks are the same."""
    spool, count = Spool(), max(1, round(share * len(rows)))
    spool.append(rows)
    found: list[Tensor] = []
    ours = seconds(lambda: found.append(greedy_k_centre(spool, count=count, seed=0)))
    made: list[int] = []
    some = min(picks, count)
    plain = seconds(lambda: made.extend(one_pass_a_pick(rows, first=int(found[0][0]), count=some)))
    same = sum(a == b for a, b in zip(found[0][:some].tolist(), made, strict=True))
    times = [ours, (plain[0] * count / some, plain[1] * count / some)]
    return f"coreset, {count} of {len(rows)} x {rows.shape[1]}", times, f"{same} of {some}"


def one_pass_a_pick(rows: Tensor, *, first: int, count: int) -> list[int]:
    """The definition, as the reference implementations have it: all rows against each new centre."""
    picks, distance = [first], (rows - rows[first]).norm(dim=1)
    for _ in range(count - 1):
        picks.append(int(distance.argmax()))
        distance = torch.minimum(distance, (rows - rows[picks[-1]]).norm(dim=1))
    return picks


def scoring(queries: Tensor, bank: Tensor) -> Pair:
    norms, prepared = bank.square().sum(1), round_bank(bank)
    return (
        f"scoring, {len(queries)} patches, {len(bank)} in the bank",
        lambda: nearest(queries, bank, norms=norms, prepared=prepared),
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


def fit(count: int) -> dict[str, Time]:
    """Seconds of the backbone alone, of `collect` of the same batches, and of `finalise`."""
    generator = torch.Generator().manual_seed(0)
    backbone = TimmBackbone("wide_resnet50_2", layers=["layer2", "layer3"], source="random")
    model = PatchCore(backbone, coreset=0.01)
    spent = {"backbone alone": (0.0, 0.0), "collect": (0.0, 0.0)}
    for number in range(1 + count // BATCH):
        coarse = torch.rand(BATCH, 3, 16, 16, generator=generator)
        images = F.interpolate(coarse, size=(256, 256), mode="bicubic").clamp(0, 1)
        if not number:
            backbone(images)  # warms up
            continue
        turns = {"backbone alone": partial(backbone, images), "collect": partial(model.collect, images)}
        for name, run in turns.items():
            wall, used = seconds(run)
            spent[name] = spent[name][0] + wall, spent[name][1] + used
    spent["finalise"] = seconds(model.finalise)
    model.release()
    return spent


def seconds(run: Callable[[], object]) -> Time:
    start, used = time.perf_counter(), time.process_time()
    with torch.no_grad():
        run()
    return time.perf_counter() - start, time.process_time() - used


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=157_000, help="training patches for the coreset")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.01, 0.1], help="that the bank keeps")
    parser.add_argument("--picks", type=int, default=60, help="that the plain coreset is timed on")
    parser.add_argument("--repeats", type=int, default=3, help="of the other stages")
    parser.add_argument("--images", type=int, default=200, help="of the fit")
    options = parser.parse_args()
    console = Console(width=120)
    table = Table(
        title=f"medians of {options.repeats}, {torch.get_num_threads()} threads; wall / processor, s"
    )
    for heading in ("stage", "adframe", "plain", "ratio", "same picks"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    rows = features(8192, width=384, seed=0)
    images = torch.rand(BATCH, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    pairs = [extraction(images), scoring(rows, rows[-4096:] + 0.1), smoothing(torch.rand(32, 1, 32, 32))]
    for title, ours, plain in pairs:
        seconds(ours), seconds(plain)
        turns = [(*seconds(ours), *seconds(plain)) for _ in range(options.repeats)]
        fast, fast_used, slow, slow_used = (statistics.median(column) for column in zip(*turns, strict=True))
        table.add_row(title, *compared([(fast, fast_used), (slow, slow_used)]), "")
    large = features(options.rows, width=295, seed=0)
    for share in options.shares:
        title, times, same = coreset(large, share=share, picks=options.picks)
        table.add_row(title, *compared(times), same)
    console.print(table)
    spent = fit(options.images)
    alone, *method = spent.values()
    share = [sum(time_[i] for time_ in method) / alone[i] for i in (0, 1)]
    console.print(
        f"fit, {options.images} images of 256x256, wide_resnet50_2, 1 %: {share[0]:.2f} times the backbone's "
        f"own time, {share[1]:.2f} times its processor time"
    )
    for name, (wall, used) in spent.items():
        console.print(f"  {name}: {wall:.1f} / {used:.1f} s")


def compared(times: list[Time]) -> list[str]:
    """Cells of both sides and of their ratio."""
    (fast, fast_used), (slow, slow_used) = times
    cells = [f"{wall:.3f} / {used:.3f}" for wall, used in times]
    return [*cells, f"{slow / fast:.1f}x / {slow_used / fast_used:.1f}x"]


if __name__ == "__main__":
    main()
