"""`adframe calibrate`: fits new thresholds to the models of a run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from adframe.calibration.rules import BestF1, FixedFpr, MeanStd, Quantile, Rule
from adframe.config.load_detector import chosen_unit, load_detector
from adframe.errors import AdframeError, unknown
from adframe.inference.images import input_images
from adframe.inference.recalibration import (
    Recalibration,
    refit_to_images,
    refit_to_scores,
    write_calibration,
)
from adframe.reporting.notes import quieten
from adframe.results.run_folder import RunFolder
from adframe.results.validation_scores import VALIDATION_FOLDER, read_scores


def rule_of(name: str, *, rate: float | None, deviations: float | None) -> Rule:
    """Builds a rule from the options of the command.

    Args:
        name: `fixed_fpr`, `quantile`, `mean_std` or `f1`, as in `calibration=`.
        rate: false-positive rate in (0, 1), for `fixed_fpr` (0.01 by default) and `quantile` (0.005).
        deviations: standard deviations above the mean, for `mean_std` (3 by default).

    Returns:
        The rule.

    Raises:
        AdframeError: an option does not belong to the rule, or has an impossible value.

    Example:
        >>> rule_of("fixed_fpr", rate=0.05, deviations=None).statistic()
        'fixed_fpr 0.05'
    """
    if rate is not None and name not in ("fixed_fpr", "quantile"):
        raise AdframeError(f"--rate belongs to the rules fixed_fpr and quantile, not to {name}")
    if deviations is not None and name != "mean_std":
        raise AdframeError(f"--deviations belongs to the rule mean_std, not to {name}")
    if rate is not None and not 0 < rate < 1:
        raise AdframeError(f"--rate {rate:g} must lie between 0 and 1; 0.01 is 1 %")
    match name:
        case "fixed_fpr":
            return FixedFpr(fpr=0.01 if rate is None else rate)
        case "quantile":
            return Quantile(q=0.995 if rate is None else 1 - rate)
        case "mean_std":
            return MeanStd(deviations=3.0 if deviations is None else deviations)
        case "f1":
            return BestF1()
        case _:
            raise AdframeError(unknown("rule", name, ("fixed_fpr", "quantile", "mean_std", "f1")))


def run_calibration(
    run: Path,
    rule: Rule,
    *,
    name: str | None,
    normals: Sequence[str] = (),
    anomalies: Sequence[str] = (),
    category: str | None = None,
    overwrite: bool = False,
    batch_size: int = 8,
    device: str = "auto",
    trusted: Sequence[str] = (),
) -> Path:
    """Fits thresholds, writes them next to those of the run, and prints them.

    Args:
        run: the folder of the run.
        rule: the rule of the image threshold.
        name: of the calibration; None makes one of the rule.
        normals: normal images or folders; without them the kept validation scores are used.
        anomalies: anomalous images or folders, for rules that need them.
        category: the model; None for all, or for the only one where images are given.
        overwrite: whether a calibration of this name is replaced.
        batch_size: images that the network takes together.
        device: where the model works.
        trusted: packages that the run's configuration may name.

    Returns:
        The file with the thresholds.

    Raises:
        AdframeError: an image cannot be read, scores are missing, or the rule needs other images.
    """
    quieten()
    folder = RunFolder(run)
    folder.reopen()
    if anomalies and not normals:
        raise AdframeError("--anomalies needs --normals as well")
    if normals and rule.uses_anomalous and not anomalies:
        raise AdframeError(f"the rule {rule.statistic()} needs anomalous images; give some with --anomalies")
    found: dict[str, Recalibration] = {}
    before: dict[str, float] = {}
    if normals:
        images, _ = input_images(list(normals))
        anomalous = input_images(list(anomalies))[0] if anomalies else []
        detector = load_detector(run, category=category, device=device, trusted=trusted)
        known = read_scores(run, category=detector.category)
        before[detector.category] = detector.threshold
        found[detector.category] = refit_to_images(
            detector, rule, normal=images, anomalous=anomalous, known=known, batch_size=batch_size
        )
    else:
        for unit in _units(folder, category):
            scores = read_scores(run, category=unit)
            if scores is None:
                raise AdframeError(
                    f"{run / VALIDATION_FOLDER} has no scores of {unit}; an older adframe made this run, so "
                    "give images with --normals"
                )
            if rule.uses_anomalous and not len(scores.anomalous):
                raise AdframeError(
                    f"the rule {rule.statistic()} needs anomalous images, and none were among the validation "
                    "images of this run; give images with --normals and --anomalies"
                )
            before[unit] = folder.metrics["val"].get(unit, {}).get("calibration/threshold", float("nan"))
            found[unit] = refit_to_scores(rule, scores)
    name = name or re.sub(r"[^A-Za-z0-9.]+", "_", rule.statistic())
    path = write_calibration(run, name, found, overwrite=overwrite)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for unit, each in found.items():
        console.print(
            f"{unit}: threshold {each.changes['threshold']:.4g} ({rule.statistic()}, {each.source}), "
            f"{before[unit]:.4g} before"
        )
        for line in each.notes:
            console.print(f"{unit}: {line}")
    console.print(f"calibration: {path}")
    console.print(f"use it:      adframe predict {run} <images> --calibration {name}")
    return path


def _units(run: RunFolder, category: str | None) -> list[str]:
    """Returns the models of a run, or the one of a category."""
    if category is not None or run.checkpoint("global").exists() or not run.done:
        return [chosen_unit(run, category)]
    return run.done
