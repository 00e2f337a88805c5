"""Whole studies, as a user types them, beside what they cannot do without; each side in processes of its own.

    python -m benchmarks.studies                                              # the toy set
    python -m benchmarks.studies dataset=mvtec_ad dataset.root=<folder> category=screw backbone=resnet18 \
        backbone.checkpoint=<weights> coreset=0.01

- An ablation over three coreset ratios beside one run of the largest without a store.
- A domain-shift study (two methods) beside loading, shifting and the network for every image in every
  domain once, which none can do without: six passes, with the loading processes of a run.
- Six runs by two joblib workers beside the same runs one after the other.

Wall seconds, stores empty at the start of each side. Start-up (importing PyTorch, composing) is in the
commands and is shown by itself. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from rich.console import Console

ROOT = Path(__file__).parents[1]
RATIOS = "coreset=0.01,0.05,0.1"
QUIET = ("logger=none",)
PASSES = "passes"  # first argument of the process that only reads features


def seconds(script: str, *overrides: str, place: Path) -> float:
    """Of one command, in a folder of its own."""
    place.mkdir(parents=True)
    where = {"train": f"paths.run={place / 'run'}", "sweep": f"hydra.sweep.dir={place / 'sweep'}"}
    command = [*overrides, *QUIET, where.get(script, "hydra.run.dir=."), f"paths.store={place / 'store'}"]
    return timed([sys.executable, str(ROOT / f"{script}.py"), *command])


def timed(command: Sequence[str]) -> float:
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return time.perf_counter() - start


def passes(given: Sequence[str]) -> None:
    """Every split of every category, as it is and shifted: images loaded, features read, nothing kept."""
    import torch

    from adframe.config.build import build, build_data, build_source

    for shift in ("none", "moderate"):
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            overrides = [*given, f"shift={shift}", "shift.splits=[train,val,test]"]
            cfg = compose("train", overrides=overrides, return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        source = build_source(cfg)
        backbone = build(cfg, "backbone")
        for name in source.choose(cfg.category):
            data = build_data(cfg, source, [name])
            data.setup()
            with torch.no_grad():
                for loader in (data.train_dataloader(), data.val_dataloader(), data.test_on(name)):
                    for batch in loader:
                        backbone(batch["image"])


def main() -> None:
    given = sys.argv[1:]
    if given[:1] == [PASSES]:
        passes(given[1:])
        return
    console, own = Console(), [text for text in given if not text.startswith("coreset=")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train = [sys.executable, str(ROOT / "train.py"), *given]
        timed([*train, *QUIET, f"paths.run={folder / 'warm'}"])  # draws the toy set
        start_up = timed([sys.executable, "-c", "import adframe.runs.train"])
        one = seconds("train", *own, "coreset=0.1", "store=none", place=folder / "one")
        three = seconds("sweep", "-m", *own, RATIOS, place=folder / "three")
        say(console, "three coreset ratios", three, "one run of the largest, no store", one)
        read = timed([sys.executable, "-m", "benchmarks.studies", PASSES, *given])
        study = seconds("sweep", "experiment=domain_shift", *given, place=folder / "shift")
        say(console, "the domain-shift study", study, "its distinct feature passes", read)
        jobs = ("-m", *own, RATIOS, "model.neighbours=1,9")
        alone = seconds("sweep", *jobs, place=folder / "local")
        both = seconds("sweep", *jobs, "launcher=joblib", "launcher.workers=2", place=folder / "joblib")
        say(console, "six runs by two joblib workers", both, "one after the other", alone)
    console.print(f"of each command about {start_up:.1f} s are start-up (imports); {os.cpu_count()} cores")


def say(console: Console, study: str, spent: float, beside: str, other: float) -> None:
    console.print(f"{study}: {spent:.1f} s, {spent / other:.2f} times {other:.1f} s ({beside})")


if __name__ == "__main__":
    main()
