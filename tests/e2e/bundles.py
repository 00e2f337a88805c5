"""Packs runs as bundles in this process, and runs the program of a bundle."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from adframe.cli.export import run_export


def packed(run: Path, out: Path, **options: Any) -> Path:
    """Packs a run, without measuring what `adframe predict` needs, which takes ten seconds to start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("adframe.cli.export._program", lambda *_, **__: [])
        return run_export(run, out, **options)


def program(
    bundle: Path, images: Sequence[Path], *options: str, python: str = sys.executable, **keywords: Any
) -> subprocess.CompletedProcess[str]:
    """Runs `predict.py` of a bundle."""
    return subprocess.run(
        [python, str(bundle / "predict.py"), *map(str, images), *options],
        capture_output=True, text=True, timeout=120, check=False, **keywords,
    )  # fmt: skip


def rows_of(printed: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(printed)))
