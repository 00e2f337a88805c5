"""Feature extraction beside the plain timm call, in turn in one process: speed, and how far features move.

    python benchmarks/backbones.py            # half a minute on two cores
    python benchmarks/backbones.py --repeats 1

Both sides have the same random weights, with BatchNorms that are not the identity. Plain is
`features_only=True`, contiguous, float32, nothing folded.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import timm
import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import save_file
from torch import Tensor, nn

from adframe.models.backbones import TimmBackbone

CASES = {"wide_resnet50_2": (2, 3), "resnet18": (2, 3), "resnet18, layers 1 to 3": (1, 2, 3)}
BATCH, SIDE = 8, 256


def plain(name: str, *, layers: tuple[int, ...]) -> Any:
    """The network as timm gives it, with running statistics as training leaves them."""
    torch.manual_seed(0)
    trunk = timm.create_model(name, features_only=True, out_indices=layers).eval()
    for module in trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.uniform_(module.bias, -0.2, 0.2)
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return trunk


def ours(name: str, trunk: nn.Module, *, layers: tuple[int, ...], precision: Any) -> TimmBackbone:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        save_file(trunk.state_dict(), path)
        names = [f"layer{layer}" for layer in layers]
        return TimmBackbone(name, layers=names, checkpoint=path, precision=precision)


def deviation(found: list[Tensor], expected: list[Tensor]) -> float:
    """The largest relative difference of a layer, in the Frobenius norm."""
    return max(float((a - b).norm() / b.norm()) for a, b in zip(found, expected, strict=True))


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    with torch.no_grad():
        run()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    images = torch.rand(BATCH, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    title = (
        f"{BATCH} images of {SIDE}x{SIDE}, medians of {options.repeats}, {torch.get_num_threads()} threads"
    )
    table = Table(title=title)
    for heading in ("backbone", "precision", "adframe, s", "plain, s", "ratio", "features off by"):
        table.add_column(heading, justify="left" if heading in ("backbone", "precision") else "right")
    for case, layers in CASES.items():
        name = case.partition(",")[0]
        trunk = plain(name, layers=layers)
        exact = ours(name, trunk, layers=layers, precision="float32")
        fast = ours(name, trunk, layers=layers, precision="bfloat16")
        normal = (images - exact.mean) / exact.std
        runs = (lambda: trunk(normal), lambda: exact(images), lambda: fast(images))  # noqa: B023 (run at once)
        with torch.no_grad():
            expected, *found = (run() for run in runs)  # and warms up
        turns = [[seconds(run) for run in runs] for _ in range(options.repeats)]
        slow, *quick = (statistics.median(column) for column in zip(*turns, strict=True))
        for precision, time_, maps in zip(("float32", "bfloat16"), quick, found, strict=True):
            off = f"{deviation(maps, expected):.0e}"
            table.add_row(case, precision, f"{time_:.3f}", f"{slow:.3f}", f"{slow / time_:.2f}x", off)
    Console().print(table)


if __name__ == "__main__":
    main()
