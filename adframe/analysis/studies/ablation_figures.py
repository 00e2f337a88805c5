"""Builds the figures on the page of a sweep."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from adframe.analysis.compare import find_comparison, is_significant
from adframe.analysis.settings import Setting, name_in_sentence, name_of_overrides, short_key
from adframe.analysis.studies.ablation_results import AblationResults
from adframe.metrics import curve_points
from adframe.reporting import figures
from adframe.reporting.document import Figure
from adframe.reporting.format import capitalised, p_equals, points, title_of
from adframe.results.names import MEAN
from adframe.stats.estimates import Estimate

_CHANCE_AUROC = 0.5  # bars of an AUROC begin here: half of them would show nothing otherwise
_MAX_CURVES = 8  # in one figure
_LOG_FACTOR = 10  # an axis that spans this factor is logarithmic


def category_bars(results: AblationResults) -> list[Figure]:
    """Draws bars per category of the main metric, and of the pixel metric.

    Args:
        results: the results of the sweep.

    Returns:
        One figure per metric.
    """
    pixel = results.pixel_metric
    metrics = dict.fromkeys([results.main_metric, *([pixel] if pixel else [])])
    places = [*results.categories_in_figures, MEAN] if len(results.categories) > 1 else results.categories
    found = []
    for metric in metrics:
        base = _CHANCE_AUROC if metric.endswith("auroc") else 0.0
        caption = f"{capitalised(title_of(metric))} per category, test images; whiskers are 95% intervals" + (
            ", and bars begin at chance." if base else "."
        )
        values = {
            name_in_sentence(each): {where: results.estimate(each, where, metric) for where in places}
            for each in results.shown
        }
        name, y_name = f"bars_{_name_in_file(metric)}", f"{title_of(metric)}, %"
        found.append(figures.bars(name, caption=caption, values=values, y_name=y_name, base=base))
    return found


def image_pixel_scatter(results: AblationResults) -> list[Figure]:
    """Draws the pixel metric over the main metric, one point per setting and category.

    Args:
        results: the results of the sweep.

    Returns:
        The figure; none where the runs have no pixel metric, or it is the main metric.
    """
    pixel = results.pixel_metric
    if pixel is None or pixel == results.main_metric:
        return []
    found: dict[str, list[figures.Point]] = {}
    for each in results.shown:
        known = found.setdefault(name_in_sentence(each), [])
        for where in results.categories:
            x, y = (results.estimate(each, where, metric) for metric in (results.main_metric, pixel))
            if x.known and y.known:
                known.append((x.value, y.value, where if len(results.categories) > 1 else ""))
    x_title, y_title = title_of(results.main_metric), title_of(pixel)
    return [
        figures.scatter(
            "image_pixel",
            caption=f"{capitalised(y_title)} over {x_title}, one point per category, test images.",
            points=found,
            x_name=f"{x_title}, %",
            y_name=f"{y_title}, %",
        )
    ]


def categories_matrix(results: AblationResults) -> list[Figure]:
    """Draws the main metric as a matrix: one row per shown setting, one column per category.

    Args:
        results: the results of the sweep.

    Returns:
        The figure; none with a single category.
    """
    if len(results.categories) < 2:
        return []
    columns, metric = [*results.categories, MEAN], results.main_metric
    values = [[results.estimate(each, where, metric).value for where in columns] for each in results.shown]
    return [
        figures.matrix(
            "categories_heatmap",
            caption=f"{capitalised(title_of(metric))} of each setting in each category, test images.",
            rows=[name_in_sentence(each) for each in results.shown],
            columns=columns,
            values=np.array(values),
            unit=f"{title_of(metric)}, %",
        )
    ]


def pairs_matrix(results: AblationResults) -> list[Figure]:
    """Draws the differences between every two shown settings as a matrix.

    Args:
        results: the results of the sweep.

    Returns:
        The figure; none with a single setting.
    """
    names, metric = [each.name for each in results.shown], results.main_metric
    if len(names) < 2:
        return []
    values, texts = np.full((len(names), len(names)), math.nan), [[""] * len(names) for _ in names]
    strength = np.ones_like(values)
    for row, column in np.ndindex(*values.shape):
        found = find_comparison(results.pairs, names[column], names[row], metric=metric, where=MEAN)
        if found is not None:
            values[row, column] = found.difference.value
            strength[row, column] = _strength(found.adjusted)
            star = "*" if found.significant else ""
            texts[row][column] = f"{points(found.difference.value)}{star}\n{p_equals(found.adjusted)}"
    return [
        figures.matrix(
            "pairs_heatmap",
            caption=f"{capitalised(title_of(metric))} of the setting of the row minus that of the column, in "
            "percentage points, with the p value after Holm's correction; * marks a significant difference. "
            "The others are paler, the more so the larger p is.",
            rows=(labels := [name_in_sentence(each) for each in results.shown]),
            columns=labels,
            values=values,
            unit="Difference, percentage points",
            diverging=True,
            strength=strength,
            texts=texts,
        )
    ]


def _strength(p: float) -> float:
    """Returns the opacity of a difference: 1 where it is significant, then less with a larger p value."""
    if not math.isfinite(p):
        return 0.15
    return 1.0 if is_significant(p) else max(0.15, 0.6 * (1 - p) ** 2)


def setting_rocs(results: AblationResults) -> list[Figure]:
    """Draws ROC curves: one panel per category, one curve per shown setting.

    Args:
        results: the results of the sweep.

    Returns:
        The figure; none where no category has normal and anomalous images.
    """
    panels: dict[str, dict[str, tuple[np.ndarray, np.ndarray, float]]] = {}
    for where in results.categories_in_figures:
        for each in results.shown:
            curve = curve_points.roc_of_rows(each.rows(where))
            if curve is not None:
                panels.setdefault(where, {})[name_in_sentence(each)] = (curve.x, curve.y, curve.area)
    several_seeds = any(
        len(each.tests[where]) > 1 for each in results.shown for where in results.categories_in_figures
    )
    seeds = ", first seed of each setting" if several_seeds else ""
    caption = f"ROC curves of test images, raw scores{seeds}."
    return [figures.roc_panels("roc", caption=caption, panels=panels)] if panels else []


def metric_curves(results: AblationResults) -> list[Figure]:
    """Draws the compared metrics over a key that was varied, where its values are numbers.

    Args:
        results: the results of the sweep.

    Returns:
        One figure per metric; none where no key has numbers as values.
    """
    key = numeric_key(results.settings)
    if key is None:
        return []
    xs = {each.name: float(each.overrides[key]) for each in results.settings}
    several_keys, several_categories = len(results.keys) > 1, len(results.categories) > 1
    # With other keys there is one curve per value of these, so only the mean over categories has room.
    places = [*results.categories_in_figures, MEAN] if several_categories and not several_keys else [MEAN]
    found = []
    for metric in results.compared:
        series: dict[str, list[figures.Step]] = {}
        for each in results.settings:
            for where in places:
                value = results.estimate(each, where, metric)
                category = where if several_categories else results.categories[0]
                label = name_without(each, key) if several_keys else category
                if value.known:
                    series.setdefault(label, []).append(curve_point(xs[each.name], value))
        caption = f"{capitalised(title_of(metric))} over {key}, test images, with 95% intervals."
        drawn = dict(list(series.items())[:_MAX_CURVES])
        if len(series) > len(drawn):
            caption += f" The first {len(drawn)} of {len(series)} curves are shown."
        found.append(
            figures.lines(
                f"curve_{_name_in_file(metric)}",
                caption=caption,
                series=drawn,
                x_name=short_key(key, results.keys),
                y_name=f"{title_of(metric)}, %",
                log_x=needs_log_axis(list(xs.values())),
            )
        )
    return found


def numeric_key(settings: Sequence[Setting]) -> str | None:
    """Finds the key that has the most values, all of them numbers.

    Args:
        settings: settings with the same keys.

    Returns:
        The key; None where no key has three or more values that are all numbers.

    Example:
        >>> numeric_key([Setting(k, {"model.k": k, "model": "knn"}, {}) for k in ("1", "3", "9")])
        'model.k'
    """
    counts: dict[str, int] = {}
    for key in settings[0].overrides:
        values = {each.overrides[key] for each in settings}
        if all(_is_finite_number(value) for value in values) and len(values) > 2:
            counts[key] = len(values)
    return max(counts, key=lambda key: counts[key]) if counts else None


def name_without(setting: Setting, key: str) -> str:
    """Names a setting without one of its keys.

    Args:
        setting: the setting.
        key: the key to leave out.

    Returns:
        The name; "" where the setting has no other key.
    """
    return name_of_overrides({other: value for other, value in setting.overrides.items() if other != key})


def curve_point(x: float, value: Estimate) -> figures.Step:
    """Makes a point of a curve.

    Args:
        x: position on the horizontal axis.
        value: the metric there.

    Returns:
        (x, value, low, high); the ends are None where the interval is unknown.
    """
    known = math.isfinite(value.low)
    return x, value.value, value.low if known else None, value.high if known else None


def needs_log_axis(values: Sequence[float]) -> bool:
    """Returns whether an axis should be logarithmic.

    Args:
        values: the positions on the axis.

    Returns:
        Whether all values are positive and span a factor of ten.

    Example:
        >>> needs_log_axis([0.01, 0.1, 1]), needs_log_axis([1, 2, 3])
        (True, False)
    """
    return min(values) > 0 and max(values) >= _LOG_FACTOR * min(values)


def _name_in_file(metric: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in metric)


def _is_finite_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
