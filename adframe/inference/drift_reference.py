"""What a stream of scores is compared with: scores of normal images, and the promised rate of alarms."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from adframe.calibration.rules import FixedFpr, Quantile
from adframe.errors import AdframeError
from adframe.io.files import write_json


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


def write_reference(path: Path, reference: DriftReference) -> None:
    """Writes a reference, so that it travels with a bundle.

    Args:
        path: the JSON file.
        reference: of the model.
    """
    write_json(path, asdict(reference) | {"scores": reference.scores.tolist()})


def read_reference(path: Path) -> DriftReference:
    """Reads what `write_reference` wrote.

    Args:
        path: the JSON file.

    Returns:
        The reference.

    Raises:
        AdframeError: the file is missing or damaged.
    """
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        scores = np.array(kept["scores"], dtype=np.float64)
        rate = None if kept["rate"] is None else float(kept["rate"])
        reference = DriftReference(
            model=str(kept["model"]),
            scores=scores,
            source=str(kept["source"]),
            rate=rate,
            is_refitted=bool(kept["is_refitted"]),
            several_per_part=bool(kept["several_per_part"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AdframeError(f"{path} has no validation scores: {error!r}") from error
    if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
        raise AdframeError(f"{path} has no finite validation scores")
    if rate is not None and not 0 < rate < 1:
        raise AdframeError(f"{path}: a rate of {rate} is not between 0 and 1")
    return reference


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
