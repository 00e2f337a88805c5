"""The three scripts as a user runs them: in a process of their own, or here, which is much quicker."""

from __future__ import annotations

import contextlib
import io
import json
import os
import runpy
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from adframe.cli import attempts
from adframe.cli.train import run_training
from adframe.cli.typed import TypedOverrides
from adframe.results.predictions import read_predictions

ROOT = Path(__file__).parents[2]
COUNTS = (
    "dataset.size=64",
    "dataset.train=6",
    "dataset.validation=2",
    "dataset.test_good=3",
    "dataset.test_bad=4",
)
BACKBONE = (
    "backbone=timm", "backbone.model=test_resnet", "backbone.layers=[layer2,layer3]", "backbone.source=random"
)  # fmt: skip
SMALL = (*COUNTS, *BACKBONE, "image_size=64", "num_workers=0", "logger=none")
WITH_SIGINT = """
import os, signal, sys
signal.signal(signal.SIGINT, getattr(signal, sys.argv[1]))
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a script leaves behind in the terminal."""

    code: int
    out: str
    err: str


def command(script: str, *overrides: str) -> list[str]:
    return [sys.executable, str(ROOT / f"{script}.py"), *overrides]


def clean_environment(home: Path) -> dict[str, str]:
    """Ours, without accounts and without what an earlier tracker left in it; `home` knows nobody."""
    return {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")} | {"HOME": str(home)}


def start(
    script: str, *overrides: str, cwd: Path, interruptible: bool = True, session: bool = False
) -> subprocess.Popen[str]:
    """Starts `python <script>.py <overrides>` in `cwd`, whose output is read through pipes.

    A process inherits ignored signals: what a shell or a CI runner started with `&` or `nohup` ignores
    SIGINT, and so would its tests' children. So the disposition of SIGINT is always set again.

    Args:
        script: its name without the suffix.
        overrides: its arguments.
        cwd: the folder it stands in, and its home.
        interruptible: whether SIGINT stops it; if not, it ignores SIGINT.
        session: whether it leads a process group of its own.
    """
    disposition = "SIG_DFL" if interruptible else "SIG_IGN"
    return subprocess.Popen(
        [sys.executable, "-c", WITH_SIGINT, disposition, *command(script, *overrides)],
        cwd=cwd, env=clean_environment(cwd), start_new_session=session,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for(files: Callable[[], object], process: subprocess.Popen[str], *, seconds: float = 240) -> None:
    """Returns as soon as `files` finds something, the process has ended, or the time is over."""
    end = time.monotonic() + seconds
    while not files() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)


def spawn(script: str, *overrides: str, cwd: Path) -> Outcome:
    """Runs `python <script>.py <overrides>` in `cwd`."""
    done = subprocess.run(
        command(script, *overrides),
        cwd=cwd, env=clean_environment(cwd), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return Outcome(done.returncode, done.stdout, done.stderr)


def call(script: str, *overrides: str) -> Outcome:
    """The same in this process: the script's own lines run as `__main__`, with its own arguments."""
    out, err = io.StringIO(), io.StringIO()
    attempts.stopping_errors.clear()
    code: Any = 0
    with (
        patch.object(sys, "argv", command(script, *overrides)[1:]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
        except SystemExit as left:
            code = left.code
    attempts.stopping_errors.clear()
    return Outcome(int(code or 0), out.getvalue(), err.getvalue())


def composed(name: str, *overrides: str) -> DictConfig:
    """A configuration as `hydra.main` hands it over; `HydraConfig` is set."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose(name, overrides=list(overrides), return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg


def train_here(*overrides: str) -> Path:
    """One run in this process; returns its folder."""
    return run_training(composed("train", *overrides), TypedOverrides.from_hydra())


def metrics_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "metrics.json").read_text())
    return found


def numbers_of(run: Path) -> tuple[Any, Any, Any]:
    """Everything of a run that must repeat: metrics, what was fitted, and the ledger; times are left out."""
    metrics = metrics_of(run)
    fitted = {
        unit: {name: value for name, value in facts.items() if not name.startswith("seconds/")}
        for unit, facts in metrics["val"].items()
    }
    rows = [{**row, "milliseconds": 0} for row in read_predictions(run / "predictions.parquet")]
    return metrics["test"], fitted, rows
