"""The validation scores from which a run's thresholds were fitted: `validation/<category>.json`.

They are stored because other rules can be fitted to them later, without the model and without test images.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from adframe.errors import AdframeError
from adframe.io.files import write_json

VALIDATION_FOLDER = "validation"


@dataclass(frozen=True, slots=True)
class ValidationScores:
    """Raw image scores of validation images, ascending.

    Attributes:
        normal: (n,) float64.
        anomalous: (m,) float64; empty where all validation images are normal.
        parts: category -> the scores of each part's normal images, in the order of their paths; {} in files
            of earlier versions.
        refitted: whether the normal images joined the model after they were scored; None in files of earlier
            versions, see `joined_the_model`.

    Example:
        >>> ValidationScores(normal=np.array([0.1, 0.3]), anomalous=np.array([])).normal.tolist()
        [0.1, 0.3]
    """

    normal: np.ndarray
    anomalous: np.ndarray
    parts: Mapping[str, Sequence[np.ndarray]] = field(default_factory=dict)
    refitted: bool | None = None

    def joined_the_model(self, config: Mapping[str, Any]) -> bool:
        """Returns whether the normal images joined the model, which then scores all normal images lower.

        Args:
            config: of the run, which tells it for files of earlier versions.
        """
        if self.refitted is not None:
            return self.refitted
        return bool(config.get("refit")) and config.get("shots") is None and not config.get("learning")


def write_scores(
    run: Path,
    *,
    unit: str,
    scores: Mapping[str, Sequence[float]],
    parts: Mapping[str, Sequence[Sequence[float]]] | None = None,
    refitted: bool = False,
) -> None:
    """Writes the validation scores of a model.

    Args:
        run: the run's folder.
        unit: the model: a category, or `global`.
        scores: raw scores under `normal` and `anomalous`.
        parts: category -> the scores of each part's normal images; None where the parts are unknown.
        refitted: whether the normal images joined the model after they were scored.
    """
    kept: dict[str, Any] = {kind: sorted(map(float, scores[kind])) for kind in ("normal", "anomalous")}
    kept["refitted"] = refitted
    if parts:
        kept["parts"] = {name: [list(map(float, part)) for part in own] for name, own in parts.items()}
    write_json(run / VALIDATION_FOLDER / f"{unit}.json", kept)


def read_scores(run: Path, *, category: str) -> ValidationScores | None:
    """Reads the validation scores of the model that tested a category.

    Args:
        run: the run's folder.
        category: the name of the category; a run with one model for all has the file `global`.

    Returns:
        The scores; None where the run has stored none.

    Raises:
        AdframeError: the file exists and cannot be read.
    """
    files = [run / VALIDATION_FOLDER / f"{unit}.json" for unit in (category, "global")]
    path = next((file for file in files if file.is_file()), None)
    if path is None:
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        kept = [np.array(stored[kind], dtype=np.float64) for kind in ("normal", "anomalous")]
        parts = {
            str(name): [np.array(part, dtype=np.float64) for part in own]
            for name, own in stored.get("parts", {}).items()
        }
        refitted = stored.get("refitted")
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise AdframeError(f"cannot read {path}: {error!r}; delete it, or run again") from error
    if not len(kept[0]) or not all(np.isfinite(each).all() and each.ndim == 1 for each in kept):
        raise AdframeError(f"{path} has no finite normal scores; delete it, or run again")
    if not all(len(part) and np.isfinite(part).all() for own in parts.values() for part in own):
        raise AdframeError(f"{path} has a part without finite scores; delete it, or run again")
    return ValidationScores(kept[0], kept[1], parts, refitted)


def copy_scores(run: Path, *, to: Path) -> None:
    """Copies the scores of a run to its evaluation, whose thresholds are the same.

    Args:
        run: the run's folder.
        to: the folder of the evaluation.
    """
    for file in sorted((run / VALIDATION_FOLDER).glob("*.json")):
        write_json(to / VALIDATION_FOLDER / file.name, json.loads(file.read_text(encoding="utf-8")))
