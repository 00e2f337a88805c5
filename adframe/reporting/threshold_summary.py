"""What a run's thresholds are, how they were chosen, and what they rest on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adframe.reporting.summary import confusion
from adframe.results.names import name_of
from adframe.results.run_folder import RunFolder

_RULES = {
    "Quantile": "quantile (q {q:g})",
    "MeanStd": "mean + {deviations:g} std",
    "FixedFpr": "false-positive rate {fpr:g} (split conformal)",
    "BestF1": "best F1",
}
_SCALES = {"z_score": "scores also as z-scores", "ecdf": "scores also as their rank among normal ones"}
_PROBABILITIES = {
    "isotonic": "probabilities by isotonic regression",
    "platt": "probabilities by Platt scaling",
}


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A category's thresholds and what they rest on."""

    category: str
    threshold: float | None
    images: int | None  # validation images
    floor: float | None  # the lowest false-positive rate that so many images can support
    seen: float | None  # the false-positive rate on the test's normal images
    pixel_threshold: float | None
    pixels: int | None  # of normal validation images


def calibration_name(run: RunFolder) -> str:
    """The rules with their settings: `quantile (q 0.995) on images, mean + 3 std on pixels`."""
    node = _node(run)
    if not node:
        return name_of(run.config.get("calibration"))
    if "image" not in node:  # older runs have one rule, for images
        return _rule(node)
    pixel = f", {_rule(node['pixel'])} on pixels" if node.get("pixel") else ""
    return "; ".join([f"{_rule(node['image'])} on images{pixel}", *_extras(node)])


def pixel_rule(run: RunFolder) -> str:
    """How the pixel threshold was chosen, or nothing."""
    return _rule(_node(run).get("pixel"))


def calibrated(run: RunFolder) -> list[Calibrated]:
    """Every category's threshold and what it rests on; that of the predictions if metrics.json has none."""
    return [_calibrated(run, name) for name in run.categories]


def unsupported_fpr(run: RunFolder, lines: Sequence[Calibrated]) -> list[str]:
    """Categories whose validation images are too few for the false-positive rate that was asked for."""
    asked = asked_rate(run)
    return [line.category for line in lines if asked and line.floor is not None and line.floor > asked]


def asked_rate(run: RunFolder) -> float | None:
    """The false-positive rate that the configuration asks for."""
    node = _node(run)
    rule = node.get("image", node)
    if not isinstance(rule, Mapping):
        return None
    quantile = _number(rule.get("q"))
    return _number(rule.get("fpr")) if quantile is None else 1 - quantile


def _calibrated(run: RunFolder, name: str) -> Calibrated:
    rows = [row for row in run.rows if row["category"] == name]
    # A model that the categories share is calibrated once, under `global`.
    known = run.val.get(name) or run.val.get("global") or {}
    thresholds = [row["threshold"] for row in rows if _number(row["threshold"]) is not None]
    threshold = _number(known.get("calibration/threshold"))
    images = _number(known.get("calibration/n"))
    floor = _number(known.get("calibration/fpr_floor"))
    if floor is None and images is not None:
        floor = 1 / (images + 1)
    pixels = _number(known.get("calibration/pixels"))
    return Calibrated(
        category=name,
        threshold=threshold if threshold is not None else (thresholds[0] if thresholds else None),
        images=None if images is None else int(images),
        floor=floor,
        seen=confusion(rows).fpr,
        pixel_threshold=_number(known.get("calibration/pixel_threshold")),
        pixels=None if pixels is None else int(pixels),
    )


def _node(run: RunFolder) -> Mapping[str, Any]:
    node = run.config.get("calibration")
    return node if isinstance(node, Mapping) else {}


def _rule(node: object) -> str:
    name = name_of(node)
    settings = {k: v for k, v in node.items() if _number(v) is not None} if isinstance(node, Mapping) else {}
    try:
        return _RULES[name].format_map(settings)
    except KeyError:  # a rule of somebody's own, or a setting that is not there
        listed = ", ".join(f"{key} {value:g}" for key, value in settings.items())
        return f"{name} ({listed})" if listed else name


def _extras(node: Mapping[str, Any]) -> list[str]:
    zones = _number(node.get("zones")) or 1
    known = (_SCALES.get(str(node.get("normalisation"))), _PROBABILITIES.get(str(node.get("probability"))))
    grid = [f"{zones:g} × {zones:g} zones with thresholds of their own"] if zones > 1 else []  # noqa: RUF001
    return grid + [text for text in known if text]


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
