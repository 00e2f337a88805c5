"""What one must know to repeat a run: versions, revision, hardware, data, the command."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from adframe.io.secrets import hide_in_text

PACKAGES = (
    "adframe", "torch", "torchvision", "lightning", "hydra-core", "timm", "torchmetrics", "scikit-learn",
    "wandb", "numpy"
)  # fmt: skip


def environment(*, seed: int, fingerprints: dict[str, str], command: list[str]) -> dict[str, Any]:
    """What `environment.json` holds at the start of a run."""
    return {
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "seed": seed,
        "command": command,
        "git_revision": git_revision(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        "hardware": hardware(),
        "data_fingerprint": fingerprints,
    }


def command_line(arguments: list[str]) -> list[str]:
    """The command that was typed, with the interpreter's short name and without secrets."""
    return ["python", Path(sys.argv[0]).name, *map(hide_in_text, arguments)]


def git_revision() -> str | None:
    """Commit of the checkout this package runs from, with `+` where files were changed; None outside git."""
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
    """Processor, cores, memory and accelerator."""
    gpu = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpu": gpu or None,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
