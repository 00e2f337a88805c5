"""The tables and figures of a domain-shift study."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from adframe.analysis.studies.shift_results import Case
from adframe.analysis.studies.test_result import UNKNOWN, Condition, Estimate
from adframe.metrics import curve_points
from adframe.reporting import figures
from adframe.reporting.document import Figure, Numbers
from adframe.reporting.format import ends
from adframe.reporting.tables import Cell, Column, Table, shown
from adframe.results.names import MEAN, TITLES

OVERLAPS = ("pixel/auspro_0.05", "pixel/aupro_0.3")
DECIDED = ("image/f1", "image/recall", "image/fpr")
_STATES = {"clean": "clean", "frozen": "frozen", "threshold": "recalibrated", "refitted": "refitted"}
_PANELS = 6  # ROC panels and histograms at most: more are no longer read


def overlap_of(cases: Sequence[Case]) -> str:
    """The overlap metric that all tests have."""
    return next((key for key in OVERLAPS if all(key in _first(case) for case in cases)), OVERLAPS[-1])


def pools(case: Case) -> list[tuple[str, tuple[str, ...]]]:
    """Each category by itself, then the mean of all where there are several."""
    single: list[tuple[str, tuple[str, ...]]] = [(name, (name,)) for name in case.categories]
    return [*single, (MEAN, case.categories)] if len(single) > 1 else single


def conditions_table(cases: Sequence[Case]) -> Numbers:
    """Every metric under every condition."""
    metrics = ("image/auroc", "pixel/auroc", overlap_of(cases), *DECIDED)
    head = (("variant", "method"), ("domain", "shift"), ("category", "category"), ("condition", "condition"))
    columns = [Column(key, title) for key, title in head]
    people, raw = [], []
    for case in cases:
        for name, categories in pools(case):
            for condition in case.conditions:
                found = [condition.estimate(metric, categories) for metric in metrics]
                start = (case.variant, case.domain, name, condition.name)
                people.append((*start, *(spanned(each) for each in found)))
                raw.append((*start, *(_known(number) for each in found for number in each)))
    titles = [Column(metric, TITLES.get(metric, metric)) for metric in metrics]
    raw_columns = [Column(f"{key}{end}", f"{key}{end}") for key in metrics for end in ("", "_low", "_high")]
    return Numbers(
        "conditions",
        "Test images under each condition, in per cent with 95% intervals. Scores are the same with nothing "
        "adapted and with another threshold, so only decisions (F1, recall, FPR) differ between the two.",
        Table((*columns, *titles), tuple(people)),
        Table((*columns, *raw_columns), tuple(raw)),
    )


def alarms_table(cases: Sequence[Case]) -> Numbers:
    """What a frozen threshold does: its false alarms, and how far scores have moved."""
    names = [
        name for name in ("clean", "frozen", "threshold", "refitted") if any(getattr(c, name) for c in cases)
    ]
    people: list[tuple[Cell, ...]] = []
    raw: list[tuple[Cell, ...]] = []
    for case in cases:
        for category in case.categories:
            rates = [_rate(getattr(case, name), category) for name in names]
            drift = case.frozen.drift_from(case.clean, category)
            start = (case.variant, case.domain, category)
            people.append((*start, *(spanned(rate) for rate in rates), _moved(drift)))
            raw.append((*start, *(_known(rate[0]) for rate in rates), *(_known(each) for each in drift)))
    head = (Column("method", "method"), Column("shift", "shift"), Column("category", "category"))
    shares = tuple(Column(f"fpr_{name}", f"FPR {_STATES[name]}") for name in names)
    drifts = tuple(Column(key, key) for key in ("drift", "drift_low", "drift_high"))
    return Numbers(
        "alarms",
        "False alarms among normal test images, in per cent with 95% intervals, and how far the shift moves "
        "their scores under the unchanged model, in standard deviations of the unshifted scores.",
        Table((*head, *shares, Column("drift", "drift of normal scores, std")), tuple(people)),
        Table((*head, *shares, *drifts), tuple(raw)),
    )


def condition_bars(cases: Sequence[Case], metric: str, *, name: str) -> Figure:
    """A bar a condition, grouped by method, domain and class."""
    values: dict[str, dict[str, Estimate]] = {}
    for case in cases:
        for pool, categories in pools(case):
            for condition in case.conditions:
                group = values.setdefault(condition.name, {})
                group[label_of(case, cases, pool)] = condition.estimate(metric, categories)
    known = {name: {k: v for k, v in group.items() if math.isfinite(v[0])} for name, group in values.items()}
    title = TITLES.get(metric, metric)
    caption = f"{title} by condition, with 95% intervals."
    return figures.bars(name, caption=caption, values=known, y_name=f"{title}, %")


def domain_bars(cases: Sequence[Case], metric: str, *, name: str) -> Figure:
    """Clean and under each shift with nothing adapted, a bar a method, in the mean over the classes."""
    values: dict[str, dict[str, Estimate]] = {}
    for case in cases:
        group = values.setdefault(case.variant, {})
        group["clean"] = case.clean.estimate(metric, case.categories)
        group[case.domain] = case.frozen.estimate(metric, case.categories)
    title = TITLES.get(metric, metric)
    caption = f"{title} with nothing adapted, mean over the classes, with 95% intervals."
    return figures.bars(name, caption=caption, values=values, y_name=f"{title}, %")


def both_levels(cases: Sequence[Case]) -> Figure:
    """Image against pixel AUROC."""
    points: dict[str, list[tuple[float, float, str]]] = {}
    for case in cases:
        for condition in _ranking(case):
            for name in case.categories:
                x, y = (condition.estimate(key, (name,))[0] for key in ("image/auroc", "pixel/auroc"))
                known = points.setdefault(condition.name, [])
                if all((x, y) != other[:2] for other in known):  # one clean test serves several shifts
                    known.append((x, y, label_of(case, cases, name)))
    return figures.scatter(
        "image_against_pixel",
        caption="Image against pixel AUROC, a point a method and class.",
        points=points,
        x_name="image AUROC, %",
        y_name="pixel AUROC, %",
    )


def heat(cases: Sequence[Case], metric: str, *, name: str) -> Figure:
    """One metric: a row a method and class, a column a domain (clean first)."""
    rows = list(dict.fromkeys((case.variant, pool) for case in cases for pool, _ in pools(case)))
    domains = list(dict.fromkeys(case.domain for case in cases))
    values = np.full((len(rows), 1 + len(domains)), math.nan)
    for case in cases:
        for pool, categories in pools(case):
            row = rows.index((case.variant, pool))
            values[row, 0] = case.clean.estimate(metric, categories)[0]
            values[row, 1 + domains.index(case.domain)] = case.frozen.estimate(metric, categories)[0]
    title = TITLES.get(metric, metric)
    return figures.matrix(
        name,
        caption=f"{title} with nothing adapted, by what the images went through.",
        rows=[", ".join(row) for row in rows],
        columns=["clean", *domains],
        values=values,
        unit=f"{title}, %",
    )


def roc_curves(cases: Sequence[Case]) -> Figure:
    """Clean, shifted and refitted in one panel a method and class."""
    panels: dict[str, dict[str, tuple[np.ndarray, np.ndarray, float]]] = {}
    for case in cases:
        for name in case.categories:
            drawn = {}
            for condition in _ranking(case):
                rows = condition.reading.rows(name)
                curve = curve_points.roc([row["score"] for row in rows], [row["label"] for row in rows])
                if curve:
                    drawn[condition.name] = (curve.x, curve.y, curve.area)
            if drawn and len(panels) < _PANELS:
                panels[label_of(case, cases, name)] = drawn
    return figures.roc_panels("roc", caption=_first_ones(cases, "ROC curves of image scores"), panels=panels)


def score_histograms(cases: Sequence[Case]) -> Iterator[Figure]:
    """Where normal and anomalous scores lie, before and after, and where the thresholds are."""
    chosen = [(case, name) for case in cases for name in case.categories][:_PANELS]
    for place, (case, name) in enumerate(chosen):
        series = {}
        for condition in (case.clean, case.frozen):
            rows = condition.reading.rows(name)
            for label, word in ((0, "normal"), (1, "anomalous")):
                series[f"{word}, {condition.name}"] = [row["score"] for row in rows if row["label"] == label]
        marks = {"frozen threshold": case.clean.threshold(name)}
        if case.threshold:
            marks["recalibrated"] = case.threshold.threshold(name)
        yield figures.histogram(
            f"scores_{place}",
            caption=f"Raw scores of the unchanged model: {label_of(case, cases, name)}.",
            series=series,
            x_name="image score",
            marks=marks,
        )


def label_of(case: Case, cases: Sequence[Case], pool: str) -> str:
    """What tells a case and a class from the study's others."""
    variants, domains = ({getattr(each, key) for each in cases} for key in ("variant", "domain"))
    parts = [case.variant] * (len(variants) > 1) + [case.domain] * (len(domains) > 1) + [pool]
    return ", ".join(parts)


def spanned(found: Estimate) -> str | None:
    """A share in per cent with its interval."""
    value, low, high = found
    if not math.isfinite(value):
        return None
    text = shown(value, percent=True)
    return f"{text} {ends(low, high)}" if math.isfinite(low) else text


def _moved(drift: Estimate) -> str | None:
    value, low, high = drift
    if not math.isfinite(value):
        return None
    return f"{value:+.1f} [{low:.1f}, {high:.1f}]" if math.isfinite(low) else f"{value:+.1f}"


def _ranking(case: Case) -> list[Condition]:
    """The conditions that rank images differently: another threshold does not."""
    return [each for each in (case.clean, case.frozen, case.refitted) if each]


def _rate(condition: Condition | None, name: str) -> Estimate:
    return condition.estimate("image/fpr", (name,)) if condition else UNKNOWN


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _first(case: Case) -> dict[str, float]:
    return dict(case.clean.values[case.categories[0]]) if case.categories else {}


def _first_ones(cases: Sequence[Case], text: str) -> str:
    total = sum(len(case.categories) for case in cases)
    return f"{text}." if total <= _PANELS else f"{text}: the first {_PANELS} of {total}."
