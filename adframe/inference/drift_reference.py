"""What a stream of scores is compared with: scores of normal images, and the promised rate of alarms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adframe.calibration.rules import FixedFpr, Quantile
from adframe.errors import AdframeError
from adframe.inference.detector import TRAINED
from adframe.inference.recalibration import read_calibration
from adframe.reporting.format import counted
from adframe.results.run_files import read_run_file
from adframe.results.run_folder import RunFolder
from adframe.results.validation_scores import VALIDATION_FOLDER, read_scores


@dataclass(frozen=True, slots=True)
class DriftReference:
    """Scores of normal images to which the model was not fitted, and what its threshold promises.

    Attributes:
        model: a category, or `global`.
        scores: (n,) float64 raw scores.
        source: where they come from, such as `64 normal validation images`.
        rate: the false-positive rate that the threshold guarantees on average, in (0, 1); None without one.
        is_refitted: whether the images joined the model after they were scored, so that the final model gives
            new images lower scores.
        several_per_part: whether several images show one part, so that they are not independent.
    """

    model: str
    scores: np.ndarray
    source: str
    rate: float | None = None
    is_refitted: bool = False
    several_per_part: bool = False


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
        is_refitted=bool(config.get("refit")) and not config.get("learning"),
        several_per_part=any(len(part) > 1 for own in scores.parts.values() for part in own),
    )


def promised_rate(statistic: str, images: int) -> float | None:
    """Computes the false-positive rate that a rule guarantees on average, from its name.

    Args:
        statistic: the rule with its parameter, as thresholds state it: `fixed_fpr 0.01`, `quantile 0.995`.
        images: number of normal images to which the threshold was fitted.

    Returns:
        The promised rate, or the lowest that so few images can guarantee; None for a rule without a rate.

    Example:
        >>> promised_rate("fixed_fpr 0.01", 99), promised_rate("fixed_fpr 0.01", 19)
        (0.01, 0.05)
        >>> promised_rate("mean + 3 std", 99) is None
        True
    """
    name, _, value = statistic.partition(" ")
    if name == "fixed_fpr":
        rule: FixedFpr | Quantile = FixedFpr(fpr=float(value))
    elif name == "quantile" and " x " not in value:  # a multiple of a quantile promises no rate
        rule = Quantile(q=float(value))
    else:
        return None
    promised = rule.promised_rate
    return None if promised is None else max(promised, rule.expected_rate(images))


def _rate_of(run: Path, unit: str, calibration: str) -> float | None:
    if calibration != TRAINED:
        changes = read_calibration(run, calibration, unit).changes
        return promised_rate(str(changes["statistic"]), int(changes["n"]))
    known = RunFolder.read(run).metrics.get("val", {}).get(unit, {})
    rates = [known.get(f"calibration/{name}_fpr") for name in ("promised", "expected")]
    return max((float(rate) for rate in rates if rate is not None), default=None)
