"""Starts the processes of a run with Ray Train, on this machine or on a cluster."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from adframe.cli.processes import joined, uses_gpu, wanted_processes
from adframe.config.messages import is_user_error, one_line
from adframe.errors import AdframeError
from adframe.io.packages import require_package
from adframe.io.ray_session import ray_session

_RESULT, _ERROR = "folder", "error"


def run_with_ray(trainer: Mapping[str, Any], task: Callable[..., Path], arguments: tuple[Any, ...]) -> Path:
    """Runs a task in the workers of one Ray Train job, and waits for it.

    Ray's workers join each other; Lightning then averages gradients as in `trainer=ddp`. All machines of a
    cluster need the same folders, and the same packages.

    Args:
        trainer: the options of `trainer=`; `ray.address` is that of a cluster, None starts Ray here.
        task: a function of a module that returns the folder of a run.
        arguments: its arguments, which can be pickled.

    Returns:
        The folder.

    Raises:
        AdframeError: Ray is not installed or cannot be reached, or a worker has failed.
    """
    require_package("ray", group="trainer", option="ray", extra="ray")
    options = trainer["ray"]
    from ray.train import RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.util.queue import Queue

    gpu, workers = uses_gpu(trainer), wanted_processes(trainer) * int(trainer.get("num_nodes") or 1)

    resources = {"CPU": int(options.get("threads") or 1)} | ({"GPU": 1} if gpu else {})

    def work() -> None:
        try:
            with joined(gpu=gpu) as processes:
                folder = task(*arguments)
                if processes.first:
                    reports.put((_RESULT, str(folder)))
        except Exception as error:
            if is_user_error(error):
                reports.put((_ERROR, one_line(error)))
            raise

    with ray_session(options.get("address"), option="trainer.ray.address"):
        reports = Queue()  # a worker may run on another machine
        with tempfile.TemporaryDirectory(prefix="adframe-") as storage:
            job = TorchTrainer(
                work,
                scaling_config=ScalingConfig(
                    num_workers=workers,
                    use_gpu=gpu,
                    resources_per_worker=resources,
                ),
                run_config=RunConfig(storage_path=storage, name="adframe"),
                torch_config=TorchConfig(backend="nccl" if gpu else "gloo"),
            )
            try:
                job.fit()
            except TrainingFailedError as error:
                told = dict(reports.get_nowait_batch(reports.qsize()))
                text = str(told.get(_ERROR) or f"trainer=ray: a worker has failed: {one_line(error)}")
                raise AdframeError(text) from error
        return Path(dict(reports.get_nowait_batch(reports.qsize()))[_RESULT])
