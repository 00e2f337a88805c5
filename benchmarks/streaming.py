"""Memory and speed of the pixel metrics on a large test set, whose maps are made one at a time.

    python -m benchmarks.streaming                        # 1,500 maps of 1600x1280, a minute or two

Float32 maps of LOCO's largest size, two in three with defects, go through `PixelMetrics` in a process of
its own. Resident memory is read three times: with all libraries imported (the baseline), with the
buffers in which maps are made, and at its peak over all maps and `compute`. What grows from the first
to the last is the metric, the map at hand and what makes it; no map is kept. Seconds are those in the
metric alone. Beside its rate stands the one at which `data.decode` reads PNGs of this size (smooth
colours with a little noise) on the same core: an evaluation waits for that, not for the metric.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from adframe.io.images import read_image
from adframe.metrics.pixel import PixelMetrics
from adframe.ops.regions import components

HEIGHT, WIDTH = 1280, 1600
PNGS = 20


def stream(count: int) -> dict[str, float]:
    """Seconds in the metric, and resident MiB: before, with a map's buffers, at the peak."""
    rng, metrics = np.random.default_rng(0), PixelMetrics(threshold=3.0)
    before = resident()
    field = cv2.resize(rng.gamma(4, 0.5, (80, 100)).astype(np.float32), (WIDTH, HEIGHT))
    heatmap, lift = np.empty_like(field), np.zeros_like(field)
    made, seconds = resident(), 0.0
    for i in range(count):
        np.multiply(field, rng.uniform(0.7, 1.3), out=heatmap)
        regions = []
        if i % 3:
            lift[:] = 0
            centre = (int(rng.integers(WIDTH)), int(rng.integers(HEIGHT)))
            cv2.ellipse(lift, centre, (int(rng.integers(9, 90)), 40), 0, 0, 360, 1.0, thickness=-1)
            heatmap += lift
            regions = components(lift)
        kind = ("good", "logical", "structural")[i % 3]
        start = time.perf_counter()
        metrics.update(heatmap=heatmap, regions=regions, defect=kind, subset=kind, path=f"{i:04}.png")
        seconds += time.perf_counter() - start
    start = time.perf_counter()
    metrics.compute()
    closing = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"before": before, "made": made, "peak": peak, "seconds": seconds, "closing": closing}


def decoding(folder: Path) -> float:
    """PNGs a second."""
    rng = np.random.default_rng(0)
    for i in range(PNGS):
        smooth = cv2.resize(rng.integers(0, 255, (40, 50, 3)).astype(np.uint8), (WIDTH, HEIGHT))
        noisy = cv2.add(smooth, rng.integers(0, 8, smooth.shape).astype(np.uint8))
        cv2.imwrite(str(folder / f"{i}.png"), noisy)
    start = time.perf_counter()
    for i in range(PNGS):
        read_image(folder / f"{i}.png")
    return PNGS / (time.perf_counter() - start)


def resident() -> float:
    """MiB of this process that are in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1500, help="maps")
    parser.add_argument("--alone", action="store_true", help="stream in this process, print JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if options.alone:
        print(json.dumps(stream(options.count)))
        return
    command = [sys.executable, "-m", "benchmarks.streaming", "--alone", "--count", str(options.count)]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    with tempfile.TemporaryDirectory() as folder:
        rate = decoding(Path(folder))
    table = Table(title=f"{options.count} maps of {WIDTH}x{HEIGHT}, one core")
    table.add_column("")
    table.add_column("", justify="right")
    for label, value in (
        ("resident with all libraries, MiB", f"{told['before']:.0f}"),
        ("peak, MiB", f"{told['peak']:.0f}"),
        ("growth: metric, map and what makes it, MiB", f"{told['peak'] - told['before']:.0f}"),
        ("of that the map and what makes it, MiB", f"{told['made'] - told['before']:.0f} and more"),
        ("one map alone as float32, MiB", f"{HEIGHT * WIDTH * 4 / 2**20:.1f}"),
        ("metric, maps a second", f"{options.count / told['seconds']:.0f}"),
        ("compute at the end, s", f"{told['closing']:.2f}"),
        ("decoding PNGs, images a second", f"{rate:.0f}"),
    ):
        table.add_row(label, value)
    Console().print(table)


if __name__ == "__main__":
    main()
