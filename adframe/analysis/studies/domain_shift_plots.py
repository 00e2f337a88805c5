"""Builds the tables and figures of a study whose cases are tested under several conditions."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence

import numpy as np

from adframe.analysis.settings import Setting, categories_and_mean
from adframe.analysis.studies.shift_results import ShiftCase
from adframe.metrics import curve_points
from adframe.reporting import figures
from adframe.reporting.document import Figure, TableBlock
from adframe.reporting.format import signed, title_of, with_interval
from adframe.reporting.tables import Column, table_of_columns
from adframe.stats.drift import score_drift
from adframe.stats.estimates import UNKNOWN, Estimate

OVERLAP_METRICS = ("pixel/auspro_0.05", "pixel/aupro_0.3")
DECISION_METRICS = ("image/f1", "image/recall", "image/balanced_accuracy", "image/fpr")
_CONDITION_TITLES = {  # attribute of a case -> its title
    "clean": "clean",
    "frozen": "frozen",
    "threshold": "recalibrated",
    "refitted": "refitted",
}
_MAX_PANELS = 6  # ROC panels and histograms: more of them are not read


def common_overlap_metric(cases: Sequence[ShiftCase]) -> str:
    """Finds the overlap metric that all cases have.

    Args:
        cases: the cases of the study.

    Returns:
        Name of the metric, such as `pixel/aupro_0.3`.
    """
    known = (
        key
        for key in OVERLAP_METRICS
        if all(case.clean.estimate(key, case.categories).known for case in cases)
    )
    return next(known, OVERLAP_METRICS[-1])


def conditions_table(cases: Sequence[ShiftCase]) -> TableBlock:
    """Builds the table of every metric under every condition.

    Args:
        cases: the cases of the study.

    Returns:
        One row per case, category and condition.
    """
    metrics = ("image/auroc", "pixel/auroc", common_overlap_metric(cases), *DECISION_METRICS)
    rows = []
    for case in cases:
        for name, categories in categories_and_mean(case.categories):
            for condition in case.conditions:
                row: dict[str, str | float | None] = {
                    "method": case.method,
                    "domain": case.domain,
                    "category": name,
                    "condition": condition.name,
                }
                for metric in metrics:
                    row |= estimate_cells(metric, condition.estimate(metric, categories))
                rows.append(row)
    keys = (("method", "method"), ("domain", "shift"), ("category", "category"), ("condition", "condition"))
    start = [Column(key, title) for key, title in keys]
    return TableBlock(
        "conditions",
        "Test images under each condition, in per cent with 95% intervals. Another threshold does not change "
        "the scores, so only decisions (F1, recall, balanced accuracy, FPR) differ between the frozen and "
        "the recalibrated threshold.",
        table_of_columns([*start, *estimate_columns(metrics)], rows),
        raw=table_of_columns([*start, *estimate_csv_columns(metrics)], rows),
    )


def estimate_cells(metric: str, estimate: Estimate) -> dict[str, str | float | None]:
    """Makes the cells of an estimate for `estimate_columns` and `estimate_csv_columns`.

    Args:
        metric: name of the metric.
        estimate: its value with its interval.

    Returns:
        The text for people, and value, low and high; an unknown number is None.

    Example:
        >>> estimate_cells("image/fpr", Estimate(0.125))["image/fpr text"]
        '12.5'
    """
    numbers = ((metric, estimate.value), (f"{metric}_low", estimate.low), (f"{metric}_high", estimate.high))
    return {
        f"{metric} text": with_interval(estimate),
        **{key: value if math.isfinite(value) else None for key, value in numbers},
    }


def estimate_columns(metrics: Sequence[str]) -> list[Column]:
    """Makes the columns of metrics on a page, one each.

    Args:
        metrics: names of the metrics.

    Returns:
        Columns for the texts of `estimate_cells`.
    """
    return [Column(f"{metric} text", title_of(metric)) for metric in metrics]


def estimate_csv_columns(metrics: Sequence[str]) -> list[Column]:
    """Makes the columns of metrics in a CSV file: value, low and high each.

    Args:
        metrics: names of the metrics.

    Returns:
        Columns for the numbers of `estimate_cells`.
    """
    return [Column(f"{key}{end}", f"{key}{end}") for key in metrics for end in ("", "_low", "_high")]


def alarms_table(cases: Sequence[ShiftCase]) -> TableBlock:
    """Builds the table of false alarms under each condition, and of the drift of normal scores.

    Args:
        cases: the cases of the study.

    Returns:
        One row per case and category.
    """
    names = [name for name in _CONDITION_TITLES if any(getattr(case, name) for case in cases)]
    rows = []
    for case in cases:
        for category in case.categories:
            row: dict[str, str | float | None] = {
                "method": case.method,
                "shift": case.domain,
                "category": category,
            }
            for name in names:
                condition: Setting | None = getattr(case, name)
                rate = condition.estimate("image/fpr", (category,)) if condition else UNKNOWN
                row |= estimate_cells(f"fpr_{name}", rate)
            drift = drift_of(case.clean, case.frozen, category)
            row |= estimate_cells("drift", drift) | {"drift text": _drift_text(drift)}
            rows.append(row)
    start = [Column(key, key) for key in ("method", "shift", "category")]
    titles = {name: f"FPR {_CONDITION_TITLES[name]}" for name in names}
    return TableBlock(
        "alarms",
        "False alarms among normal test images, in per cent with 95% intervals, and the drift of their "
        "scores under the unchanged model, in standard deviations of the unshifted scores.",
        table_of_columns(
            [
                *start,
                *(Column(f"fpr_{name} text", title) for name, title in titles.items()),
                Column("drift text", "drift of normal scores, std"),
            ],
            rows,
        ),
        raw=table_of_columns(
            [
                *start,
                *(Column(f"fpr_{name}", title) for name, title in titles.items()),
                *estimate_csv_columns(["drift"]),
            ],
            rows,
        ),
    )


def condition_bars(cases: Sequence[ShiftCase], metric: str, *, name: str) -> Figure:
    """Draws one bar per condition, grouped by method, domain and category.

    Args:
        cases: the cases of the study.
        metric: such as `image/auroc`.
        name: name of the figure's files.

    Returns:
        The figure.
    """
    values: dict[str, dict[str, Estimate]] = {}
    for case in cases:
        for where, categories in categories_and_mean(case.categories):
            # Another threshold changes decisions only: its bar of a ranking would repeat another one.
            for condition in case.conditions if metric in DECISION_METRICS else case.rankings:
                group = values.setdefault(condition.name, {})
                if (found := condition.estimate(metric, categories)).known:
                    group[case_label(case, cases, where)] = found
    title = title_of(metric)
    caption = f"{title} by condition, with 95% intervals."
    return figures.bars(name, caption=caption, values=values, y_name=f"{title}, %")


def domain_bars(cases: Sequence[ShiftCase], metric: str, *, name: str) -> Figure:
    """Draws one bar per method and domain with nothing adapted, in the mean over the categories.

    Args:
        cases: the cases of the study.
        metric: such as `image/auroc`.
        name: name of the figure's files.

    Returns:
        The figure; its first group of bars is clean.
    """
    values: dict[str, dict[str, Estimate]] = {}
    for case in cases:
        group = values.setdefault(case.method, {})
        for domain, condition in (("clean", case.clean), (case.domain, case.frozen)):
            group[domain] = condition.estimate(metric, case.categories)
    title = title_of(metric)
    caption = f"{title} with nothing adapted, mean over the categories, with 95% intervals."
    return figures.bars(name, caption=caption, values=values, y_name=f"{title}, %")


def case_scatter(cases: Sequence[ShiftCase]) -> Figure:
    """Draws pixel AUROC over image AUROC, one point per case, condition and category.

    Args:
        cases: the cases of the study.

    Returns:
        The figure.
    """
    points: dict[str, list[figures.Point]] = {}
    for case in cases:
        for condition in case.rankings:
            for name in case.categories:
                x, y = (condition.estimate(key, (name,)).value for key in ("image/auroc", "pixel/auroc"))
                drawn = points.setdefault(condition.name, [])
                # The clean test of a method belongs to the cases of all its shifts and is drawn once.
                if all((x, y) != other[:2] for other in drawn):
                    drawn.append((x, y, case_label(case, cases, name)))
    return figures.scatter(
        "image_against_pixel",
        caption="Pixel AUROC over image AUROC, one point per method and category.",
        points=points,
        x_name="image AUROC, %",
        y_name="pixel AUROC, %",
    )


def domains_matrix(cases: Sequence[ShiftCase], metric: str, *, name: str) -> Figure:
    """Draws a metric with nothing adapted as a matrix.

    Args:
        cases: the cases of the study.
        metric: such as `image/auroc`.
        name: name of the figure's files.

    Returns:
        The figure: one row per method and category, one column per domain, clean first.
    """
    rows = list(
        dict.fromkeys(
            (case.method, where) for case in cases for where, _ in categories_and_mean(case.categories)
        )
    )
    domains = list(dict.fromkeys(case.domain for case in cases))
    values = np.full((len(rows), 1 + len(domains)), math.nan)
    for case in cases:
        for where, categories in categories_and_mean(case.categories):
            row = rows.index((case.method, where))
            values[row, 0] = case.clean.estimate(metric, categories).value
            values[row, 1 + domains.index(case.domain)] = case.frozen.estimate(metric, categories).value
    title = title_of(metric)
    return figures.matrix(
        name,
        caption=f"{title} with nothing adapted, by the shift of the test images.",
        rows=[", ".join(row) for row in rows],
        columns=["clean", *domains],
        values=values,
        unit=f"{title}, %",
    )


def case_rocs(cases: Sequence[ShiftCase]) -> Figure:
    """Draws ROC curves: one panel per case and category, one curve per condition with its own scores.

    Args:
        cases: the cases of the study.

    Returns:
        The figure, with at most six panels.
    """
    panels: dict[str, dict[str, tuple[np.ndarray, np.ndarray, float]]] = {}
    for case in cases:
        for name in case.categories:
            curves = {}
            for condition in case.rankings:
                curve = curve_points.roc_of_rows(condition.rows(name))
                if curve:
                    curves[condition.name] = (curve.x, curve.y, curve.area)
            if curves and len(panels) < _MAX_PANELS:
                panels[case_label(case, cases, name)] = curves
    total = sum(len(case.categories) for case in cases)
    rest = f": the first {_MAX_PANELS} of {total}" if total > _MAX_PANELS else ""
    return figures.roc_panels("roc", caption=f"ROC curves of image scores{rest}.", panels=panels)


def score_histograms(cases: Sequence[ShiftCase]) -> Iterator[Figure]:
    """Draws the distributions of normal and anomalous scores without and with the shift.

    Args:
        cases: the cases of the study.

    Yields:
        One figure per case and category, at most six, with the thresholds as marks.
    """
    chosen = [(case, name) for case in cases for name in case.categories][:_MAX_PANELS]
    for place, (case, name) in enumerate(chosen):
        series = {}
        for condition in (case.clean, case.frozen):
            rows = condition.rows(name)
            for label, word in ((0, "normal"), (1, "anomalous")):
                series[f"{word}, {condition.name}"] = [row["score"] for row in rows if row["label"] == label]
        marks = {"frozen threshold": case.clean.tests[name][0].image_threshold}
        if case.threshold:
            marks["recalibrated threshold"] = case.threshold.tests[name][0].image_threshold
        yield figures.histogram(
            f"scores_{place}",
            caption=f"Raw scores of the unchanged model: {case_label(case, cases, name)}. Each group of "
            "images adds up to 100%.",
            series=series,
            x_name="image score",
            marks=marks,
        )


def case_label(case: ShiftCase, cases: Sequence[ShiftCase], where: str) -> str:
    """Labels a case and a category.

    Args:
        case: one of the cases.
        cases: all cases of the study.
        where: a category, or `mean`.

    Returns:
        The label, with method and shift only where the cases differ in them.

    Example:
        >>> case = ShiftCase("padim", "dark", Setting("clean", {}, {}), Setting("frozen", {}, {}))
        >>> case_label(case, [case], "bolt")
        'bolt'
    """
    methods, domains = ({getattr(each, key) for each in cases} for key in ("method", "domain"))
    parts = [case.method] * (len(methods) > 1) + [case.domain] * (len(domains) > 1) + [where]
    return ", ".join(parts)


def drift_of(before: Setting, after: Setting, category: str) -> Estimate:
    """Measures how much the scores of normal images change from one condition to another.

    Args:
        before: the condition without the shift; its first seed is used.
        after: the condition with the shift, on the same images; its first seed is used.
        category: the tested category.

    Returns:
        The change of the mean score in standard deviations of the scores before it (`stats.drift`), with its
        interval; `UNKNOWN` with fewer than two common images.
    """
    rows_before, rows_after = (
        {row["path"]: row for row in each.normal_rows(category)} for each in (before, after)
    )
    paths = sorted(rows_before.keys() & rows_after.keys())
    if len(paths) < 2:
        return UNKNOWN
    value, low, high = score_drift(
        np.array([rows_before[path]["score"] for path in paths]),
        np.array([rows_after[path]["score"] for path in paths]),
        groups=[rows_after[path]["group"] for path in paths],
        paths=paths,
        seed=after.tests[category][0].seed + zlib.crc32(category.encode()),
    )
    return Estimate(value, low, high)


def _drift_text(drift: Estimate) -> str | None:
    if not drift.known:
        return None
    value, low, high = (signed(number, decimals=1) for number in (drift.value, drift.low, drift.high))
    return f"{value} ({low} to {high})" if math.isfinite(drift.low) else value
