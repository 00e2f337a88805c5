"""What other rules for the threshold would have decided, fitted on the run's own validation scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adframe.analysis.compared_runs import Entrant
from adframe.analysis.comparison_table import LEVEL, RESAMPLES
from adframe.analysis.error_analysis.common import decisions_of, labels_of, rows_of, seed_of
from adframe.calibration.rules import BestF1, FixedFpr, MeanStd, Quantile, Rule, Sample
from adframe.results.predictions import Row
from adframe.results.validation_scores import ValidationScores
from adframe.stats.bootstrap import multiplicities, percentile_interval, strata_of
from adframe.stats.estimates import Difference
from adframe.stats.proportions import wilson
from adframe.stats.significance import difference_of
from adframe.stats.weighted_metrics import weighted_metrics

OWN, LARGEST = "as the run decided", "largest normal score"
ZONES, PIXELS = "zone thresholds", "pixel threshold"
ORACLE, EVERY = "oracle, not attainable", "all called anomalous"
BOUNDS = (ORACLE, EVERY)  # no rules: what no threshold can exceed, and what asks for no method
RULES: tuple[Rule, ...] = (
    Quantile(q=0.95), Quantile(q=0.995), MeanStd(deviations=2), MeanStd(deviations=3),
    FixedFpr(fpr=0.01), FixedFpr(fpr=0.05), BestF1()
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Strategy:
    """One rule's decisions on a run's test images of a category."""

    category: str
    run: str
    rule: str
    threshold: float | None
    measures: tuple[tuple[float, float, float], ...]  # F1, precision, recall, FPR, with their intervals
    more: Difference | None  # of F1, than the run's own


@dataclass(frozen=True, slots=True)
class _Images:
    """Test images of a category, and how often each counts in each resample."""

    labels: np.ndarray  # (n,) bool
    weights: np.ndarray  # (resamples, n)

    def drawn(self, decisions: np.ndarray) -> dict[str, np.ndarray]:
        """(resamples,) of each measure; decisions take the place of scores."""
        scores = decisions.astype(np.float64)
        return weighted_metrics(scores, labels=self.labels, weights=self.weights, threshold=0.5)

    def seen(self, decisions: np.ndarray) -> dict[str, float]:
        """The same of the images as they are."""
        once = _Images(self.labels, np.ones((1, len(self.labels)), np.uint16))
        return {key: float(value[0]) for key, value in once.drawn(decisions).items()}


def strategies(run: Entrant, category: str, scores: ValidationScores | None, *, seed: int) -> list[Strategy]:
    """The run's own decisions first, bounds last; nothing where a class is missing.

    Args:
        run: whose test images are decided.
        category: which of them.
        scores: what rules are fitted on; None where the run has kept none.
        seed: of the bootstrap.
    """
    rows = rows_of(run, category)
    values, labels = np.array([row["score"] for row in rows], dtype=np.float64), labels_of(rows)
    if not labels.any() or labels.all():
        return []
    images = _Images(labels, _weights(rows, labels, seed=seed_of(seed, category)))
    ruled = {} if scores is None else thresholds(scores)
    best, own = BestF1().choose(Sample.of(values[~labels], values[labels])), decisions_of(rows)
    decided = [(OWN, rows[0]["threshold"], own)]
    decided += [(name, threshold, values > threshold) for name, threshold in ruled.items()]
    decided += [*_kept_decisions(rows), (ORACLE, best, values > best), (EVERY, None, np.ones_like(own))]
    return [
        Strategy(
            category, run.name, name, cut, _measures(images, made), _more(images, made, own=own, name=name)
        )
        for name, cut, made in decided
    ]


def thresholds(scores: ValidationScores) -> dict[str, float]:
    """Every rule that can be fitted on these validation scores, by name."""
    sample = Sample.of(scores.normal, scores.anomalous)
    rules = [rule for rule in RULES if len(scores.anomalous) or not rule.uses_anomalous]
    found = {rule.statistic(): rule.choose(sample) for rule in rules}
    return found | {LARGEST: float(scores.normal.max())}


def _weights(rows: Sequence[Row], labels: np.ndarray, *, seed: Sequence[int]) -> np.ndarray:
    return multiplicities(
        strata_of(labels, subsets=np.array([row["subset"] for row in rows], dtype=str)),
        groups=[row["group"] for row in rows],
        values=(np.array([row["path"] for row in rows], dtype=str),),
        resamples=RESAMPLES,
        seed=seed,
    )


def _kept_decisions(rows: Sequence[Row]) -> list[tuple[str, float | None, np.ndarray]]:
    """Decisions of other kinds that the ledger holds."""
    return [
        (name, None, np.array([bool(row[key]) for row in rows]))
        for name, key in ((ZONES, "by_zones"), (PIXELS, "reported"))
        if all(row[key] is not None for row in rows)
    ]


def _measures(images: _Images, decisions: np.ndarray) -> tuple[tuple[float, float, float], ...]:
    seen, drawn = images.seen(decisions), images.drawn(decisions)
    found = [
        (seen[key], *percentile_interval(drawn[key], level=LEVEL)) for key in ("image/f1", "image/precision")
    ]
    for side in (images.labels, ~images.labels):
        part, whole = int((decisions & side).sum()), int(side.sum())
        found.append((part / whole, *wilson(part, whole, level=LEVEL)))
    return tuple(found)


def _more(images: _Images, decisions: np.ndarray, *, own: np.ndarray, name: str) -> Difference | None:
    if name == OWN:
        return None
    after, before = (images.drawn(each)["image/f1"] for each in (decisions, own))
    value = images.seen(decisions)["image/f1"] - images.seen(own)["image/f1"]
    return difference_of(after - before, value=value, level=LEVEL)
