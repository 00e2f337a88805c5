"""All pixel metrics of a test set: `PixelMetrics` beside an exact numpy sort, on the same maps.

    python benchmarks/pixel_metrics.py                       # 60 maps of 1024x1024, about a minute
    python benchmarks/pixel_metrics.py --count 8 --size 256

The sort is what the official evaluators do: all scores of all maps in memory, one argsort, running
sums, ties merged. Both sides compute AUROC, AP, best F1 and AU-PRO at 0.3 and 0.05, on one core and
in turn; times are medians. Peak memory comes from an extra pass under tracemalloc: numpy's
allocations, without the maps and without torch's (one histogram of 1 MB at a time).
"""

from __future__ import annotations

import argparse
import statistics
import time
import tracemalloc
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from adframe.contracts import Region
from adframe.metrics.pixel import PixelMetrics
from adframe.ops.regions import bounding_box, components, union

LIMITS = (0.3, 0.05)
Sample = tuple[np.ndarray, list[Region]]  # (H, W) float32, its defects


def make_samples(count: int, *, size: int, seed: int) -> list[Sample]:
    """Smooth maps as a patch method gives them; every other image has one to four defects."""
    rng = np.random.default_rng(seed)
    return [_sample(rng, size=size, defects=(i % 2) * int(rng.integers(1, 5))) for i in range(count)]


def _sample(rng: np.random.Generator, *, size: int, defects: int) -> Sample:
    grid = rng.gamma(4.0, 0.5, (size // 16, size // 16)).astype(np.float32)
    mask = np.zeros((size, size), np.uint8)
    for _ in range(defects):
        centre, axes = rng.integers(0, size, 2).tolist(), rng.integers(3, max(4, size // 12), 2).tolist()
        cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, thickness=-1)
    background = cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
    blurred = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), size / 100)
    heatmap = np.asarray(background + rng.uniform(0.5, 4) * blurred, dtype=np.float32)
    return heatmap, components(mask)


def by_histogram(samples: list[Sample]) -> dict[str, float]:
    metrics = PixelMetrics(limits=LIMITS)
    for i, (heatmap, regions) in enumerate(samples):
        kind = "scratch" if regions else "good"
        subset = "anomaly" if regions else "good"
        metrics.update(heatmap=heatmap, regions=regions, defect=kind, subset=subset, path=f"{i}.png")
    return dict(metrics.compute())


def by_sort(samples: list[Sample]) -> dict[str, float]:
    """The definition: one argsort over all pixels."""
    scores = np.concatenate([heatmap.reshape(-1) for heatmap, _ in samples])
    normal = np.concatenate([~union(regions, heatmap.shape).reshape(-1) for heatmap, regions in samples])
    share = np.concatenate([_shares(heatmap.shape, regions).reshape(-1) for heatmap, regions in samples])
    order = np.argsort(scores)[::-1]
    ranked = scores[order]
    last = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)  # of each tie
    false = np.cumsum(normal[order])[last]
    true = last + 1 - false
    overlap = np.cumsum(share[order])[last] / sum(len(regions) for _, regions in samples)
    fpr, tpr, precision = false / false[-1], true / true[-1], true / (last + 1)
    return {
        "pixel/auroc": float(np.trapezoid(np.append(0, tpr), np.append(0, fpr))),
        "pixel/ap": float(np.sum(np.diff(tpr, prepend=0) * precision)),
        "pixel/f1_max": float(np.max(2 * true / (last + 1 + true[-1]))),
        **{f"pixel/aupro_{limit:g}": _area(fpr, overlap, limit) for limit in LIMITS},
    }


def _shares(shape: tuple[int, int], regions: list[Region]) -> np.ndarray:
    shares = np.zeros(shape)
    for region in regions:
        shares[bounding_box(region, shape)] += region.mask / region.saturation
    return shares


def _area(fpr: np.ndarray, overlap: np.ndarray, limit: float) -> float:
    keep = fpr < limit
    x, y = np.append(fpr[keep], limit), np.append(overlap[keep], np.interp(limit, fpr, overlap))
    return float(np.trapezoid(np.append(0, y), np.append(0, x)) / limit)


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def peak_mib(run: Callable[[], object]) -> float:
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=60, help="maps")
    parser.add_argument("--size", type=int, default=1024, help="pixels a side")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    samples = make_samples(options.count, size=options.size, seed=options.seed)
    sides = {"histogram": partial(by_histogram, samples), "sort": partial(by_sort, samples)}
    values = {name: side() for name, side in sides.items()}  # warms up, too
    times = [{name: seconds(side) for name, side in sides.items()} for _ in range(options.repeats)]
    medians = {name: statistics.median(turn[name] for turn in times) for name in sides}
    peaks = {name: peak_mib(side) for name, side in sides.items()}
    table = Table(title=f"{options.count} maps of {options.size}x{options.size}, one core")
    for heading in ("", "PixelMetrics", "numpy sort", "ratio or difference"):
        table.add_column(heading, justify="left" if not heading else "right")
    for label, row, form in (("time, s", medians, ".3f"), ("peak memory, MiB", peaks, ".1f")):
        table.add_row(
            label, *(f"{row[name]:{form}}" for name in sides), f"{row['sort'] / row['histogram']:.1f}x"
        )
    per_map = {name: 1e3 * median / options.count for name, median in medians.items()}
    table.add_row("per map, ms", *(f"{per_map[name]:.2f}" for name in sides), "")
    for key, exact in values["sort"].items():
        ours = values["histogram"][key]
        table.add_row(key, f"{ours:.9f}", f"{exact:.9f}", f"{abs(ours - exact):.1e}")
    Console().print(table)


if __name__ == "__main__":
    main()
