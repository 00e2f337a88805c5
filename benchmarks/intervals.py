"""Bootstrap intervals of all pixel metrics: 500 images, 1,000 resamples, from sketches.

    python -m benchmarks.intervals                        # 500 maps of 512x512, under a minute
    python -m benchmarks.intervals --count 60 --size 256

One image in three has defects, logical or structural ones: the table has three lines (all, and the two
subsets), and each its AUROC, AP, best F1, AU-PRO at two limits, SegF1 and IoU. Beside each interval stands
how far the draws' mean is from the value that `compute` gives, in widths of the interval: a resample has
a bias of its own, so that this bounds what sketches add to it. Peak memory comes from tracemalloc:
numpy's allocations while drawing.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from adframe.metrics.pixel import PixelMetrics
from adframe.stats.bootstrap import percentile_interval
from benchmarks.pixel_metrics import make_samples


def measured(count: int, *, size: int, seed: int) -> PixelMetrics:
    """All maps once through the metric; a map lives as long as its update."""
    metrics, kinds = PixelMetrics(threshold=2.5), ("logical", "good", "structural", "good", "good")
    normal, defective = (make_samples(20, size=size, seed=seed + i)[i::2] for i in range(2))
    rng = np.random.default_rng(seed)
    for i in range(count):
        subset = kinds[i % 5] if i % 20 else "good"
        heatmap, regions = (normal if subset == "good" else defective)[i % 10]
        heatmap = heatmap + rng.normal(0, 0.3) + rng.random() * heatmap[::-1]
        metrics.update(heatmap=heatmap, regions=regions, defect=subset, subset=subset, path=f"{i:04}.png")
    return metrics


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=500, help="maps")
    parser.add_argument("--size", type=int, default=512, help="pixels a side")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    metrics = measured(options.count, size=options.size, seed=options.seed)
    start = time.perf_counter()
    drawn = metrics.resampled(resamples=options.resamples, seed=options.seed)
    seconds = time.perf_counter() - start
    tracemalloc.start()
    metrics.resampled(resamples=options.resamples, seed=options.seed)
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    sketches = [sum(a.nbytes for a in (s.ends, s.pixels, s.found)) for s in metrics._histograms.sketches]
    table = Table(
        title=f"{options.count} maps of {options.size}x{options.size}, {options.resamples} resamples\n"
        f"{seconds:.2f} s, peak {peak:.0f} MiB, {np.mean(sketches):.0f} bytes a sketch"
    )
    for heading in ("", "value", "interval", "mean of draws - value, widths"):
        table.add_column(heading, justify="left" if not heading else "right")
    for key, value in metrics.compute().items():
        low, high = percentile_interval(drawn[key], level=0.95)
        off = (drawn[key].mean() - value) / (high - low)
        table.add_row(key, f"{value:.4f}", f"{low:.4f} to {high:.4f}", f"{off:+.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
