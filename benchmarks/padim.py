"""PaDiM's Gaussians beside the plain loop over positions, and a fit beside its backbone alone, in turn.

    python benchmarks/padim.py                # half a minute on two cores
    python benchmarks/padim.py --repeats 1

Weights and features are random: time does not depend on them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from adframe.models.backbones import TimmBackbone
from adframe.models.padim import PaDiM
from adframe.ops.gaussians import Moments, mahalanobis

POSITIONS, CHANNELS, IMAGES, BATCH = 4096, 100, 200, 8
Pair = tuple[str, Callable[[], object], Callable[[], object]]
Time = tuple[float, float]  # of the wall, of the processor


def streamed(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Ours: batch by batch, then all factors at once."""
    moments = Moments()
    for part in rows.split(BATCH):
        moments.add(part)
    return moments.gaussians(regularisation=0.01)


def one_by_one(rows: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The definition: all features in memory, a covariance and an inverse a position."""
    held = rows.numpy()
    unit = 0.01 * np.eye(CHANNELS)
    inverse = np.empty((POSITIONS, CHANNELS, CHANNELS), dtype=np.float32)
    for position in range(POSITIONS):
        covariance = np.cov(held[:, position], rowvar=False) + unit
        inverse[position] = np.linalg.inv(covariance)
    return held.mean(0), inverse


def one_by_one_in_torch(rows: Tensor) -> Tensor:
    unit = 0.01 * torch.eye(CHANNELS)
    return torch.stack([torch.linalg.inv(torch.cov(part.T) + unit) for part in rows.transpose(0, 1)])


def quadratic(rows: Tensor, *, mean: Tensor, inverse: Tensor) -> Tensor:
    """Mahalanobis distances (B, P) from the covariances' inverses, as the formula is written."""
    by_position = (rows - mean).transpose(0, 1)  # (P, B, D)
    return ((by_position @ inverse) * by_position).sum(2).clamp_(min=0).sqrt().T


def solved(rows: Tensor, *, mean: Tensor, factor: Tensor) -> Tensor:
    """The same by solving with the Cholesky factors."""
    by_position = (rows - mean).permute(1, 2, 0)  # (P, D, B)
    return torch.linalg.solve_triangular(factor, by_position, upper=False).norm(dim=1).T


def fit(images: Tensor, *, repeats: int) -> list[Time]:
    """Seconds of the backbone alone, of `collect` of the same batches, and of `finalise`."""
    backbone = TimmBackbone("resnet18", layers="pyramid", source="random")
    alone, collecting, finalising = [], [], []
    for _ in range(repeats):
        model = PaDiM(backbone)  # a released model takes no other images
        turns = [
            (seconds(partial(backbone, batch)), seconds(partial(model.collect, batch)))
            for batch in images.split(BATCH)
        ]
        alone.append(np.sum([turn[0] for turn in turns], axis=0))
        collecting.append(np.sum([turn[1] for turn in turns], axis=0))
        finalising.append(seconds(model.finalise))
        model.release()
    return [median(times) for times in (alone, collecting, finalising)]


def median(times: Iterable[Time]) -> Time:
    wall, used = (statistics.median(column) for column in zip(*times, strict=True))
    return wall, used


def seconds(run: Callable[[], object]) -> Time:
    start, used = time.perf_counter(), time.process_time()
    with torch.no_grad():
        run()
    return time.perf_counter() - start, time.process_time() - used


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(IMAGES, POSITIONS, CHANNELS, generator=generator)
    mean, whitening = streamed(rows)
    inverse, factor = whitening.mT @ whitening, torch.linalg.inv(whitening)
    few = rows[:BATCH]
    title = f"Gaussians, {POSITIONS} positions x {CHANNELS} channels x {IMAGES} images"
    ours = lambda: mahalanobis(few, mean=mean, whitening=whitening)  # noqa: E731
    pairs: list[Pair] = [
        (f"{title}, numpy loop", lambda: streamed(rows), lambda: one_by_one(rows)),
        (f"{title}, torch loop", lambda: streamed(rows), lambda: one_by_one_in_torch(rows)),
        (f"distances of {BATCH} images, inverse", ours, lambda: quadratic(few, mean=mean, inverse=inverse)),
        (f"distances of {BATCH} images, solving", ours, lambda: solved(few, mean=mean, factor=factor)),
    ]
    table = Table(
        title=f"medians of {options.repeats}, {torch.get_num_threads()} threads; wall / processor, s"
    )
    for heading in ("stage", "adframe", "plain", "ratio"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for name, fast, slow in pairs:
        turns = [(seconds(fast), seconds(slow)) for _ in range(options.repeats)]
        left, right = (median(column) for column in zip(*turns, strict=True))
        cells = [f"{wall:.3f} / {used:.3f}" for wall, used in (left, right)]
        table.add_row(name, *cells, f"{right[0] / left[0]:.1f}x / {right[1] / left[1]:.1f}x")
    console = Console(width=120)
    console.print(table)
    coarse = torch.rand(IMAGES, 3, 16, 16, generator=generator)
    images = F.interpolate(coarse, size=(256, 256), mode="bicubic").clamp(0, 1)
    alone, collecting, finalising = fit(images, repeats=options.repeats)
    share = [100 * ((collecting[i] + finalising[i]) / alone[i] - 1) for i in (0, 1)]
    console.print(
        f"fit, {IMAGES} images of 256x256, resnet18: {share[0]:.0f} % on top of the backbone, "
        f"{share[1]:.0f} % of processor time"
    )
    for name, times in (("backbone alone", alone), ("collect", collecting), ("finalise", finalising)):
        console.print(f"  {name}: {times[0]:.2f} / {times[1]:.2f} s")


if __name__ == "__main__":
    main()
