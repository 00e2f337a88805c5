"""The validation scores that a run's thresholds were chosen on: `validation/<category>.json`.

Kept because they are few and say more than a threshold: other rules can be fitted on them later
without a model, and without a look at test images.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adframe.errors import AdframeError
from adframe.io.files import write_json

FOLDER = "validation"


@dataclass(frozen=True, slots=True)
class ValidationScores:
    """Raw image scores, each rising."""

    normal: np.ndarray  # (n,) float64
    anomalous: np.ndarray  # (m,) float64; empty where validation holds normal images only


def write_scores(run: Path, *, unit: str, scores: Mapping[str, Sequence[float]]) -> None:
    """Keeps what a model said of its validation images.

    Args:
        run: the run's folder.
        unit: the model's: a category, or `global`.
        scores: raw scores under `normal` and `anomalous`.
    """
    kept = {kind: sorted(map(float, scores[kind])) for kind in ("normal", "anomalous")}
    write_json(run / FOLDER / f"{unit}.json", kept)


def read_scores(run: Path, *, category: str) -> ValidationScores | None:
    """Those of a category, or of the one model for all; None where the run has kept none.

    Raises:
        AdframeError: the file is there and cannot be understood.
    """
    files = [run / FOLDER / f"{unit}.json" for unit in (category, "global")]
    path = next((file for file in files if file.is_file()), None)
    if path is None:
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        kept = [np.array(stored[kind], dtype=np.float64) for kind in ("normal", "anomalous")]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise AdframeError(f"cannot read {path}: {error!r}; delete it, or run again") from error
    if not len(kept[0]) or not all(np.isfinite(each).all() and each.ndim == 1 for each in kept):
        raise AdframeError(f"{path} holds no finite normal scores; delete it, or run again")
    return ValidationScores(*kept)


def copy_scores(run: Path, *, to: Path) -> None:
    """Brings them along to an evaluation of the run, whose thresholds rest on them too."""
    for file in sorted((run / FOLDER).glob("*.json")):
        write_json(to / FOLDER / file.name, json.loads(file.read_text(encoding="utf-8")))
