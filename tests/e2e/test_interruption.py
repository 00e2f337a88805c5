"""Ctrl-C, a full disk, a full memory: one line, and no half-written run."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch

from adframe.cli.main import guard
from adframe.config import recipe
from adframe.systems.training_free import TrainingFreeSystem
from tests.covering import further
from tests.e2e.scripts import call, command, spawn, start, wait_for


def stopped(
    *overrides: str, until: Path, cwd: Path, by: signal.Signals = signal.SIGINT, interruptible: bool = True
) -> tuple[int, str]:
    """Exit code and standard error of a training that gets a signal as soon as a file is there."""
    process = start("train", *overrides, cwd=cwd, interruptible=interruptible)
    wait_for(until.is_file, process)
    os.kill(process.pid, by)
    return process.ended()


@pytest.mark.slow
@pytest.mark.exhaustive
def test_ctrl_c_before_the_first_category_leaves_nothing(base: list[str], tmp_path: Path) -> None:
    run = tmp_path / "runs" / "run"
    code, err = stopped(*base, f"paths.run={run}", until=run / "environment.json", cwd=tmp_path)
    assert (code, err) == (130, "error: stopped\n")
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_ctrl_c_after_a_category_keeps_it_and_says_how_to_go_on(base: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    code, err = stopped(*base, f"paths.run={run}", until=run / "metrics.json", cwd=tmp_path)
    assert code == 130
    assert_keeps_the_first(run, err)


def assert_keeps_the_first(run: Path, err: str) -> None:
    assert err.startswith("error: stopped; bracket")
    assert err.endswith(f" done; go on with: python train.py resume={run}\n")
    assert err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "interruptible", further([True, False], often=[False]), ids=["foreground", "SIGINT ignored"]
)
def test_sigterm_stops_a_run_in_the_same_way(interruptible: bool, base: list[str], tmp_path: Path) -> None:
    """What was started in the background ignores Ctrl-C, so SIGTERM has to stop it."""
    run = tmp_path / "runs" / "run"
    terminated = partial(stopped, cwd=tmp_path, by=signal.SIGTERM, interruptible=interruptible)
    code, err = terminated(*base, f"paths.run={run}", until=run / "environment.json")
    assert (code, err) == (143, "error: stopped\n")
    assert not (tmp_path / "runs").exists()
    code, err = terminated(*base, f"paths.run={run}", until=run / "metrics.json")
    assert code == 143
    assert_keeps_the_first(run, err)


def test_sigterm_while_images_are_tested_is_not_swallowed(
    base: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning takes SIGTERM while it works, and of itself looks at it in training loops only."""
    work = TrainingFreeSystem.test_step

    def terminated(system: TrainingFreeSystem, *given: Any) -> Any:
        signal.raise_signal(signal.SIGTERM)
        return work(system, *given)

    monkeypatch.setattr(TrainingFreeSystem, "test_step", terminated)
    before = signal.getsignal(signal.SIGTERM)
    outcome = call("train", *base, "category=weave", f"paths.runs={tmp_path / 'runs'}")
    assert (outcome.code, outcome.err) == (143, "error: stopped\n")
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) == before


class StoppedWhileDeleted:
    """Gets a signal inside of `__del__`, where Python drops the exception of the handler."""

    def __init__(self, number: signal.Signals) -> None:
        self.number = number

    def __del__(self) -> None:
        signal.raise_signal(self.number)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"]
)
def test_a_signal_inside_of_a_destructor_stops_the_run(
    number: signal.Signals, code: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py"])
    finished = []

    def main() -> None:
        StoppedWhileDeleted(number)
        time.sleep(5)
        finished.append(True)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(SystemExit) as exit_:
            guard(main)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (exit_.value.code, finished) == (code, [])
    assert capfd.readouterr().err == "error: stopped\n"


@pytest.mark.slow
def test_a_file_system_that_takes_no_more_is_one_line(base: list[str], tmp_path: Path) -> None:
    """20 kB a file: the configuration fits, features and checkpoints do not."""
    process = start("train", *base, "category=weave", "paths.runs=runs", cwd=tmp_path, largest_file=20_000)
    code, err = process.ended(seconds=120)
    assert code == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "File too large" in err or "requested" in err
    assert not (tmp_path / "runs").exists()


def full(*_: Any, **__: Any) -> NoReturn:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("name", ["predictions.parquet", "weave.ckpt", "report.html"])
def test_a_disk_that_fills_up_while_results_are_written_names_the_file(
    name: str, base: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", lambda p, data: full() if name in p.name else write(p, data))
    outcome = call("train", *base, "category=weave", f"paths.runs={tmp_path / 'runs'}")
    assert outcome.code == 2
    assert outcome.err.startswith("error: cannot write ")
    assert name in outcome.err
    assert "free some disk space" in outcome.err
    assert outcome.err.count("\n") == 1
    assert (tmp_path / "runs").exists() == (name == "report.html")  # its category was finished
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_memory_that_is_full_is_one_line(
    base: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: Any) -> NoReturn:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    monkeypatch.setattr(TrainingFreeSystem, "training_step", exhausted)
    outcome = call("train", *base, "category=weave", f"paths.runs={tmp_path / 'runs'}")
    assert outcome.code == 2
    assert outcome.err.startswith("error: the memory is full; lower batch_size, image_size or coreset")
    assert list(tmp_path.iterdir()) == []


def test_a_bug_keeps_its_traceback_and_leaves_no_folder(
    base: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "build_trainer", lambda *_, **__: np.zeros(1)[3])
    with pytest.raises(IndexError):
        call("train", *base, "category=weave", f"paths.runs={tmp_path / 'runs'}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_normal_run_says_nothing_on_standard_error(base: list[str], tmp_path: Path) -> None:
    """With loading processes, and an evaluation after it; library warnings would stand here."""
    outcome = spawn("train", *base, "category=weave", "num_workers=1", "paths.run=run", cwd=tmp_path)
    assert (outcome.code, outcome.err) == (0, "")
    table = outcome.out.partition("PatchCore on weave")[0].splitlines()
    assert 0 < max(map(len, table)) <= 100
    again = spawn("evaluate", "run=run", cwd=tmp_path)
    assert (again.code, again.err) == (0, "")
    assert "equal the run's to the last digit" in again.out


def test_help_is_short_and_shows_what_to_type(tmp_path: Path) -> None:
    outcome = spawn("train", "--help", cwd=tmp_path)
    assert outcome.code == 0
    for text in ("python sweep.py -m", "category=all", "coreset=", "patchcore", "paths.run="):
        assert text in outcome.out
    usage, _, rest = outcome.out.partition("Choices")
    typed = usage + rest.partition("typed most")[2].partition("All keys")[0]
    assert max(map(len, typed.splitlines())) <= 100


def test_a_reader_who_has_read_enough_is_no_error() -> None:
    line = f"{' '.join(command('evaluate', '--help'))} | head -1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert done.stdout == "Usage\n"
    assert done.stderr == ""
