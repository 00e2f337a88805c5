"""The page of any sweep: settings side by side, what their intervals support, what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adframe.analysis.studies import ablation_figures, ablation_tables, statements
from adframe.analysis.studies.ablation_results import Board, read_board
from adframe.analysis.studies.settings import Cell
from adframe.analysis.studies.sweep_runs import Reading
from adframe.reporting import run_facts
from adframe.reporting.document import Block, Section, Study
from adframe.reporting.study_page import write_study
from adframe.results.names import MEAN
from adframe.results.sweep_folder import SECONDS, Sweep

_CHOSEN = (
    "These are test images: to report by them is fine, but a setting chosen by this page is chosen on test "
    "data, and its numbers here are then too good."
)
_ALIKE = (
    "Intervals say where a number could lie on other images of the same kind. They say nothing of other "
    "data, and, without several seeds, nothing of how far another seed would lead."
)


class Ablation:
    """Makes a sweep's page.

    Args:
        metrics: to compare, as far as the runs have them; the first leads.
        question: what the sweep asks; by default in terms of what varies.
    """

    def __init__(
        self, *, metrics: Sequence[str] = ("image/auroc", "pixel/aupro_0.3"), question: str | None = None
    ) -> None:
        self.metrics = list(metrics)
        self.question = question

    def write(self, sweep: Sweep) -> Path | None:
        """Writes `study.html`, figures and tables into the sweep's folder.

        Args:
            sweep: that has ended.

        Returns:
            The page; None with fewer than two finished runs on labelled images.

        Raises:
            AdframeError: a file cannot be read or written.
        """
        board = read_board(sweep, self.metrics)
        return None if board is None else write_study(sweep.folder, self.study(board))

    def study(self, board: Board) -> Study:
        """What the page holds."""
        return study_of(board, question=self.question)


def study_of(board: Board, *, question: str | None = None) -> Study:
    """A sweep's page.

    Args:
        board: its numbers.
        question: what it asks.
    """
    keys = ", ".join(board.names) or "seeds"
    means = board.means(board.main)
    return Study(
        title=statements.headline(board.variants, means, board.found, metric=board.main, keys=keys),
        question=question or _asked(board),
        findings=_findings(board),
        facts=_facts(board),
        sections=_sections(board),
        command=board.sweep.command,
        notes=_notes(board),
    )


def _asked(board: Board) -> str:
    if not board.keys:
        return "How far do runs of one setting lie apart?"
    return f"What does {' and '.join(board.names)} change in what is found, and at what cost?"


def _findings(board: Board) -> list[str]:
    over = (
        f"in the mean over {len(board.classes)} classes"
        if len(board.classes) > 1
        else f"on {board.classes[0]}"
    )
    said = [
        text
        for metric in board.compared
        for text in statements.on_metric(board.means(metric), board.found, metric=metric, over=over)
    ]
    said += statements.by_class(board.within, metric=board.main)
    said += statements.on_seeds(board.variants, board.means(board.main), metric=board.main)
    return [*said, *statements.on_size(board.sizes())]


def _facts(board: Board) -> list[tuple[str, str]]:
    runs = [run for each in board.variants for run in each.readings]
    lost = [entry for entry in board.sweep.entries if entry.error is not None]
    seeds = {run.seed for run in runs}
    first = run_facts.facts(runs[0].run)
    kept = {name: value for name, value in first if name in ("method", "backbone", "dataset", "image size")}
    same = [(name, value) for name, value in kept.items() if _same(runs, name, value)]
    tested = sum(len(cells[0][0].rows(cells[0][1])) for cells in _cells(board))
    spent = sum(run.entry.costs.get(SECONDS) or 0 for run in runs)
    return [
        ("settings", f"{len(board.variants)}"),
        ("runs", f"{len(runs)}" + (f", {len(lost)} failed" if lost else "")),
        ("seeds", ", ".join(map(str, sorted(seeds)))),
        *same,
        ("classes", ", ".join(board.classes) if len(board.classes) < 5 else f"{len(board.classes)}"),
        ("test images", f"{tested}"),
        ("time, all runs", run_facts.duration(spent)),
    ]


def _sections(board: Board) -> list[Section]:
    several = len(board.classes) > 1
    drawn = ablation_figures
    results: list[Block] = [ablation_tables.results(board)]
    results += [*drawn.over_numbers(board), *drawn.by_class(board)]
    if several:
        results += [ablation_tables.classes(board), *drawn.classes_matrix(board)]
    found = [Section("Results", tuple(results))]
    if len(board.variants) > 1:
        compared: tuple[Block, ...] = (*drawn.pairs_matrix(board), ablation_tables.pairs(board))
        found.append(Section("What differs by more than chance", compared))
    found.append(Section("Images and pixels", (*drawn.image_and_pixel(board), *drawn.rocs(board))))
    return [*found, Section("Costs", (ablation_tables.costs(board),))]


def _notes(board: Board) -> list[str]:
    notes = [_CHOSEN, _ALIKE]
    if any(value.seeds > 1 for (_, where, _), value in board.values.items() if where == MEAN):
        notes.append(
            "Of several seeds the mean is shown. Its interval takes all seeds to err together, the widest "
            "they can; a difference counts only where every seed has its sign."
        )
    if any(not one.same_images for one in board.found):
        notes.append(
            "Some settings were tested on other images or with other seeds than others: their differences "
            "are taken between independent draws, which is wider."
        )
    if len(board.shown) < len(board.variants):
        notes.append(
            f"Figures show {len(board.shown)} of {len(board.variants)} settings, the first of the "
            "leaderboard; tables and corrections have all."
        )
    if len(board.wide) < len(board.classes):
        notes.append(
            f"Bars and curves show {len(board.wide)} of {len(board.classes)} classes, those in which the "
            "settings lie furthest apart; tables have all."
        )
    if board.apart:
        notes.append(f"No class in common with the first setting, and so left out: {', '.join(board.apart)}.")
    return [*notes, *(_lost(board, entry.run) for entry in board.sweep.entries if entry.error is not None)]


def _lost(board: Board, number: str) -> str:
    entry = next(each for each in board.sweep.entries if each.run == number)
    told = ", ".join(f"{key}={entry.told[key]}" for key in board.sweep.varied if key in entry.told)
    return f"Run {number} ({told}) failed and is in no number here: {entry.error}"


def _same(runs: Sequence[Reading], name: str, value: str) -> bool:
    return all(dict(run_facts.facts(run.run)).get(name) == value for run in runs)


def _cells(board: Board) -> list[tuple[Cell, ...]]:
    return [board.variants[0].cells[name] for name in board.classes]
