"""Peak memory of a fit: it grows with the memory bank, not with the number of training patches.

    python benchmarks/fit_memory.py          # seven fits, each in a process of its own, a few minutes

With `bank_bytes` the disk does not grow either: the last rows give at most 32 MiB to features that wait.
Feature maps are random and come from a stub, so that the peak is the method's own: what is left is
the interpreter with its libraries, which the first row shows.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

WIDTH, SIDE, BATCH = 384, 32, 8


class StubBackbone(nn.Module):
    """One (B, WIDTH, SIDE, SIDE) map of noise, drawn from the number of calls so far."""

    layers, patch = ("stub",), 1

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, image: Tensor) -> list[Tensor]:
        self.calls += 1
        generator = torch.Generator().manual_seed(self.calls)
        return [torch.randn(len(image), WIDTH, SIDE, SIDE, generator=generator)]


def fit(images: int, *, bank: int, bank_bytes: int | None) -> int:
    """Peak resident bytes of this process after a fit; 0 images: before one."""
    from adframe.models.patchcore import PatchCore

    patches = images * SIDE * SIDE
    if images:
        model = PatchCore(StubBackbone(), coreset=bank / patches, bank_bytes=bank_bytes)  # type: ignore[arg-type]
        for _ in range(images // BATCH):
            model.collect(torch.zeros(BATCH, 3, 8, 8))
        model.finalise()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measured(images: int, *, bank: int, limit: int | None) -> int:
    command = [sys.executable, __file__, "--images", str(images), "--bank", str(bank)]
    command += [] if limit is None else ["--bank-mb", str(limit)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, help="one fit only, printing its peak in bytes")
    parser.add_argument("--bank", type=int, default=1000, help="rows of the memory bank")
    parser.add_argument("--bank-mb", type=int, help="model.bank_bytes, in MiB")
    options = parser.parse_args()
    if options.images is not None:
        limit = None if options.bank_mb is None else options.bank_mb << 20
        print(fit(options.images, bank=options.bank, bank_bytes=limit))
        return
    table = Table(title=f"patches of {WIDTH} features, {SIDE * SIDE} an image")
    for heading in ("images", "bank rows", "features, MiB", "bank_bytes, MiB", "peak memory, MiB"):
        table.add_column(heading, justify="right")
    free = ((0, 0), (128, 1000), (512, 1000), (1024, 1000), (512, 20_000))
    bounded = ((128, 1000), (256, 1000), (512, 1000))
    for limit, cases in ((None, free), (32, bounded)):
        for images, bank in cases:
            size = images * SIDE * SIDE * WIDTH * 4 >> 20
            peak = measured(images, bank=bank, limit=limit) >> 20
            table.add_row(str(images), str(bank), str(size), "-" if limit is None else str(limit), str(peak))
    Console().print(table)


if __name__ == "__main__":
    main()
