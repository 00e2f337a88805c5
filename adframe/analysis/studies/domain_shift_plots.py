"""The tables and figures of a domain-shift study."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence

import numpy as np

from adframe.analysis.settings import Setting, places_of
from adframe.analysis.studies.shift_results import ShiftCase
from adframe.metrics import curve_points
from adframe.reporting import figures
from adframe.reporting.document import Figure, TableBlock
from adframe.reporting.format import signed, title_of, with_interval
from adframe.reporting.tables import Cell, Column, Table
from adframe.stats.drift import score_drift
from adframe.stats.estimates import UNKNOWN, Estimate

OVERLAPS = ("pixel/auspro_0.05", "pixel/aupro_0.3")
DECIDED = ("image/f1", "image/recall", "image/fpr")
_STATES = {"clean": "clean", "frozen": "frozen", "threshold": "recalibrated", "refitted": "refitted"}
_PANELS = 6  # ROC panels and histograms: nobody reads more


def overlap_of(cases: Sequence[ShiftCase]) -> str:
    """The overlap metric that all tests have."""
    return next(
        (key for key in OVERLAPS if all(case.clean.estimate(key, case.categories).known for case in cases)),
        OVERLAPS[-1],
    )


def conditions_table(cases: Sequence[ShiftCase]) -> TableBlock:
    """Every metric under every condition."""
    metrics = ("image/auroc", "pixel/auroc", overlap_of(cases), *DECIDED)
    head = (("method", "method"), ("domain", "shift"), ("category", "category"), ("condition", "condition"))
    columns = [Column(key, title) for key, title in head]
    people, raw = [], []
    for case in cases:
        for name, categories in places_of(case.categories):
            for condition in case.conditions:
                found = [condition.estimate(metric, categories) for metric in metrics]
                start = (case.method, case.domain, name, condition.name)
                people.append((*start, *(with_interval(each) for each in found)))
                raw.append(
                    (
                        *start,
                        *(_known(number) for each in found for number in (each.value, each.low, each.high)),
                    )
                )
    titles = [Column(metric, title_of(metric)) for metric in metrics]
    raw_columns = [Column(f"{key}{end}", f"{key}{end}") for key in metrics for end in ("", "_low", "_high")]
    return TableBlock(
        "conditions",
        "Test images under each condition, in per cent with 95% intervals. Scores are the same with nothing "
        "adapted and with another threshold, so only decisions (F1, recall, FPR) differ between the two.",
        Table((*columns, *titles), tuple(people)),
        Table((*columns, *raw_columns), tuple(raw)),
    )


def alarms_table(cases: Sequence[ShiftCase]) -> TableBlock:
    """What a frozen threshold does: its false alarms, and how far scores have moved."""
    names = [
        name for name in ("clean", "frozen", "threshold", "refitted") if any(getattr(c, name) for c in cases)
    ]
    people: list[tuple[Cell, ...]] = []
    raw: list[tuple[Cell, ...]] = []
    for case in cases:
        for category in case.categories:
            rates = [_rate(getattr(case, name), category) for name in names]
            drift = drift_of(case.clean, case.frozen, category)
            start = (case.method, case.domain, category)
            people.append((*start, *(with_interval(rate) for rate in rates), _moved(drift)))
            raw.append(
                (
                    *start,
                    *(_known(rate.value) for rate in rates),
                    *(_known(each) for each in (drift.value, drift.low, drift.high)),
                )
            )
    head = (Column("method", "method"), Column("shift", "shift"), Column("category", "category"))
    shares = tuple(Column(f"fpr_{name}", f"FPR {_STATES[name]}") for name in names)
    drifts = tuple(Column(key, key) for key in ("drift", "drift_low", "drift_high"))
    return TableBlock(
        "alarms",
        "False alarms among normal test images, in per cent with 95% intervals, and how far the shift moves "
        "their scores under the unchanged model, in standard deviations of the unshifted scores.",
        Table((*head, *shares, Column("drift", "drift of normal scores, std")), tuple(people)),
        Table((*head, *shares, *drifts), tuple(raw)),
    )


def condition_bars(cases: Sequence[ShiftCase], metric: str, *, name: str) -> Figure:
    """One bar per condition, grouped by method, domain and category."""
    values: dict[str, dict[str, Estimate]] = {}
    for case in cases:
        for pool, categories in places_of(case.categories):
            for condition in case.conditions:
                group = values.setdefault(condition.name, {})
                if (found := condition.estimate(metric, categories)).known:
                    group[label_of(case, cases, pool)] = found
    title = title_of(metric)
    caption = f"{title} by condition, with 95% intervals."
    return figures.bars(name, caption=caption, values=values, y_name=f"{title}, %")


def domain_bars(cases: Sequence[ShiftCase], metric: str, *, name: str) -> Figure:
    """Clean and under each shift with nothing adapted, one bar per method, mean over the categories."""
    values: dict[str, dict[str, Estimate]] = {}
    for case in cases:
        group = values.setdefault(case.method, {})
        for domain, condition in (("clean", case.clean), (case.domain, case.frozen)):
            group[domain] = condition.estimate(metric, case.categories)
    title = title_of(metric)
    caption = f"{title} with nothing adapted, mean over the categories, with 95% intervals."
    return figures.bars(name, caption=caption, values=values, y_name=f"{title}, %")


def both_levels(cases: Sequence[ShiftCase]) -> Figure:
    """Image against pixel AUROC."""
    points: dict[str, list[tuple[float, float, str]]] = {}
    for case in cases:
        for condition in case.rankings:
            for name in case.categories:
                x, y = (condition.estimate(key, (name,)).value for key in ("image/auroc", "pixel/auroc"))
                known = points.setdefault(condition.name, [])
                if all((x, y) != other[:2] for other in known):  # one clean test serves several shifts
                    known.append((x, y, label_of(case, cases, name)))
    return figures.scatter(
        "image_against_pixel",
        caption="Image against pixel AUROC, one point per method and category.",
        points=points,
        x_name="image AUROC, %",
        y_name="pixel AUROC, %",
    )


def heat(cases: Sequence[ShiftCase], metric: str, *, name: str) -> Figure:
    """One metric: one row per method and category, one column per domain (clean first)."""
    rows = list(
        dict.fromkeys((case.method, pool) for case in cases for pool, _ in places_of(case.categories))
    )
    domains = list(dict.fromkeys(case.domain for case in cases))
    values = np.full((len(rows), 1 + len(domains)), math.nan)
    for case in cases:
        for pool, categories in places_of(case.categories):
            row = rows.index((case.method, pool))
            values[row, 0] = case.clean.estimate(metric, categories).value
            values[row, 1 + domains.index(case.domain)] = case.frozen.estimate(metric, categories).value
    title = title_of(metric)
    return figures.matrix(
        name,
        caption=f"{title} with nothing adapted, by what the images went through.",
        rows=[", ".join(row) for row in rows],
        columns=["clean", *domains],
        values=values,
        unit=f"{title}, %",
    )


def roc_curves(cases: Sequence[ShiftCase]) -> Figure:
    """Clean, shifted and refitted in one panel per method and category."""
    panels: dict[str, dict[str, tuple[np.ndarray, np.ndarray, float]]] = {}
    for case in cases:
        for name in case.categories:
            drawn = {}
            for condition in case.rankings:
                curve = curve_points.roc_of_rows(condition.rows(name))
                if curve:
                    drawn[condition.name] = (curve.x, curve.y, curve.area)
            if drawn and len(panels) < _PANELS:
                panels[label_of(case, cases, name)] = drawn
    return figures.roc_panels("roc", caption=_first_ones(cases, "ROC curves of image scores"), panels=panels)


def score_histograms(cases: Sequence[ShiftCase]) -> Iterator[Figure]:
    """Where normal and anomalous scores lie, before and after, and where the thresholds are."""
    chosen = [(case, name) for case in cases for name in case.categories][:_PANELS]
    for place, (case, name) in enumerate(chosen):
        series = {}
        for condition in (case.clean, case.frozen):
            rows = condition.rows(name)
            for label, word in ((0, "normal"), (1, "anomalous")):
                series[f"{word}, {condition.name}"] = [row["score"] for row in rows if row["label"] == label]
        marks = {"frozen threshold": case.clean.tests[name][0].image_threshold}
        if case.threshold:
            marks["recalibrated"] = case.threshold.tests[name][0].image_threshold
        yield figures.histogram(
            f"scores_{place}",
            caption=f"Raw scores of the unchanged model: {label_of(case, cases, name)}.",
            series=series,
            x_name="image score",
            marks=marks,
        )


def label_of(case: ShiftCase, cases: Sequence[ShiftCase], pool: str) -> str:
    """What distinguishes a method, shift and category from the others of the study."""
    methods, domains = ({getattr(each, key) for each in cases} for key in ("method", "domain"))
    parts = [case.method] * (len(methods) > 1) + [case.domain] * (len(domains) > 1) + [pool]
    return ", ".join(parts)


def drift_of(before: Setting, after: Setting, category: str) -> Estimate:
    """How far the scores of normal images move from one condition to the other, of the first seed.

    Returns:
        The shift of their mean in standard deviations of the scores before it (`stats.drift`).
    """
    one, other = ({row["path"]: row for row in each.normal_rows(category)} for each in (before, after))
    paths = sorted(one.keys() & other.keys())
    if len(paths) < 2:
        return UNKNOWN
    value, low, high = score_drift(
        np.array([one[path]["score"] for path in paths]),
        np.array([other[path]["score"] for path in paths]),
        groups=[other[path]["group"] for path in paths],
        paths=paths,
        seed=after.tests[category][0].seed + zlib.crc32(category.encode()),
    )
    return Estimate(value, low, high)


def _moved(drift: Estimate) -> str | None:
    if not drift.known:
        return None
    ends = (
        f" ({signed(drift.low, decimals=1)} to {signed(drift.high, decimals=1)})"
        if math.isfinite(drift.low)
        else ""
    )
    return f"{signed(drift.value, decimals=1)}{ends}"


def _rate(condition: Setting | None, name: str) -> Estimate:
    return condition.estimate("image/fpr", (name,)) if condition else UNKNOWN


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _first_ones(cases: Sequence[ShiftCase], text: str) -> str:
    total = sum(len(case.categories) for case in cases)
    return f"{text}." if total <= _PANELS else f"{text}: the first {_PANELS} of {total}."
