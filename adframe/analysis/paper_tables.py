"""The tables of a sweep for a paper: settings in rows, metrics or categories in columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from adframe.analysis.compare import Comparison, all_pairs, compare_settings
from adframe.analysis.studies.ablation_results import AblationResults, read_ablation
from adframe.errors import AdframeError, unknown
from adframe.reporting.format import capitalised, title_of
from adframe.reporting.latex import PaperColumn, label_of, paper_table, study_of
from adframe.reporting.tables import is_share
from adframe.results.names import MEAN
from adframe.results.sweep_folder import read_sweep
from adframe.stats.estimates import Estimate

_LOWEST_IS_BEST = ("image/ece",)


def sweep_table(
    path: Path,
    *,
    metrics: Sequence[str] = (),
    rows: Sequence[str] = (),
    categories: Sequence[str] = (),
    per_category: bool = False,
) -> str:
    """Writes the results of a sweep as LaTeX.

    Args:
        path: the folder of the sweep.
        metrics: the columns; empty for image AUROC and AU-PRO.
        rows: names of settings, in the order of the rows; empty for all.
        categories: those whose mean is shown, or which are the columns; empty for all.
        per_category: whether the columns are the categories and their mean, for the first metric.

    Returns:
        A `table` for booktabs and siunitx.

    Raises:
        AdframeError: the sweep has fewer than two finished runs, or a metric, a row or a category is unknown.
    """
    for metric in metrics:
        if not is_share(metric):
            raise AdframeError(f"--metric {metric} is no image or pixel metric, such as image/auroc")
    wanted = list(metrics) or ["image/auroc", "pixel/aupro_0.3"]
    results = read_ablation(read_sweep(path), wanted)
    if results is None:
        raise AdframeError(f"{path} has fewer than two finished runs with {' or '.join(wanted)}")
    if metrics and (missing := [each for each in metrics if each not in results.compared]):
        raise AdframeError(unknown("metric", missing[0], results.metrics))
    by_name = {each.name: each for each in results.settings}
    for name in rows:
        if name not in by_name:
            raise AdframeError(unknown("row", name, by_name))
    for name in categories:
        if name not in results.categories:
            raise AdframeError(unknown("category", name, results.categories))
    chosen = [by_name[name] for name in rows or by_name]
    places = list(categories or results.categories)
    over = {MEAN: places} | ({name: [name] for name in places} if per_category else {})
    shown = results.compared[:1] if per_category else results.compared
    shown_places = [*places, *([MEAN] if len(places) > 1 else [])] if per_category else [MEAN]
    pairs = compare_settings(all_pairs(chosen), metrics=shown, over=over)
    columns = [
        _column(
            where if per_category else title_of(metric),
            {each.name: each.estimate(metric, over[where]) for each in chosen},
            [each for each in pairs if each.where == where and each.metric == metric],
            lowest=metric in _LOWEST_IS_BEST,
        )
        for metric in shown
        for where in shown_places
    ]
    kind = "categories" if per_category else "results"
    what = f"{capitalised(title_of(shown[0]))} in per cent" if per_category else "Test images, in per cent"
    return paper_table(
        _first_title(results),
        [each.name for each in chosen],
        columns,
        caption=f"{what}, {_places(places, per_category=per_category)}.",
        label=label_of(study_of(results.sweep.command, default=path.name), kind),
    )


def results_latex(results: AblationResults) -> str:
    """Writes the table of the page of a sweep as LaTeX.

    Args:
        results: the results of the sweep.

    Returns:
        The means over categories of every metric that the page has.
    """
    metrics = [name for name in results.metrics if results.means(name)]
    columns = [
        _column(
            title_of(metric),
            results.means(metric),
            [each for each in results.pairs if each.metric == metric] if metric in results.compared else None,
            lowest=metric in _LOWEST_IS_BEST,
        )
        for metric in metrics
    ]
    return paper_table(
        _first_title(results),
        [each.name for each in results.settings],
        columns,
        caption=f"Test images, in per cent, {_places(results.categories, per_category=False)}.",
        label=label_of(study_of(results.sweep.command, default="study"), "results"),
    )


def _column(
    title: str, values: Mapping[str, Estimate], pairs: Sequence[Comparison] | None, *, lowest: bool
) -> PaperColumn:
    """Builds a column; without pairs nothing says which rows differ significantly from the best one."""
    plain = PaperColumn(title, values, lowest=lowest)
    if pairs is None or not plain.best:
        return plain
    best = plain.best[0]
    alike = frozenset(
        other
        for each in pairs
        if best in (each.a, each.b) and not each.significant
        for other in (each.a, each.b)
        if other != best
    )
    return PaperColumn(title, values, alike, lowest)


def _first_title(results: AblationResults) -> str:
    return results.key_names[0] if len(results.key_names) == 1 else "setting"


def _places(places: Sequence[str], *, per_category: bool) -> str:
    if len(places) == 1:
        return f"on {places[0]}"
    return "per category" if per_category else f"mean over {len(places)} categories"
