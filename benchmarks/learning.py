"""A training step beside the same network's bare forward and backward, scoring beside one forward, in turn.

    python benchmarks/learning.py                   # two minutes on two cores
    python benchmarks/learning.py --precision bf16

Weights and images are random: time does not depend on them. Processor time says what a step costs where
other work shares the machine.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from adframe.contracts import IMAGE, INDEX, LABEL, MASK
from adframe.models.dino_lora import DinoLora
from adframe.models.lora import Lora
from adframe.models.scoring import Scoring
from adframe.models.sit import SiT
from adframe.models.token_scores import TokenScoring
from adframe.models.vit import Vit

MODEL, SIZE, BATCH = "vit_tiny_patch16_224", 224, 16
Time = tuple[float, float]  # of the wall, of the processor


def sit_pair(image: Tensor) -> tuple[Callable[[], object], Callable[[], object]]:
    """A step of masked reconstruction, and the bare network's, all layers learning."""
    model = SiT(Vit(MODEL, source="random"), scoring=Scoring()).train()
    vit, batch = model.vit, {IMAGE: image, INDEX: torch.arange(len(image))}

    def step() -> None:
        model.zero_grad(set_to_none=True)
        model.loss(batch)["total"].backward()

    def bare() -> None:
        vit.zero_grad(set_to_none=True)
        vit(vit.normalise(image)).square().mean().backward()

    return step, bare


def lora_pair(image: Tensor) -> tuple[Callable[[], object], Callable[[], object]]:
    """A step on synthetic anomalies, and the bare network's, adapters learning."""
    model = DinoLora(Vit(MODEL, source="random"), lora=Lora(), scoring=TokenScoring(score="decoder")).train()
    mask = torch.zeros(len(image), 1, SIZE, SIZE)
    mask[::2, :, 40:80, 60:120] = 1
    batch = {IMAGE: image, MASK: mask, LABEL: mask.amax((1, 2, 3))}

    def step() -> None:
        model.zero_grad(set_to_none=True)
        model.loss(batch)["total"].backward()

    def bare() -> None:
        model.vit.zero_grad(set_to_none=True)
        model.vit(model.vit.normalise(image)).square().mean().backward()

    return step, bare


def score_pair(image: Tensor) -> tuple[Callable[[], object], Callable[[], object], int]:
    """Scores of a batch, one forward of it, and how many forwards the scores take."""
    model = SiT(Vit(MODEL, source="random"), scoring=Scoring()).eval()
    passes = sum(len(each) for each in model.scoring.covers(model.masking.grid(image)))
    return lambda: model.errors(image), lambda: model.vit(model.vit.normalise(image)), passes


def median(times: Iterable[Time]) -> Time:
    wall, used = (statistics.median(column) for column in zip(*times, strict=True))
    return wall, used


def seconds(run: Callable[[], object]) -> Time:
    start, used = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - start, time.process_time() - used


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--precision", choices=("float32", "bf16"), default="float32")
    options = parser.parse_args()
    image = torch.from_numpy(np.random.default_rng(0).random((BATCH, 3, SIZE, SIZE), dtype=np.float32))
    table = Table(title=f"{MODEL}, {BATCH} images of {SIZE}, {options.precision}; wall / processor, s")
    for heading in ("stage", "adframe", "bare", "ratio"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    scores, forward, passes = score_pair(image)
    pairs = [("SiT, training step", *sit_pair(image)), ("LoRA, training step", *lora_pair(image))]
    with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16"):
        for name, ours, bare in pairs:
            ours(), bare()
            row(table, name, [(seconds(ours), seconds(bare)) for _ in range(options.repeats)])
        with torch.no_grad():
            scores(), forward()
            turns = [(seconds(scores), seconds(forward)) for _ in range(options.repeats)]
        row(table, f"SiT, scores: {passes} masked passes", turns)
        row(table, "the same, a pass", [((a / passes, b / passes), bare) for (a, b), bare in turns])
    Console(width=120).print(table)


def row(table: Table, name: str, turns: list[tuple[Time, Time]]) -> None:
    left, right = (median(column) for column in zip(*turns, strict=True))
    cells = [f"{wall:.3f} / {used:.3f}" for wall, used in (left, right)]
    table.add_row(name, *cells, f"{left[0] / right[0]:.2f}x / {left[1] / right[1]:.2f}x")


if __name__ == "__main__":
    main()
