"""What other rules for the threshold would have decided, fitted on the run's own validation scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from adframe.analysis.compared_runs import ComparedRun
from adframe.analysis.error_analysis.common import decisions_of, labels_of, rows_of
from adframe.calibration.rules import BestF1, FixedFpr, MeanStd, Quantile, Rule, Sample
from adframe.metrics.measured import measured_metrics
from adframe.metrics.resampled import resample_weights
from adframe.results.predictions import Row
from adframe.results.validation_scores import ValidationScores
from adframe.stats.intervals import DifferenceOf, Measured, interval_of
from adframe.stats.weighted_metrics import weighted_metrics

OWN_RULE, LARGEST_NORMAL = "as the run decided", "largest normal score"
ZONES, PIXELS = "zone thresholds", "pixel threshold"
ORACLE, ALL_ANOMALOUS = "oracle, not attainable", "all called anomalous"
# Not rules: the first is what no threshold can exceed, the second needs no method at all.
BOUNDS = (ORACLE, ALL_ANOMALOUS)
RULES: tuple[Rule, ...] = (
    Quantile(q=0.95),
    Quantile(q=0.995),
    MeanStd(deviations=2),
    MeanStd(deviations=3),
    FixedFpr(fpr=0.01),
    FixedFpr(fpr=0.05),
    BestF1(),
)


class RuleResult(NamedTuple):
    """One rule's decisions on a run's test images of a category.

    Attributes:
        category: name of the category.
        run: name of the run.
        rule: name of the rule, or of a bound.
        threshold: raw score above which an image is anomalous; None for decisions that have no threshold.
        measures: `f1`, `precision`, `recall` and `fpr`: value, low and high.
        f1_gain: F1 minus that of the run's own decisions; None for these.

    Example:
        >>> result = RuleResult("bolt", "A", OWN_RULE, 1.5, {"f1": (0.75, 0.5, 1.0)}, f1_gain=None)
        >>> result.measures["f1"][0]
        0.75
    """

    category: str
    run: str
    rule: str
    threshold: float | None
    measures: Mapping[str, tuple[float, float, float]]
    f1_gain: DifferenceOf | None


def apply_rules(run: ComparedRun, category: str, scores: ValidationScores | None) -> list[RuleResult]:
    """Decides a run's test images by every rule: the run's own decisions first, bounds last.

    Args:
        run: the run.
        category: name of the category.
        scores: validation scores on which rules are fitted; None where the run has kept none.

    Returns:
        One record per rule; nothing where normal or anomalous images are missing.
    """
    rows = rows_of(run, category)
    values, labels = np.array([row["score"] for row in rows], dtype=np.float64), labels_of(rows)
    if not labels.any() or labels.all():
        return []
    weights = resample_weights(rows)
    fitted = {} if scores is None else fit_thresholds(scores)
    best, own = BestF1().choose(Sample.of(values[~labels], values[labels])), decisions_of(rows)
    decided: list[tuple[str, float | None, np.ndarray]] = [(OWN_RULE, rows[0]["threshold"], own)]
    decided += [(name, threshold, values > threshold) for name, threshold in fitted.items()]
    decided += [*_stored_decisions(rows), (ORACLE, best, values > best), (ALL_ANOMALOUS, None, labels | True)]
    found = []
    own_f1 = _measured(own, rows, weights=weights)["image/f1"]
    for rule, threshold, decisions in decided:
        measured = _measured(decisions, rows, weights=weights)
        measures = {
            name: (measured[f"image/{name}"].value, *interval_of(measured[f"image/{name}"]))
            for name in ("f1", "precision", "recall", "fpr")
        }
        gain = None if rule == OWN_RULE else DifferenceOf(own_f1, measured["image/f1"], paired=True)
        found.append(RuleResult(category, run.name, rule, threshold, measures, gain))
    return found


def fit_thresholds(scores: ValidationScores) -> dict[str, float]:
    """Fits every rule that these validation scores allow.

    Args:
        scores: normal and, where there are any, anomalous validation scores.

    Returns:
        The threshold of each rule, by the rule's name.
    """
    sample = Sample.of(scores.normal, scores.anomalous)
    rules = [rule for rule in RULES if len(scores.anomalous) or not rule.uses_anomalous]
    found = {rule.statistic(): rule.choose(sample) for rule in rules}
    return found | {LARGEST_NORMAL: float(scores.normal.max())}


def _stored_decisions(rows: Sequence[Row]) -> list[tuple[str, float | None, np.ndarray]]:
    """Decisions of other kinds that the predictions hold."""
    return [
        (name, None, np.array([bool(row[key]) for row in rows]))
        for name, key in ((ZONES, "by_zones"), (PIXELS, "reported"))
        if all(row[key] is not None for row in rows)
    ]


def _measured(decisions: np.ndarray, rows: Sequence[Row], *, weights: np.ndarray) -> dict[str, Measured]:
    """Returns the metrics of decisions with their draws, by metric name."""
    # The decisions take the place of scores.
    scores, labels = decisions.astype(np.float64), labels_of(rows)
    observed, drawn = (
        weighted_metrics(scores, labels=labels, weights=counts, threshold=0.5)
        for counts in (np.ones((1, len(labels)), np.uint16), weights)
    )
    return measured_metrics({name: float(each[0]) for name, each in observed.items()}, drawn, images=rows)
