"""Bundles beside the model that they were made of, and beside anomalib's own OpenVINO export.

    python -m benchmarks.export                                       # 25 minutes on two cores
    python -m benchmarks.export --backbones resnet18 --rounds 3
    python -m benchmarks.export --busy                                # processor time, one thread
    python -m benchmarks.export --anomalib <python of an environment with anomalib[openvino] 2.7.0>

PatchCore with random weights and a bank of 1 % and 10 % of 200 images, 256x256 px: time does not depend on
the values. All sides take turns in one process, one image at a time with two threads; times are lower
quartiles, because other work on the machine slows down the rest. "In batches" is 8 images, which torch takes
together; a bundle takes one image at a time, here by two copies with one thread each. anomalib's export is
made in its own environment, with its own defaults and random rows, and timed here as its inferencer compiles
it (OpenVINO's defaults, which calculate in bfloat16 where the processor has it), and in float32.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from rich.console import Console
from rich.table import Table

from adframe.export import standalone
from adframe.export.network import write_onnx
from adframe.export.precision import write_precision
from adframe.models.backbones import TimmBackbone
from adframe.models.patchcore import PatchCore

SIZE, IMAGES, BATCH, THREADS = 256, 200, 8, 2
BACKBONES = {
    "resnet18": ("resnet18", ["layer2", "layer3"]),
    "wide_resnet50_2": ("wide_resnet50_2", ["layer2", "layer3"]),
    "vit_small": ("vit_small_patch16_224", ["blocks.5", "blocks.8"]),
}
# Without `dynamic_shapes` its exporter fixes the batch at two images.
PEER = """
import sys, torch
from anomalib.models import Patchcore
backbone, layers, rows, width, folder = sys.argv[1:]
model = Patchcore(backbone=backbone, layers=layers.split(","), pre_trained=False)
model.model.memory_bank = torch.randn(int(rows), int(width))
model.eval().to_openvino(folder, input_size=(256, 256), onnx_kwargs={"dynamic_shapes": None})
"""
Run = Callable[[np.ndarray], Any]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbones", nargs="+", default=list(BACKBONES), choices=list(BACKBONES))
    parser.add_argument("--shares", nargs="+", type=float, default=[0.01, 0.1])
    parser.add_argument("--rounds", type=int, default=5, help="turns of every side")
    parser.add_argument("--repeats", type=int, default=10, help="images in a turn")
    parser.add_argument("--anomalib", help="the Python of an environment with anomalib")
    parser.add_argument("--busy", action="store_true", help="processor time of one thread, without batches")
    options = parser.parse_args()
    torch.set_num_threads(1 if options.busy else THREADS)
    for name in options.backbones:
        for share in options.shares:
            with tempfile.TemporaryDirectory() as folder:
                sides = all_sides(name, share, Path(folder), peer=options.anomalib)
                alone, batches = measure(
                    sides, rounds=options.rounds, repeats=options.repeats, busy=options.busy
                )
            table = Table(
                "side", "ms", "torch / side", "images/s in batches", title=f"{name}, {100 * share:g} %"
            )
            for side, milliseconds in alone.items():
                table.add_row(
                    side,
                    f"{milliseconds:.1f}",
                    f"{alone['torch'] / milliseconds:.2f}x",
                    f"{batches[side]:.0f}" if side in batches else "",
                )
            Console(width=110).print(table)
            gc.collect()


def fitted(name: str, share: float) -> PatchCore:
    """Builds a PatchCore with a bank of random rows around those of images."""
    model_name, layers = BACKBONES[name]
    torch.manual_seed(0)
    model = PatchCore(TimmBackbone(model_name, layers=layers, source="random"), coreset=1.0).eval()
    model.collect(torch.rand(1, 3, SIZE, SIZE))
    model.finalise()
    model.release()
    bank = model.memory.memory
    count = max(1, round(share * IMAGES * len(bank.bank)))
    rows = bank.bank[torch.randint(len(bank.bank), (count,))]
    bank.bank = rows + 0.5 * rows.std() * torch.randn(rows.shape)
    bank.norms = bank.bank.square().sum(1)
    return model


def all_sides(name: str, share: float, folder: Path, *, peer: str | None) -> dict[str, Callable[..., Run]]:
    """Returns functions that open each side with a number of threads.

    Args:
        name: of the backbone.
        share: of the patches that the bank has.
        folder: for networks.
        peer: the Python of anomalib's environment; None leaves it out.

    Returns:
        Functions by the name of a side.
    """
    model = fitted(name, share)
    bank = model.memory.memory.bank

    def torch_side(threads: int) -> Run:
        del threads  # one setting of the process

        def run(images: np.ndarray) -> Any:
            with torch.inference_mode():
                return model(torch.from_numpy(images)).score

        return run

    sides: dict[str, Callable[..., Run]] = {"torch": torch_side}
    graph = folder / "graph.onnx"
    write_onnx(model, graph, size=(SIZE, SIZE))
    normals = list(torch.rand(8, 3, SIZE, SIZE))
    for kind in ("onnx", "openvino"):
        for precision in ("fp32", "int8"):
            target = folder / f"{kind}_{precision}"
            target.mkdir()
            file = target / write_precision(
                graph, target, kind=kind, precision=precision, detector=model, images=normals
            )
            sides[f"{kind} {precision}"] = partial(standalone.network, file)
            if (kind, precision) == ("openvino", "fp32"):
                sides["openvino bf16"] = partial(standalone.network, file, arithmetic="bf16")
    if peer is not None:
        model_name, layers = BACKBONES[name]
        arguments = [model_name, ",".join(layers), *map(str, bank.shape), str(folder / "peer")]
        subprocess.run([peer, "-c", PEER, *arguments], check=True, capture_output=True, cwd=folder)
        file = next((folder / "peer").rglob("*.xml"))
        sides["anomalib"] = partial(compiled, file, hint=None)
        sides["anomalib in float32"] = partial(compiled, file, hint="f32")
    return sides


def compiled(file: Path, *, threads: int, hint: str | None) -> Run:
    """Compiles a network for OpenVINO.

    Args:
        file: the .xml file.
        threads: number of threads.
        hint: precision of the calculation; None for OpenVINO's default.
    """
    settings: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads}
    if hint is not None:
        settings["INFERENCE_PRECISION_HINT"] = hint
    network = openvino.Core().compile_model(str(file), "CPU", settings)
    request = network.create_infer_request()
    return lambda images: request.infer([images])


def measure(
    sides: Mapping[str, Callable[..., Run]], *, rounds: int, repeats: int, busy: bool
) -> tuple[dict[str, float], dict[str, float]]:
    """Times all sides in turn.

    Args:
        sides: functions that open each side with a number of threads.
        rounds: turns of every side.
        repeats: images in a turn.
        busy: whether to measure the processor time of one thread.

    Returns:
        Milliseconds of an image by itself, and images a second in batches, by side.
    """
    clock = time.process_time if busy else time.perf_counter
    images = np.random.default_rng(0).random((BATCH, 3, SIZE, SIZE), dtype=np.float32)
    whole = {side: make(threads=1 if busy else THREADS) for side, make in sides.items()}
    pairs = {
        side: [make(threads=1), make(threads=1)]
        for side, make in sides.items()
        if side != "torch" and "anomalib" not in side and not busy
    }
    alone: dict[str, list[float]] = {side: [] for side in sides}
    batches: dict[str, list[float]] = {side: [] for side in ([] if busy else ["torch", *pairs])}
    with ThreadPoolExecutor(2) as pool:
        for run in whole.values():
            run(images[:1])
        for turn in range(rounds):
            for side, run in whole.items():
                for place in range(repeats):
                    start = clock()
                    run(images[place % BATCH : place % BATCH + 1])
                    alone[side].append(1000 * (clock() - start))
            for side in batches:
                start = time.perf_counter()
                if side == "torch":
                    whole[side](images)
                else:
                    halves = (images[: BATCH // 2], images[BATCH // 2 :])
                    list(pool.map(_run_each, pairs[side], halves))
                if turn:  # the first warms up
                    batches[side].append(BATCH / (time.perf_counter() - start))
    return (
        {side: float(np.quantile(times, 0.25)) for side, times in alone.items()},
        {side: float(np.quantile(rates, 0.75)) for side, rates in batches.items()},
    )


def _run_each(run: Run, images: np.ndarray) -> None:
    for image in images:
        run(image[None])


if __name__ == "__main__":
    main()
