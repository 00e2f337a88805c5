"""The page of any sweep: settings next to each other, what differs significantly, what each costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adframe.analysis import statements
from adframe.analysis.studies import ablation_figures as drawn
from adframe.analysis.studies import ablation_tables as tables
from adframe.analysis.studies.ablation_results import AblationResults, read_ablation
from adframe.analysis.study import LEADERBOARD, TEST_IMAGES, failure_notes, time_of
from adframe.reporting import run_facts
from adframe.reporting.document import Block, Page, Section
from adframe.reporting.page_writer import write_document
from adframe.results.names import MEAN
from adframe.results.sweep_folder import SweepFolder

_INTERVALS = (
    "Intervals say where a number could lie on other images of the same kind. They say nothing about other "
    "data, and, without several seeds, nothing about the variation between seeds."
)
_SEEDS = (
    "Of several seeds the mean is shown. Its interval assumes that all seeds err together, which is the "
    "widest "
    "that it can be; a difference is significant only where every seed has its sign."
)
_INDEPENDENT = (
    "Some settings were tested on other images or with other seeds than others: their differences are taken "
    "between independent draws, which is wider."
)
_FACTS = ("method", "backbone", "dataset", "image size")


class Ablation:
    """Makes the page of a sweep.

    Args:
        metrics: to compare, as far as the runs have them; the first one leads.
        question: what the sweep asks; by default in terms of what was varied.
    """

    def __init__(
        self, *, metrics: Sequence[str] = ("image/auroc", "pixel/aupro_0.3"), question: str | None = None
    ) -> None:
        self.metrics = list(metrics)
        self.question = question

    def write(self, sweep: SweepFolder) -> Path | None:
        """Writes `study.html`, figures and tables into the sweep's folder.

        Args:
            sweep: a sweep that has ended.

        Returns:
            The page; None with fewer than two finished runs on labelled images.

        Raises:
            AdframeError: a file cannot be read or written.
        """
        board = read_ablation(sweep, self.metrics)
        return None if board is None else write_document(sweep.path, self.study(board))

    def study(self, board: AblationResults) -> Page:
        """What the page holds."""
        keys = ", ".join(board.key_names) or "seeds"
        means = board.means(board.main)
        return Page(
            title=statements.headline(board.settings, means, board.pairs, metric=board.main, keys=keys),
            question=self.question or _question(board),
            findings=_findings(board),
            facts=_facts(board),
            sections=_sections(board),
            command=board.sweep.command,
            links=LEADERBOARD,
            notes=_notes(board),
        )


def _question(board: AblationResults) -> str:
    if not board.keys:
        return "How much do runs of one setting differ?"
    return f"What does {' and '.join(board.key_names)} change in what is found, and at what cost?"


def _findings(board: AblationResults) -> list[str]:
    count = len(board.categories)
    over = f"in the mean over {count} categories" if count > 1 else f"on {board.categories[0]}"
    found = [
        text
        for metric in board.compared
        for text in statements.on_metric(board.means(metric), board.pairs, metric=metric, over=over)
    ]
    found += statements.by_category(board.within, metric=board.main)
    found += statements.on_seeds(board.means(board.main), metric=board.main)
    return [*found, *statements.on_size(board.sizes())]


def _facts(board: AblationResults) -> list[tuple[str, str]]:
    runs = [test for each in board.settings for test in each.runs]
    known = [dict(run_facts.facts(test.folder)) for test in runs]
    same = [
        (name, known[0][name])
        for name in _FACTS
        if name in known[0] and len({str(f.get(name)) for f in known}) == 1
    ]
    failed = len(board.sweep.failed)
    names = board.categories
    return [
        ("settings", f"{len(board.settings)}"),
        ("runs", f"{len(runs)}" + (f", {failed} failed" if failed else "")),
        ("seeds", ", ".join(map(str, sorted({test.seed for test in runs})))),
        *same,
        ("categories", ", ".join(names) if len(names) < 5 else f"{len(names)}"),
        ("test images", f"{sum(len(board.settings[0].rows(name)) for name in names)}"),
        ("time, all runs", time_of(board.sweep)),
    ]


def _sections(board: AblationResults) -> list[Section]:
    results: list[Block] = [
        tables.results_table(board),
        *drawn.over_numbers(board),
        *drawn.category_bars(board),
    ]
    if len(board.categories) > 1:
        results += [tables.categories_table(board), *drawn.categories_matrix(board)]
    found = [Section("Results", tuple(results))]
    if len(board.settings) > 1:
        found.append(Section("Differences", (*drawn.pairs_matrix(board), tables.pairs_table(board))))
    found.append(Section("Images and pixels", (*drawn.image_and_pixel(board), *drawn.rocs(board))))
    return [*found, Section("Costs", (tables.costs_table(board),))]


def _notes(board: AblationResults) -> list[str]:
    notes = [TEST_IMAGES, _INTERVALS]
    if any(board.estimate(each, MEAN, board.main).seeds > 1 for each in board.settings):
        notes.append(_SEEDS)
    if any(not one.paired for one in board.pairs):
        notes.append(_INDEPENDENT)
    if len(board.shown) < len(board.settings):
        notes.append(
            f"Figures show {len(board.shown)} of {len(board.settings)} settings, the first ones of the "
            "leaderboard; tables and corrections have all."
        )
    if len(board.in_figures) < len(board.categories):
        notes.append(
            f"Bars and curves show {len(board.in_figures)} of {len(board.categories)} categories, those in "
            "which the settings lie furthest apart; tables have all."
        )
    if board.left_out:
        notes.append(
            f"Left out, because no category is common with the first setting: {', '.join(board.left_out)}."
        )
    return [*notes, *failure_notes(board.sweep)]
