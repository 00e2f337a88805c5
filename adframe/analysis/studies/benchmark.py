"""Writes the page of a benchmark: methods ranked over categories, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from adframe.analysis.compare import Comparison, all_pairs, compare_settings, is_significant
from adframe.analysis.settings import Setting, name_of_overrides
from adframe.analysis.studies.ablation_results import AblationResults, mean_cost
from adframe.analysis.studies.ablation_tables import settings_title
from adframe.analysis.studies.efficiency import Efficiency
from adframe.analysis.studies.pareto import P50, costs_of
from adframe.reporting.document import Block, Page, Section, TableBlock
from adframe.reporting.figure_ranks import rank_diagram
from adframe.reporting.format import capitalised, counted, p_equals, title_of, with_interval
from adframe.reporting.tables import Cell, Column, table_of, table_of_columns
from adframe.results.names import TRANSDUCTIVE
from adframe.results.run_folder import MEMORY, MODEL
from adframe.stats.ranks import Ranking, rank_methods

_FIT = "seconds/fit"
_FEW_CATEGORIES = 5  # with fewer, tests over categories find next to nothing
_COLUMNS = (
    Column("rank", "average rank"),
    Column("quality", "quality"),
    Column("record", "win / tie / loss"),
    Column("fit", "time to fit, s"),
    Column("latency", "time per image, ms"),
    Column("model", "size of a model, MB"),
    Column("process", "memory used, MB"),
)


class Benchmark(Efficiency):
    """The study of a sweep over methods: ranks, wins, and costs. Methods that could not be run are named.

    Args:
        metrics: the metrics to compare, if the runs have them; the first one ranks the methods.
        question: the question that the sweep asks; None for which method is best, and at what cost.

    Example:
        >>> from pathlib import Path
        >>> from adframe.results.sweep_folder import read_sweep
        >>> study = Benchmark(metrics=["image/auroc"])
        >>> study.write(read_sweep(Path("multirun/benchmark")))  # doctest: +SKIP
        PosixPath('multirun/benchmark/study.html')
    """

    def study(self, results: AblationResults) -> Page:
        """Builds the page: that of an efficiency study with a section on ranks before the others.

        Args:
            results: the results of the sweep.

        Returns:
            The page.
        """
        plain = super().study(results)
        ranking, places = _ranking(results), results.categories
        single = {name: [name] for name in places}
        pairs = compare_settings(all_pairs(results.settings), metrics=[results.main_metric], over=single)
        blocks: list[Block] = [_methods_table(results, ranking, pairs)]
        if ranking is not None and len(places) > 1:
            metric = title_of(results.main_metric)
            caption = (
                f"Average rank by {metric} over {len(places)} categories, 1 is best. A thick line connects "
                f"methods whose ranks differ by less than the critical difference (Nemenyi's test)."
            )
            blocks.append(rank_diagram("ranks", ranking, caption=caption))
        question = "Which method is best over all categories, and at what cost?"
        return replace(
            plain,
            title=_benchmark_title(ranking, results) or plain.title,
            question=self.question or question,
            findings=[*_rank_sentences(ranking, results), *plain.findings],
            sections=[Section("Ranks", tuple(blocks)), *plain.sections],
            notes=[*_transductive_notes(results), *_rank_notes(ranking), *plain.notes],
        )


def _ranking(results: AblationResults) -> Ranking | None:
    """Ranks the settings whose main metric is known in every category; None with fewer than two."""
    values: dict[str, list[float]] = {}
    for setting in results.settings:
        found = [results.estimate(setting, name, results.main_metric) for name in results.categories]
        if all(each.known for each in found):
            values[setting.name] = [each.value for each in found]
    return rank_methods(values) if len(values) > 1 else None


def _methods_table(
    results: AblationResults, ranking: Ranking | None, pairs: Sequence[Comparison]
) -> TableBlock:
    """Builds the table of methods, the best first, and below them those that failed."""
    metric = results.main_metric
    means, costs = results.means(metric), costs_of(results)
    ranks = {} if ranking is None else ranking.ranks
    names = sorted(results.settings, key=lambda each: ranks.get(each.name, float("inf")))
    rows: list[dict[str, Cell]] = []
    raw: list[Mapping[str, Cell]] = []
    for setting in names:
        record, own = _record(setting.name, pairs), costs.get(setting.name, {})
        fit = [v for run in setting.runs for facts in run.folder.val.values() if (v := facts.get(_FIT))]
        numbers: dict[str, float | None] = {
            "fit": sum(fit) / len(fit) if fit else None,
            "latency": own.get(P50),
            "model": _scaled(own.get(MODEL)),
            "process": _scaled(mean_cost(setting, MEMORY)),
        }
        rank = ranks.get(setting.name)
        rows.append(
            {
                "setting": f"{setting.name} (transductive)" if _is_transductive(setting) else setting.name,
                "rank": None if rank is None else f"{rank:.2f}",
                "quality": with_interval(means[setting.name]) if setting.name in means else None,
                "record": " / ".join(map(str, record)),
                **{key: None if value is None else f"{value:.4g}" for key, value in numbers.items()},
            }
        )
        raw.append(
            {
                "setting": setting.name,
                "rank": rank,
                metric: means[setting.name].value if setting.name in means else None,
                **dict(zip(("wins", "ties", "losses"), record, strict=True)),
                **{key: numbers[key] for key in ("fit", "latency", "model", "process")},
                "error": None,
            }
        )
    for run in results.sweep.failed:
        varied = {key: run.overrides[key] for key in results.sweep.varied if key in run.overrides}
        name = name_of_overrides(varied) or run.name
        rows.append({"setting": name, "rank": "not run"})
        raw.append({"setting": name, "error": run.error})
    shown = [
        replace(each, title=title_of(metric)) if each.key == "quality" else each
        for each in _COLUMNS
        if any(row.get(each.key) is not None for row in rows)
    ]
    caption = (
        f"Methods in the order of their average rank by {title_of(metric)}. A win is a category in which a "
        "method is significantly better than another one, after Holm's correction; wins, ties and losses are "
        "counted over categories and other methods. Time to fit a category's model, median time of one "
        "image, size of one category's model, and the most memory that the process used."
        + (" Methods that could not be run are last; a note says why." if results.sweep.failed else "")
    )
    columns = (Column("setting", settings_title(results)), *shown)
    whole = [{each.key: row.get(each.key) for each in columns} for row in rows]
    return TableBlock("methods", caption, table_of_columns(columns, whole), raw=table_of(raw))


def _is_transductive(setting: Setting) -> bool:
    return any(TRANSDUCTIVE in str(run.folder.environment.get("warnings", "")) for run in setting.runs)


def _transductive_notes(results: AblationResults) -> list[str]:
    return [f"{each.name}: {TRANSDUCTIVE}." for each in results.settings if _is_transductive(each)]


def _record(name: str, pairs: Sequence[Comparison]) -> tuple[int, int, int]:
    """Counts the comparisons that a setting wins, ties and loses."""
    wins = ties = losses = 0
    for each in pairs:
        if name not in (each.a, each.b):
            continue
        # The difference is b minus a.
        gain = each.difference.value if each.b == name else -each.difference.value
        if not each.significant:
            ties += 1
        elif gain > 0:
            wins += 1
        else:
            losses += 1
    return wins, ties, losses


def _benchmark_title(ranking: Ranking | None, results: AblationResults) -> str:
    if ranking is None:
        return ""
    names = list(ranking.ranks)
    alike = next((len(group) for group in ranking.groups if names[0] in group), 1)
    over = f"over {counted(ranking.categories, 'category')}"
    tail = f"; {counted(alike - 1, 'method')} cannot be told apart from it" if alike > 1 else ""
    return f"{names[0]} ranks best of {len(names)} methods by {title_of(results.main_metric)} {over}{tail}"


def _rank_sentences(ranking: Ranking | None, results: AblationResults) -> list[str]:
    if ranking is None or ranking.categories < 2:
        return []
    names = list(ranking.ranks)
    best = names[0]
    metric = title_of(results.main_metric)
    sentence = (
        f"{best} has the best average rank by {metric} over {ranking.categories} categories: "
        f"{ranking.ranks[best]:.2f}, among {len(names)} methods."
    )
    alike = next((group for group in ranking.groups if best in group), (best,))
    if len(names) > 2 and not is_significant(ranking.p):
        return [f"{sentence} Ranks do not differ significantly (Friedman's test, {p_equals(ranking.p)})."]
    if len(alike) > 1:
        return [f"{sentence} It does not differ significantly from {', '.join(alike[1:])}."]
    return [f"{sentence} It differs significantly from all others (Nemenyi's test)."]


def _rank_notes(ranking: Ranking | None) -> list[str]:
    if ranking is None or not 1 < ranking.categories < _FEW_CATEGORIES:
        return []
    return [
        f"{capitalised(counted(ranking.categories, 'category'))} are few: tests of ranks find "
        "only very large differences. Intervals within categories say more here."
    ]


def _scaled(size: float | None) -> float | None:
    return None if size is None else size / 1e6
