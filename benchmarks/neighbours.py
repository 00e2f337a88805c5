"""The nearest row of a bank: `nearest` beside a chunked `torch.cdist` with `topk`, in turn in one process.

    python benchmarks/neighbours.py                                  # random rows; a minute on two cores
    python benchmarks/neighbours.py --root <mvtec_ad> --checkpoint <resnet18 weights>

Rows are drawn evenly in all directions (nothing helps the bound), drawn with a falling spectrum as network
features have it, and with --root patches of screw, the bank being the greedy coreset of the training
images and the queries patches of test images. A bank is prepared once, outside the timing; the last table
says what that takes. Seconds of the processor stand beside those of the wall for a machine that others use.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from adframe.io.disk_matrix import Spool
from adframe.models.backbones import TimmBackbone
from adframe.ops import neighbours
from adframe.ops.coreset import greedy_k_centre
from adframe.ops.neighbours import RoundedBank, nearest, round_bank
from adframe.ops.patches import as_rows, patch_grid
from benchmarks.coreset_sweep import on_disk

CHUNK = 1024  # queries of the plain way: distances of 64 MB
SIZES = ((784, 15_680, 1536), (784, 15_680, 384), (784, 2048, 1536), (8192, 2048, 384))


def plain(queries: Tensor, bank: Tensor) -> Tensor:
    return torch.cat(
        [torch.cdist(part, bank).topk(1, largest=False).indices for part in torch.split(queries, CHUNK)]
    )


def even(rows: int, width: int, *, seed: int) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def falling(rows: int, width: int, *, seed: int) -> Tensor:
    """A few strong directions, the same ones for every seed."""
    basis = torch.linalg.qr(even(width, width, seed=99)).Q
    return even(rows, width, seed=seed) * torch.arange(1, width + 1).float().rsqrt() @ basis


def screw(root: Path, checkpoint: Path, *, images: int) -> tuple[Tensor, Tensor]:
    """Queries and bank from layers 2 and 3: 10 % of the patches, centred as `PatchMemory` does it."""
    backbone = TimmBackbone("resnet18", layers=["layer2", "layer3"], source="random", checkpoint=checkpoint)
    with torch.no_grad():
        train, test = (
            torch.cat([as_rows(patch_grid(backbone(part), neighbourhood=3)) for part in pictures.split(8)])
            for pictures in (
                on_disk(root, "screw", split="train", limit=images),
                on_disk(root, "screw", split="test", limit=8),
            )
        )
    centre = train[:8192].mean(0)
    spool = Spool()
    spool.append(train - centre)
    bank = spool.gather(greedy_k_centre(spool, count=len(train) // 10, seed=0))
    spread = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:784]
    return test[spread] - centre, bank


def searched_again(queries: Tensor, bank: Tensor, prepared: RoundedBank) -> float:
    """Share of queries that the rounded product could not decide."""
    index = neighbours._by_bfloat16(queries, bank, prepared, 1)[1]
    return float((index < 0).float().mean())


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds of the wall and of the processor."""
    start, used = time.perf_counter(), time.process_time()
    with torch.no_grad():
        run()
    return 1e3 * (time.perf_counter() - start), 1e3 * (time.process_time() - used)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, help="a dataset in MVTec AD's layout, for real features")
    parser.add_argument("--checkpoint", type=Path, help="weights of a ResNet18")
    parser.add_argument("--images", type=int, default=154, help="training images of screw")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    cases = []
    for count, rows, width in SIZES:
        cases.append(("even", even(count, width, seed=0), even(rows, width, seed=1)))
        cases.append(("falling", falling(count, width, seed=0), falling(rows, width, seed=1)))
    if options.root is not None:
        cases.append(("screw", *screw(options.root, options.checkpoint, images=options.images)))
    table = Table(
        title=f"medians of {options.repeats}, {torch.get_num_threads()} threads; wall / processor, ms"
    )
    for heading in (
        "rows",
        "queries x bank",
        "nearest",
        "in float32",
        "cdist, topk",
        "ratio",
        "same",
        "again",
    ):
        table.add_column(heading, justify="left" if heading == "rows" else "right")
    for name, queries, bank in cases:
        norms, prepared = bank.square().sum(1), round_bank(bank)
        runs = (
            lambda: nearest(queries, bank, norms=norms, prepared=prepared),  # noqa: B023 (run at once)
            lambda: nearest(queries, bank, norms=norms),  # noqa: B023
            lambda: plain(queries, bank),  # noqa: B023
        )
        found, expected = runs[0]()[1], runs[1]()[1]  # and warms up
        turns = [[timed(run) for run in runs] for _ in range(options.repeats)]
        walls, used = ([statistics.median(turn[i][j] for turn in turns) for i in range(3)] for j in (0, 1))
        share = "-" if prepared is None else f"{100 * searched_again(queries, bank, prepared):.1f} %"
        table.add_row(
            name,
            f"{len(queries)} x {len(bank)} x {bank.shape[1]}",
            *(f"{wall:.0f} / {cpu:.0f}" for wall, cpu in zip(walls, used, strict=True)),
            f"{walls[2] / walls[0]:.1f}x / {used[2] / used[0]:.1f}x",
            f"{100 * float((found == expected).float().mean()):.1f} %",
            share,
        )
    console = Console(width=130)
    console.print(table)
    bank = cases[0][2]
    turns = [timed(lambda: round_bank(bank)) for _ in range(options.repeats)]
    wall, cpu = (statistics.median(column) for column in zip(*turns, strict=True))
    console.print(f"preparing {len(bank)} x {bank.shape[1]}, once a bank: {wall:.0f} / {cpu:.0f} ms")


if __name__ == "__main__":
    main()
