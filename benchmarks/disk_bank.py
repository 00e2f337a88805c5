"""A bank on disk (`memory=disk`): the memory of a fit, and a search in a file that is larger than memory.

    OMP_NUM_THREADS=1 python -m benchmarks.disk_bank fits                     # up to 5 GB of disk
    OMP_NUM_THREADS=1 python -m benchmarks.disk_bank search --gigabytes 30    # a sparse file, 0.3 GB of disk

Each line is a process of its own. Peaks are of the resident set (`VmHWM`), which has no page cache of files
that are read; `page cache` is what that of the machine grew by. `search` runs under a limit of 2 GiB for the
data of the process (`RLIMIT_DATA`). One block in a hundred of its file, the first among them, has rows near
the queries; the other blocks are holes of the file, which the system gives as zeros without a disk. So its
times are those of the processor and of reading from memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch.nn import functional as F

from adframe.io.row_file import BLOCK_BYTES, DTYPES, RowFile
from adframe.models.backbones import TimmBackbone
from adframe.models.disk_bank import DiskBank
from adframe.models.memory import Everything, Greedy, Random
from adframe.models.patchcore import PatchCore

BATCH = 8
LIMIT = 2 << 30  # bytes of data of the process
MEMORIES = {
    "all": Everything,
    "greedy": Greedy,
    "random": Random,
    "disk": DiskBank,
    "disk, float16": partial(DiskBank, dtype="float16"),
}


def own_memory() -> dict[str, int]:
    """Returns MiB of the process: its peak, and what it has now without and with files."""
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(fields[name].split()[0]) >> 10 for name in ("VmHWM", "RssAnon", "RssFile")}


def page_cache() -> int:
    """Returns MiB of the machine's page cache."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("Cached:"))


def fit(images: int, *, size: int, memory: str, coreset: float, spool: str) -> dict[str, Any]:
    """Fits to drawn images with a ResNet18 of random weights, layer 2, and scores two batches."""
    backbone = TimmBackbone("resnet18", layers=["layer2"], source="random")
    model = PatchCore(backbone, coreset=coreset, memory=MEMORIES[memory], spool=spool)
    draws = torch.Generator().manual_seed(0)
    queries = F.interpolate(torch.rand(BATCH, 3, 16, 16, generator=draws), size=(size, size), mode="bicubic")
    with torch.no_grad():
        backbone(queries)
    before, cached, start = own_memory(), page_cache(), time.perf_counter()
    for _ in range(images // BATCH):
        coarse = torch.rand(BATCH, 3, 16, 16, generator=draws)
        model.collect(F.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1))
    collected, collecting = time.perf_counter() - start, own_memory()
    model.finalise()
    finalised, fitting, cache = time.perf_counter() - start - collected, own_memory(), page_cache() - cached
    model.release()
    start = time.perf_counter()
    for _ in range(2):
        model(queries)
    return {
        "before": before["RssAnon"] + before["RssFile"],
        "collecting": collecting["VmHWM"],
        "fitting": fitting["VmHWM"],
        "searching": own_memory()["VmHWM"],
        "files": own_memory()["RssFile"],
        "cache": cache,
        "collect": collected,
        "finalise": finalised,
        "search": (time.perf_counter() - start) / 2 / BATCH,
        "bank": model.facts()["bytes"] / 2**20,
    }


def search(gigabytes: float, *, width: int, patches: int, batch: int, dtype: str) -> dict[str, Any]:
    """Searches a sparse file of this size for the patches of a batch of images."""
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))
    item = DTYPES[dtype].itemsize
    block = BLOCK_BYTES // (width * item)
    rows = int(gigabytes * 1e9) // (width * item)
    draws = torch.Generator().manual_seed(0)
    queries = torch.randn(batch, patches, width, generator=draws) + 3
    with tempfile.TemporaryDirectory(dir=".") as folder:
        path = Path(folder) / "sparse.bank"
        with path.open("wb") as file:
            file.truncate(rows * width * item)
            for number in range(0, rows // block, 100):
                near = torch.randn(block, width, generator=draws) + 3
                file.seek(number * block * width * item)
                file.write(near.to(DTYPES[dtype]).numpy().tobytes())
        bank = DiskBank(dtype=dtype)
        bank.file = RowFile(
            path, {"rows": rows, "width": width, "block": block, "dtype": dtype, "checksums": ()}
        )
        before, start, used = own_memory(), time.perf_counter(), time.process_time()
        bank.distances(queries, limit_mb=256)
        wall, used = time.perf_counter() - start, time.process_time() - used
        start, empty = time.perf_counter(), time.process_time()
        for _ in bank.file.blocks():
            pass
        return {
            "rows": rows,
            "size": path.stat().st_size / 1e9,
            "disk": 512 * path.stat().st_blocks / 1e9,
            "wall": wall,
            "used": used,
            "read": time.perf_counter() - start,
            "read_used": time.process_time() - empty,
            "before": before["VmHWM"],
            "peak": own_memory()["VmHWM"],
        }


def measured(*arguments: object) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.disk_bank", *map(str, arguments)]
    found: dict[str, Any] = json.loads(
        subprocess.run(command, check=True, capture_output=True, text=True).stdout
    )
    return found


def fits(options: argparse.Namespace) -> Table:
    table = Table(title=f"{options.size} x {options.size} pixels, ResNet18 layer 2; MiB and seconds")
    headings = ("memory", "images", "before", "collecting", "fitting", "searching", "page cache", "bank")
    for heading in (*headings, "collect", "finalise", "an image"):
        table.add_column(heading, justify="left" if heading == "memory" else "right")
    for memory in options.memories:
        for images in options.images:
            found = measured(
                "fit", "--images", images, "--size", options.size, "--memories", memory, "--coreset",
                options.coreset,
            )  # fmt: skip
            peaks = [
                found[name] for name in ("before", "collecting", "fitting", "searching", "cache", "bank")
            ]
            times = [found[name] for name in ("collect", "finalise", "search")]
            table.add_row(memory, str(images), *(f"{n:.0f}" for n in peaks), *(f"{n:.2f}" for n in times))
    return table


def searches(options: argparse.Namespace) -> Table:
    table = Table(
        title=f"{options.gigabytes:g} GB of {options.width} features, {options.patches} patches an image"
    )
    for heading in (
        "type",
        "rows",
        "on disk, GB",
        "batch",
        "seconds",
        "GB/s",
        "reading alone",
        "MiB before",
        "peak",
    ):
        table.add_column(heading, justify="right")
    for dtype in DTYPES:
        for batch in options.batches:
            found = measured(
                "one", "--gigabytes", options.gigabytes, "--width", options.width, "--patches",
                options.patches, "--batches", batch, "--dtype", dtype,
            )  # fmt: skip
            table.add_row(
                dtype, f"{found['rows']:,}", f"{found['disk']:.2f}", str(batch),
                f"{found['wall']:.1f} / {found['used']:.1f}", f"{found['size'] / found['wall']:.2f}",
                f"{found['read']:.1f} / {found['read_used']:.1f}", str(found["before"]), str(found["peak"]),
            )  # fmt: skip
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("fits", "search", "fit", "one"), help="fit, one: as JSON")
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 4000])
    parser.add_argument("--size", type=int, default=256, help="pixels")
    parser.add_argument("--memories", nargs="+", default=["all", "disk", "disk, float16"], choices=MEMORIES)
    parser.add_argument("--coreset", type=float, default=0.1)
    parser.add_argument("--gigabytes", type=float, default=30)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--patches", type=int, default=784)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    options = parser.parse_args()
    if options.what == "fit":
        with tempfile.TemporaryDirectory(dir=".") as spool:
            print(
                json.dumps(
                    fit(
                        options.images[0],
                        size=options.size,
                        memory=options.memories[0],
                        coreset=options.coreset,
                        spool=spool,
                    )
                )
            )
    elif options.what == "one":
        found = search(
            options.gigabytes,
            width=options.width,
            patches=options.patches,
            batch=options.batches[0],
            dtype=options.dtype,
        )
        print(json.dumps(found))
    else:
        Console(width=140).print((fits if options.what == "fits" else searches)(options))


if __name__ == "__main__":
    main()
