"""Starts the processes of a run on several devices, or joins those that torchrun or SLURM has started.

The first process is the one that the user sees: it writes the folder of the run and prints. The others do the
same work on their shares of the images and end with it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from adframe.config.messages import is_user_error, one_line
from adframe.errors import AdframeError
from adframe.io.child_processes import end_with_parent, environment_variables
from adframe.io.processes import Processes, join, leave
from adframe.io.program import command_of

_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_CONSEQUENCE = 1  # exit code of a process that tells its error in a file, or ends because of another one
_NOTICED_AFTER = 30.0  # seconds in which the first process notices by itself that another one has ended


def run_together(trainer: Mapping[str, Any], task: Callable[..., Path], *arguments: Any) -> Path | None:
    """Runs a task in as many processes as `trainer=` asks for.

    Args:
        trainer: the options of `trainer=`: `accelerator`, `devices`, `num_nodes`, and `ray` where Ray starts
            the processes.
        task: a function of a module that returns the folder of a run.
        arguments: its arguments, which can be pickled.

    Returns:
        The folder; None in another process than the first one.

    Raises:
        AdframeError: the number of processes is not possible, or one of them has failed.
    """
    if trainer.get("ray") is not None:
        from adframe.cli.ray_processes import run_with_ray

        return run_with_ray(trainer, task, arguments)
    here = wanted_processes(trainer)
    machines = int(trainer.get("num_nodes") or 1)
    started = _started_processes()
    if started is None and here * machines == 1:
        return task(*arguments)
    gpu = uses_gpu(trainer)
    if started is not None:
        _check_started(started, here=here, machines=machines, trainer=trainer)
        with environment_variables(started), joined(gpu=gpu) as processes:
            folder = task(*arguments)
            return folder if processes.first else None
    if machines > 1:
        raise AdframeError(
            f"trainer.num_nodes={machines} needs the command to be started on every machine: "
            f"srun {command_of('train')} ..., or torchrun --nnodes=... train.py ..."
        )
    return _with_others(here, gpu, task, arguments)


def is_shared(trainer: Mapping[str, Any]) -> bool:
    """Tells whether `trainer=` starts other processes, which know nothing of Hydra.

    Args:
        trainer: the options of `trainer=`.
    """
    return trainer.get("ray") is not None or wanted_processes(trainer) > 1


def wanted_processes(trainer: Mapping[str, Any]) -> int:
    """Returns how many processes `trainer=` asks for on each machine.

    Args:
        trainer: the options of `trainer=`.

    Example:
        >>> wanted_processes({"accelerator": "cpu", "devices": 3})
        3
    """
    devices = trainer.get("devices", 1)
    if isinstance(devices, int) and not isinstance(devices, bool) and devices > 0:
        return devices
    if isinstance(devices, str) and devices.isdigit() and int(devices):
        return int(devices)
    if devices in ("auto", "-1", -1):
        return _gpus() if uses_gpu(trainer) else 1
    return len(devices) if not isinstance(devices, str | int | None) else 1  # Lightning refuses the rest


def uses_gpu(trainer: Mapping[str, Any]) -> bool:
    """Tells whether the processes have GPUs.

    Args:
        trainer: the options of `trainer=`.
    """
    return trainer.get("accelerator") in ("gpu", "cuda", "auto") and _gpus() > 0


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


def _started_processes() -> dict[str, str] | None:
    """Returns the variables of torchrun, or those of SLURM under the same names; None without either, and
    where only one process was started.
    """
    needed = [name for name in _VARIABLES if name != "LOCAL_WORLD_SIZE"]
    if all(name in os.environ for name in needed) and os.environ["WORLD_SIZE"] != "1":
        found = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
        return {"LOCAL_WORLD_SIZE": found["WORLD_SIZE"]} | found
    if int(os.environ.get("SLURM_NTASKS", "1")) < 2:
        return None
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

    if not SLURMEnvironment.detect():  # such as an interactive job, in which the user starts one process
        return None
    try:
        cluster = SLURMEnvironment(auto_requeue=False)
    except RuntimeError as error:  # Lightning accepts --ntasks-per-node only
        raise AdframeError(f"SLURM: {one_line(error)}") from error
    return {
        "RANK": str(cluster.global_rank()),
        "LOCAL_RANK": str(cluster.local_rank()),
        "WORLD_SIZE": str(cluster.world_size()),
        "LOCAL_WORLD_SIZE": os.environ["SLURM_NTASKS_PER_NODE"],
        "MASTER_ADDR": cluster.main_address,
        "MASTER_PORT": str(cluster.main_port),
    }


def _check_started(
    started: Mapping[str, str], *, here: int, machines: int, trainer: Mapping[str, Any]
) -> None:
    total = int(started["WORLD_SIZE"])
    if total != here * machines and trainer.get("devices") != "auto":
        raise AdframeError(
            f"{total} processes were started, by torchrun or SLURM, and trainer.devices={here} with "
            f"trainer.num_nodes={machines} are {here * machines}: set trainer.devices=auto or start as many"
        )


@contextlib.contextmanager
def joined(*, gpu: bool) -> Iterator[Processes]:
    """Joins the other processes; all but the first are silent.

    Args:
        gpu: whether each process has a GPU.

    Yields:
        The processes.
    """
    processes = join(gpu=gpu)
    try:
        if processes.first:
            yield processes
        else:
            with (
                Path(os.devnull).open("w") as nowhere,
                contextlib.redirect_stdout(nowhere),
                contextlib.redirect_stderr(nowhere),
            ):
                yield processes
    finally:
        leave()


def _with_others(count: int, gpu: bool, task: Callable[..., Path], arguments: tuple[Any, ...]) -> Path:
    """Starts the other processes of this machine, and runs the task as the first one."""
    import torch
    from lightning.fabric.plugins.environments.lightning import find_free_network_port

    threads = max(1, torch.get_num_threads() // count)
    shared = {
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(find_free_network_port()),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads)),
        "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
    }
    before = torch.get_num_threads()
    with tempfile.TemporaryDirectory(prefix="adframe-") as place:
        work = Path(place) / "task.pickle"
        work.write_bytes(pickle.dumps((gpu, task, arguments)))
        others = [_start(work, shared | {"RANK": str(i), "LOCAL_RANK": str(i)}) for i in range(1, count)]
        own = {name: shared[name] for name in _VARIABLES[2:]} | {"RANK": "0", "LOCAL_RANK": "0"}
        ended = threading.Event()
        watcher = threading.Thread(target=_watch, args=(others, Path(place), ended), daemon=True)
        watcher.start()
        try:
            torch.set_num_threads(threads)
            with environment_variables(own), joined(gpu=gpu):
                result = task(*arguments)
            for other in others:
                _end(other)
            if (reason := _reason(Path(place), others)) is not None:
                raise AdframeError(reason)
            return result
        except AdframeError:
            raise  # all processes have the same one
        except Exception as error:
            time.sleep(1.0)  # the process that failed first is still writing why
            if (reason := _reason(Path(place), others)) is not None:
                raise AdframeError(reason) from error
            raise
        finally:
            ended.set()
            torch.set_num_threads(before)
            for other in others:  # that still run after an error
                other.kill()
                other.wait()


def _start(work: Path, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
    rank = variables["RANK"]
    with (work.parent / f"{rank}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "adframe.cli.processes", str(work)],
            env=os.environ | dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches the first process, which ends the others
        )


def _watch(others: list[subprocess.Popen[bytes]], place: Path, ended: threading.Event) -> None:
    """Ends this process when another one is lost and the exchange between them does not notice it."""
    while not ended.wait(1.0):
        if any(other.poll() not in (None, 0) for other in others):
            if not ended.wait(_NOTICED_AFTER):
                print(f"error: {_reason(place, others)}", file=sys.stderr)
                os._exit(2)
            return


def _reason(place: Path, others: Sequence[subprocess.Popen[bytes]]) -> str | None:
    """Returns why another process failed; None where none has."""
    for file in sorted(place.glob("*.error")):
        return f"process {file.stem}: {file.read_text(encoding='utf-8')}"
    codes = {rank: other.poll() for rank, other in enumerate(others, start=1)}
    lost = {rank: code for rank, code in codes.items() if code not in (None, 0, _CONSEQUENCE)}
    for rank, code in lost.items():
        how = f"was killed by signal {-code}" if code < 0 else f"has ended with exit code {code}"
        return f"process {rank} {how}"
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Waits for a process that has ended its work."""
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main(work: Path) -> int:
    """Runs the task of the first process as another one.

    Args:
        work: the pickled task.

    Returns:
        The exit code.
    """
    end_with_parent()
    gpu, task, arguments = pickle.loads(work.read_bytes())  # written by the first process
    try:
        with joined(gpu=gpu):
            task(*arguments)
    except BaseException as error:
        text = one_line(error) if isinstance(error, Exception) else type(error).__name__
        # A lost connection is the consequence of an error of another process.
        if not isinstance(error, KeyboardInterrupt) and "Connection closed by peer" not in text:
            if not (isinstance(error, Exception) and is_user_error(error)):
                text = "".join(traceback.format_exception(error)).strip().rpartition("\n")[2]
            (work.parent / f"{os.environ['RANK']}.error").write_text(text, encoding="utf-8")
        return _CONSEQUENCE
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
