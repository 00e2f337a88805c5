"""Writes the page of any sweep: its settings next to each other, significant differences, and costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from adframe.analysis import statements
from adframe.analysis.settings import name_in_sentence
from adframe.analysis.studies import ablation_figures, ablation_tables
from adframe.analysis.studies.ablation_results import AblationResults, read_ablation
from adframe.analysis.study import LEADERBOARD, TEST_IMAGES, failure_notes
from adframe.reporting import run_facts
from adframe.reporting.document import Block, Page, Section
from adframe.reporting.page_writer import write_document
from adframe.results.names import MEAN
from adframe.results.sweep_folder import SweepFolder
from adframe.stats.estimates import Estimate

_INTERVALS = (
    "An interval shows where a number could lie on other images of the same kind. It does not cover other "
    "data, nor, without several seeds, the variation between seeds."
)
_SEEDS = (
    "Numbers of several seeds are means, and ± is their standard deviation. Intervals and p values allow "
    "for other images and for other seeds; two or three seeds tell little about others, so they are wide."
)
_INDEPENDENT = (
    "Some settings were not tested on the same images: they are compared as independent, which gives wider "
    "intervals of the differences."
)
_COMMON_FACTS = ("method", "backbone", "dataset", "image size")
_LISTED_CATEGORIES = 4  # of more categories the page head shows the number only


class Ablation:
    """The study of any sweep: it writes a page that compares the settings of the sweep.

    Args:
        metrics: the metrics to compare, if the runs have them; the first one is the main metric.
        question: the question that the sweep asks; None for one that names the keys that were varied.

    Example:
        >>> from adframe.results.sweep_folder import read_sweep
        >>> study = Ablation(metrics=["image/auroc"], question="Does a larger coreset help?")
        >>> study.write(read_sweep(Path("multirun/coreset")))  # doctest: +SKIP
        PosixPath('multirun/coreset/study.html')
    """

    def __init__(
        self, *, metrics: Sequence[str] = ("image/auroc", "pixel/aupro_0.3"), question: str | None = None
    ) -> None:
        self.metrics = list(metrics)
        self.question = question

    def write(self, sweep: SweepFolder) -> Path | None:
        """Writes `study.html`, figures and tables into the sweep's folder.

        Args:
            sweep: a finished sweep.

        Returns:
            The path of the page; None with fewer than two finished runs on labelled images.

        Raises:
            AdframeError: a file cannot be read or written.
        """
        results = read_ablation(sweep, self.metrics)
        return None if results is None else write_document(sweep.path, self.study(results))

    def study(self, results: AblationResults) -> Page:
        """Builds the page.

        Args:
            results: the results of the sweep.

        Returns:
            The page with its findings, sections and notes.
        """
        main = results.main_metric
        keys = ", ".join(results.key_names) or "seeds"
        question = "How much do runs of one setting differ?"
        if results.keys:
            question = f"How does {' and '.join(results.key_names)} change the metrics, and at what cost?"
        return Page(
            title=statements.headline(
                results.settings, results.means(main), results.pairs, metric=main, keys=keys
            ),
            question=self.question or question,
            findings=_ablation_findings(results),
            facts=_ablation_facts(results),
            sections=_ablation_sections(results),
            command=results.sweep.command,
            links=LEADERBOARD,
            notes=_ablation_notes(results),
        )


def _ablation_findings(results: AblationResults) -> list[str]:
    main, count = results.main_metric, len(results.categories)
    over = f"in the mean over {count} categories" if count > 1 else f"on {results.categories[0]}"
    names = {setting.name: name_in_sentence(setting) for setting in results.settings}
    pairs, category_pairs = (
        [replace(each, a=names[each.a], b=names[each.b]) for each in own]
        for own in (results.pairs, results.category_pairs)
    )

    def means(metric: str) -> dict[str, Estimate]:
        return {names[name]: mean for name, mean in results.means(metric).items()}

    return [
        *(
            text
            for metric in results.compared
            for text in statements.metric_sentences(means(metric), pairs, metric=metric, over=over)
        ),
        *statements.category_sentences(category_pairs, metric=main),
        *statements.seed_sentences(means(main), metric=main),
        *statements.size_sentences({names[name]: size for name, size in results.sizes().items()}),
    ]


def _ablation_facts(results: AblationResults) -> list[tuple[str, str]]:
    runs = [test for each in results.settings for test in each.runs]
    common = run_facts.common_facts([test.folder for test in runs], _COMMON_FACTS)
    failed = len(results.sweep.failed)
    names = results.categories
    return [
        ("settings", f"{len(results.settings)}"),
        ("runs", f"{len(runs)}" + (f", {failed} failed" if failed else "")),
        ("seeds", ", ".join(map(str, sorted({test.seed for test in runs})))),
        *common,
        ("categories", ", ".join(names) if len(names) <= _LISTED_CATEGORIES else f"{len(names)}"),
        ("test images", f"{sum(len(results.settings[0].rows(name)) for name in names)}"),
        ("time, all runs", run_facts.duration(results.sweep.seconds)),
    ]


def _ablation_sections(results: AblationResults) -> list[Section]:
    blocks: list[Block] = [
        ablation_tables.results_table(results),
        *ablation_figures.metric_curves(results),
        *ablation_figures.category_bars(results),
    ]
    if len(results.categories) > 1:
        blocks += [
            ablation_tables.categories_table(results),
            *ablation_figures.categories_matrix(results),
        ]
    sections = [Section("Results", tuple(blocks))]
    if len(results.settings) > 1:
        differences: list[Block] = [*ablation_figures.pairs_matrix(results)]
        differences.append(ablation_tables.pairs_table(results))
        sections.append(Section("Differences", tuple(differences)))
    figures: list[Block] = [
        *ablation_figures.image_pixel_scatter(results),
        *ablation_figures.setting_rocs(results),
    ]
    return [
        *sections,
        Section("Images and pixels", tuple(figures)),
        Section("Costs", (ablation_tables.costs_table(results),)),
    ]


def _ablation_notes(results: AblationResults) -> list[str]:
    notes = [TEST_IMAGES, _INTERVALS]
    if any(results.estimate(each, MEAN, results.main_metric).seeds > 1 for each in results.settings):
        notes.append(_SEEDS)
    if any(not each.paired for each in results.pairs):
        notes.append(_INDEPENDENT)
    if len(results.shown) < len(results.settings):
        notes.append(
            f"Figures show {len(results.shown)} of {len(results.settings)} settings, the best ones of the "
            "leaderboard; tables and corrections include all settings."
        )
    if len(results.categories_in_figures) < len(results.categories):
        notes.append(
            f"Bars and curves show {len(results.categories_in_figures)} of {len(results.categories)} "
            "categories, those in which the settings differ most; tables include all categories."
        )
    if results.left_out:
        notes.append(
            "These settings are left out because they share no category with the first one: "
            f"{', '.join(results.left_out)}."
        )
    return [*notes, *failure_notes(results.sweep)]
