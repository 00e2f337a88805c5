"""Reads from the folder of a run what its scores are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from adframe.errors import AdframeError
from adframe.inference.drift_reference import DriftReference, promised_rate
from adframe.inference.recalibration import read_calibration
from adframe.inference.results import TRAINED
from adframe.reporting.format import counted
from adframe.results.run_files import read_run_file
from adframe.results.run_folder import RunFolder
from adframe.results.validation_scores import VALIDATION_FOLDER, read_scores


def run_reference(run: Path, *, unit: str, calibration: str = TRAINED) -> DriftReference:
    """Reads the reference from the folder of a run; neither model nor dataset is loaded.

    Args:
        run: the folder.
        unit: a category, or `global`.
        calibration: name of the thresholds whose promise counts.

    Returns:
        The reference.

    Raises:
        AdframeError: the run has not kept its validation scores, or a file is damaged.
    """
    scores = read_scores(run, category=unit)
    if scores is None:
        raise AdframeError(
            f"{run / VALIDATION_FOLDER} has no scores of {unit}; an older adframe made this run, so give a "
            "log of normal images with --reference"
        )
    config = read_run_file(run / "config.yaml")
    config = config if isinstance(config, Mapping) else {}
    return DriftReference(
        model=unit,
        scores=scores.normal,
        source=f"{counted(len(scores.normal), 'normal validation image')} of the run",
        rate=_rate_of(run, unit, calibration),
        is_refitted=scores.joined_the_model(config),
        several_per_part=any(len(part) > 1 for own in scores.parts.values() for part in own),
    )


def _rate_of(run: Path, unit: str, calibration: str) -> float | None:
    if calibration != TRAINED:
        changes = read_calibration(run, calibration, unit).changes
        return promised_rate(str(changes["statistic"]), int(changes["n"]))
    known = RunFolder.read(run).metrics.get("val", {}).get(unit, {})
    rates = [known.get(f"calibration/{name}_fpr") for name in ("promised", "expected")]
    return max((float(rate) for rate in rates if rate is not None), default=None)
