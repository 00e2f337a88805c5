"""One image at a time by a model in torch, beside the same method of anomalib, each in its own process.

    python -m benchmarks.single_image --anomalib <python of an environment with anomalib 2.7.0>
    python -m benchmarks.single_image --cases patchcore/resnet18/1024     # without the peer

Milliseconds. Random weights and random bank rows, 256x256 px: time does not depend on the values. Each side
has the network, the search or the distances, and the smoothed map of the image's size; neither reads a file.
Both keep their defaults. Three columns have one setting more: `model.neighbours=9`, the re-weighting that is
anomalib's default, `backbone.precision=bfloat16`, and `trainer.compile=true`. The processes take turns, so
that only one works at a time, and the table has medians over all turns. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.table import Table

SIZE, THREADS, WARM_UP = 256, 2, 3
CASES = [f"patchcore/{name}/{rows}" for name in ("resnet18", "wide_resnet50_2") for rows in (1024, 10240)] + [
    "padim/resnet18/0"
]
SERVE = "serve"  # first argument of a process that computes
VARIANTS = {"adframe": "as it is", "nine": "9 neighbours", "bfloat16": "bfloat16", "compiled": "compiled"}

# Reads a number of repetitions a line, and writes the milliseconds of each.
LOOP = f"""
def loop(run):
    import sys, time
    import torch
    torch.set_num_threads(int(sys.argv[-1]))
    for line in sys.stdin:
        spent = []
        for _ in range(int(line)):
            image = torch.rand(1, 3, {SIZE}, {SIZE})
            start = time.perf_counter()
            with torch.inference_mode():
                run(image)
            spent.append(1000 * (time.perf_counter() - start))
        print(*spent, flush=True)
"""
PEER = f"""
{LOOP}
import os, sys
output, sys.stdout = sys.stdout, open(os.devnull, "w")
import torch
from anomalib.models import Padim, Patchcore
method, backbone, rows = sys.argv[1].split("/")
if method == "patchcore":
    model = Patchcore(backbone=backbone, layers=("layer2", "layer3"), pre_trained=False).model.eval()
    with torch.inference_mode():
        maps = model.feature_extractor(torch.rand(1, 3, {SIZE}, {SIZE}))
        width = sum(each.shape[1] for each in maps.values())
    model.memory_bank = torch.randn(int(rows), width)
else:
    model = Padim(backbone=backbone, pre_trained=False).model
    model.train()
    for _ in range(2):
        model(torch.rand(8, 3, {SIZE}, {SIZE}))
    model.fit()
    model.eval()
sys.stdout = output
loop(model)
"""


def serve(case: str, variant: str) -> None:
    import torch

    from adframe.models.backbones import TimmBackbone
    from adframe.models.compiled import compile_networks
    from adframe.models.padim import PaDiM
    from adframe.models.patchcore import PatchCore

    method, name, rows = case.split("/")
    torch.manual_seed(0)
    precision = "bfloat16" if variant == "bfloat16" else "float32"
    layers = "pyramid" if method == "padim" else ["layer2", "layer3"]
    backbone = TimmBackbone(name, layers=layers, source="random", precision=precision)
    if method == "padim":
        model = PaDiM(backbone)
        for _ in range(2):
            model.collect(torch.rand(8, 3, SIZE, SIZE))
    else:
        model = PatchCore(backbone, coreset=1.0, neighbours=9 if variant == "nine" else 1)
        for _ in range(10 if int(rows) > 1024 else 1):
            model.collect(torch.rand(1, 3, SIZE, SIZE))
    model.finalise()
    model.release()
    model.eval()
    if variant == "compiled":
        compile_networks(model)
    if method != "padim":
        found = model.memory.memory.bank
        assert len(found) == int(rows), found.shape
    scope: dict = {}
    exec(LOOP, scope)
    scope["loop"](model)


def main() -> None:
    if sys.argv[1:2] == [SERVE]:
        serve(sys.argv[2], sys.argv[3])
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", nargs="+", default=CASES)
    parser.add_argument("--rounds", type=int, default=6, help="turns of every side")
    parser.add_argument("--repeats", type=int, default=10, help="images in a turn")
    parser.add_argument("--anomalib", help="the Python of an environment with anomalib")
    options = parser.parse_args()
    table = Table("case", *VARIANTS.values(), "anomalib", *(f"ratio {n}" for n in ("float32", "bfloat16")))
    for case in options.cases:
        chosen = [each for each in VARIANTS if each != "nine" or case.startswith("patchcore")]
        commands = {variant: ours(case, variant) for variant in chosen}
        if options.anomalib:
            commands["anomalib"] = [options.anomalib, "-c", PEER, case, str(THREADS)]
        found = measure(commands, rounds=options.rounds, repeats=options.repeats)
        times = {name: statistics.median(spent) for name, spent in found.items()}
        cells = [f"{times[name]:.1f}" if name in times else "" for name in (*VARIANTS, "anomalib")]
        ratios = [
            f"{times['anomalib'] / times[own]:.2f}x" if "anomalib" in times else ""
            for own in ("adframe", "bfloat16")
        ]
        table.add_row(case, *cells, *ratios)
    Console(width=140).print(table)


def ours(case: str, variant: str) -> list[str]:
    """The command of a process with a model of adframe."""
    return [sys.executable, "-m", "benchmarks.single_image", SERVE, case, variant, str(THREADS)]


def measure(commands: dict[str, list[str]], *, rounds: int, repeats: int) -> dict[str, list[float]]:
    """Lets processes work in turn.

    Args:
        commands: that start them, by side.
        rounds: turns of every side.
        repeats: images in a turn.

    Returns:
        Milliseconds of each image, by side.
    """
    running = {
        name: subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
        )
        for name, command in commands.items()
    }
    times: dict[str, list[float]] = {name: [] for name in running}
    try:
        for name in running:
            ask(running[name], WARM_UP)
        for _ in range(rounds):
            for name, process in running.items():
                times[name] += ask(process, repeats)
    finally:
        for process in running.values():
            pipe(process.stdin).close()
            process.wait()
    return times


def ask(process: subprocess.Popen[str], count: int) -> list[float]:
    """Milliseconds of a number of images, from a process that waits for a line."""
    pipe(process.stdin).write(f"{count}\n")
    pipe(process.stdin).flush()
    answer = pipe(process.stdout).readline()
    if not answer:
        raise SystemExit("a process of the benchmark ended early; its error is above")
    return [float(word) for word in answer.split()]


def pipe(stream: IO[str] | None) -> IO[str]:
    """One of the streams that were asked for."""
    assert stream is not None
    return stream


if __name__ == "__main__":
    main()
