"""The three scripts as a user runs them: in a process of their own, or here, which is much quicker."""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import multiprocessing
import os
import resource
import runpy
import signal
import subprocess
import sys
import tempfile
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
# Parent of the processes of `start`: it has imported what a script imports, which takes ten seconds.
IMPORTED = multiprocessing.get_context("forkserver")
IMPORTED.set_forkserver_preload(["tests.e2e.scripts", "adframe.sweeps.job"])


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


class Started:
    """A script in a process of its own, which signals reach; its output goes to files in its folder."""

    def __init__(self, process: Any, streams: Path) -> None:
        self._process, self._streams = process, streams
        self.pid: int = process.pid

    def is_running(self) -> bool:
        return bool(self._process.is_alive())

    def ended(self, *, seconds: float = 90) -> tuple[int, str]:
        """Waits for its end; returns its exit code and what it wrote to standard error."""
        self._process.join(seconds)
        assert not self.is_running(), f"it still runs after {seconds} s"
        return self._process.exitcode, (self._streams / "err").read_text()


def start(
    script: str,
    *overrides: str,
    cwd: Path,
    interruptible: bool = True,
    session: bool = False,
    largest_file: int | None = None,
) -> Started:
    """Starts a script in `cwd` as `python <script>.py <overrides>` does, without its ten seconds of imports.

    The process is forked from one that has nothing but the imports, and runs the script's own lines as
    `__main__`. Tests of what a process prints from its first import on use `spawn`.

    Args:
        script: its name without the suffix.
        overrides: its arguments.
        cwd: the folder it stands in, and its home.
        interruptible: whether SIGINT stops it; if not, it ignores SIGINT.
        session: whether it leads a process group of its own.
        largest_file: bytes of the largest file that it can write; None is no limit.
    """
    streams = Path(tempfile.mkdtemp(dir=cwd.parent))
    process = IMPORTED.Process(
        target=_run_script,
        args=(
            command(script, *overrides)[1:],
            cwd,
            streams,
            clean_environment(cwd),
            interruptible,
            session,
            largest_file,
        ),
    )
    with contextlib.chdir(ROOT):  # the first call starts the parent, which finds the modules in its folder
        process.start()
    return Started(process, streams)


def _run_script(
    arguments: list[str],
    cwd: Path,
    streams: Path,
    environment: dict[str, str],
    interruptible: bool,
    session: bool,
    largest_file: int | None,
) -> None:
    """Becomes a script: folder, environment, streams and signals are those of a process of its own."""
    if session:
        os.setsid()
    # A process inherits ignored signals, also from a shell or a CI runner that started the tests with `&`.
    signal.signal(signal.SIGINT, signal.default_int_handler if interruptible else signal.SIG_IGN)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    for name, number in (("out", 1), ("err", 2)):
        file = os.open(streams / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    if largest_file is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing more is an error then, not the end
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    sys.argv, sys.path[0] = arguments, str(ROOT)
    try:
        runpy.run_path(arguments[0], run_name="__main__")
    finally:
        atexit._run_exitfuncs()  # a process of `multiprocessing` ends without them


def wait_for(files: Callable[[], object], process: Started, *, seconds: float = 240) -> None:
    """Returns as soon as `files` finds something, the process has ended, or the time is over."""
    end = time.monotonic() + seconds
    while not files() and process.is_running() and time.monotonic() < end:
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
