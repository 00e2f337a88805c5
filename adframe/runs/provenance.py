"""Collects the facts that a reader needs to repeat a run: versions, revision, hardware, data, command."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from adframe.io.program import typed_command
from adframe.io.secrets import hide_in_text

_RECORDED_PACKAGES = (
    "adframe", "torch", "torchvision", "lightning", "hydra-core", "timm", "torchmetrics", "scikit-learn",
    "wandb", "numpy"
)  # fmt: skip


def environment(*, seed: int, fingerprints: dict[str, str], command: list[str]) -> dict[str, Any]:
    """Collects the content of `environment.json` at the start of a run.

    Args:
        seed: the seed of the run.
        fingerprints: model or category -> hash of its image files.
        command: the command that started the run, as `command_line` returns it.

    Returns:
        Plain data: time, seed, command, versions, hardware, fingerprints.
    """
    return {
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "seed": seed,
        "command": command,
        "git_revision": git_revision(),
        "python": platform.python_version(),
        "versions": {name: _package_version(name) for name in _RECORDED_PACKAGES},
        "hardware": hardware(),
        "data_fingerprint": fingerprints,
    }


def command_line(arguments: list[str]) -> list[str]:
    """Returns the command that was typed, with a short name of the interpreter and without secrets.

    Args:
        arguments: the overrides as they were typed.

    Returns:
        The words of the command, such as `["python", "train.py", "model=padim"]`.
    """
    return [*typed_command(), *map(hide_in_text, arguments)]


def git_revision() -> str | None:
    """Returns the commit of the checkout from which this package runs.

    Returns:
        The hash, with `+` at its end where files were changed; None outside git.
    """
    folder = Path(__file__).parent
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+" if changed.strip() else "")


def hardware() -> dict[str, Any]:
    """Describes the system, processor, cores, memory in bytes and GPUs of this machine."""
    gpu = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpu": gpu or None,
    }


def _processor_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _package_version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
