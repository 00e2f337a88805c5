"""Describes the thresholds of a run: the rules that chose them, and the validation images behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adframe.reporting.run_facts import finite_number
from adframe.reporting.summary import confusion
from adframe.results.names import name_of
from adframe.results.run_folder import RunFolder

_RULES = {
    "Quantile": "quantile (q {q:g})",
    "MeanStd": "mean + {deviations:g} std",
    "FixedFpr": "false-positive rate {fpr:g} (split conformal)",
    "BestF1": "best F1",
}
_SCALES = {"z_score": "scores also as z-scores", "ecdf": "scores also as ranks among normal scores"}
_PROBABILITIES = {
    "isotonic": "probabilities by isotonic regression",
    "platt": "probabilities by Platt scaling",
}


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The thresholds of a category.

    Attributes:
        category: its name.
        threshold: of image scores (raw); None where it is unknown.
        images: number of normal validation images behind it.
        floor: the lowest false-positive rate that this number of images supports, in [0, 1].
        seen: the false-positive rate on the normal test images, in [0, 1].
        pixel_threshold: of anomaly maps (raw).
        pixels: number of pixels of normal validation images behind it.

    Example:
        >>> row = Calibrated("bottle", 1.5, 40, floor=0.024, seen=0.05, pixel_threshold=None, pixels=None)
        >>> row.threshold
        1.5
    """

    category: str
    threshold: float | None
    images: int | None
    floor: float | None
    seen: float | None
    pixel_threshold: float | None
    pixels: int | None


def calibration_name(run: RunFolder) -> str:
    """Describes the calibration rules with their settings.

    Args:
        run: the run.

    Returns:
        For example `quantile (q 0.995) on images, mean + 3 std on pixels`.
    """
    node = _calibration_config(run)
    if not node:
        return name_of(run.config.get("calibration"))
    if "image" not in node:  # older runs have a single rule, for image scores
        return _rule_text(node)
    pixel = f", {_rule_text(node['pixel'])} on pixels" if node.get("pixel") else ""
    return "; ".join([f"{_rule_text(node['image'])} on images{pixel}", *_extras(node)])


def pixel_rule(run: RunFolder) -> str:
    """Describes the rule of the pixel threshold.

    Args:
        run: the run.

    Returns:
        For example `mean + 3 std`; "" without a pixel threshold.
    """
    return _rule_text(_calibration_config(run).get("pixel"))


def calibrated(run: RunFolder) -> list[Calibrated]:
    """Collects the thresholds of every category.

    Args:
        run: the run.

    Returns:
        One record per category; a threshold that metrics.json lacks is taken from the predictions.
    """
    return [_calibrated(run, name) for name in run.categories]


def unsupported_fpr(run: RunFolder, lines: Sequence[Calibrated]) -> list[str]:
    """Lists the categories with too few validation images for the requested false-positive rate.

    Args:
        run: the run.
        lines: the thresholds of its categories.

    Returns:
        Names of categories.
    """
    asked = asked_rate(run)
    return [line.category for line in lines if asked and line.floor is not None and line.floor > asked]


def asked_rate(run: RunFolder) -> float | None:
    """Returns the false-positive rate that the configuration requests.

    Args:
        run: the run.

    Returns:
        In [0, 1]; None for a rule without a rate.
    """
    node = _calibration_config(run)
    rule = node.get("image", node)
    if not isinstance(rule, Mapping):
        return None
    quantile = finite_number(rule.get("q"))
    return finite_number(rule.get("fpr")) if quantile is None else 1 - quantile


def _calibrated(run: RunFolder, name: str) -> Calibrated:
    rows = [row for row in run.rows if row["category"] == name]
    # A model that the categories share is calibrated once, under `global`.
    known = run.val.get(name) or run.val.get("global") or {}
    thresholds = [row["threshold"] for row in rows if finite_number(row["threshold"]) is not None]
    threshold = finite_number(known.get("calibration/threshold"))
    images = finite_number(known.get("calibration/n"))
    floor = finite_number(known.get("calibration/fpr_floor"))
    if floor is None and images is not None:
        floor = 1 / (images + 1)
    pixels = finite_number(known.get("calibration/pixels"))
    return Calibrated(
        category=name,
        threshold=threshold if threshold is not None else (thresholds[0] if thresholds else None),
        images=None if images is None else int(images),
        floor=floor,
        seen=confusion(rows).fpr,
        pixel_threshold=finite_number(known.get("calibration/pixel_threshold")),
        pixels=None if pixels is None else int(pixels),
    )


def _calibration_config(run: RunFolder) -> Mapping[str, Any]:
    node = run.config.get("calibration")
    return node if isinstance(node, Mapping) else {}


def _rule_text(node: object) -> str:
    name = name_of(node)
    settings = (
        {k: v for k, v in node.items() if finite_number(v) is not None} if isinstance(node, Mapping) else {}
    )
    try:
        return _RULES[name].format_map(settings)
    except KeyError:  # a rule of the user's own code, or a missing setting
        listed = ", ".join(f"{key} {value:g}" for key, value in settings.items())
        return f"{name} ({listed})" if listed else name


def _extras(node: Mapping[str, Any]) -> list[str]:
    zones = finite_number(node.get("zones")) or 1
    known = (_SCALES.get(str(node.get("normalisation"))), _PROBABILITIES.get(str(node.get("probability"))))
    grid = [f"{zones:g} × {zones:g} zones with their own thresholds"] if zones > 1 else []  # noqa: RUF001
    return grid + [text for text in known if text]
