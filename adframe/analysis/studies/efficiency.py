"""What finding costs: latency, throughput and memory of every setting against image AUROC."""

from __future__ import annotations

from collections.abc import Sequence

from adframe.analysis.studies import ablation
from adframe.analysis.studies.ablation_results import Board
from adframe.analysis.studies.pairwise import between
from adframe.analysis.studies.pareto import P50, Spent, against, costs_table, front, over, spent
from adframe.analysis.studies.statements import begun, p_text, signed, span, title_of
from adframe.reporting.document import Block, Section, Study
from adframe.results.names import MEAN
from adframe.results.sweep_folder import MODEL

IMAGES, BATCH, THREADS = "latency/images", "latency/batch_size", "latency/threads"
LOAD = "latency/load_per_core"
_BUSY_FROM = 1.5  # the run itself, which has just been fitted with all cores, counts in its load
_BUSY = (
    "Seconds are of this machine, while nothing else of the sweep ran (launcher=local); other work on it "
    "moves them. Those of one setting are of single images after warming up, loading not included."
)


class Efficiency(ablation.Ablation):
    """Makes the page of a sweep whose runs measured their latency (`callbacks.latency.images`).

    Args:
        metrics: to compare, as far as the runs have them; the first stands against the costs.
        question: what the sweep asks.
    """

    def __init__(self, *, metrics: Sequence[str] = ("image/auroc",), question: str | None = None) -> None:
        super().__init__(metrics=metrics, question=question)

    def study(self, board: Board) -> Study:
        """What the page holds."""
        return study_of(board, question=self.question)


def study_of(board: Board, *, question: str | None = None) -> Study:
    """The page of what finding costs.

    Args:
        board: a sweep's numbers.
        question: what it asks.
    """
    all_spent = spent(board)
    plain = ablation.study_of(board, question=question)
    if not any(P50 in each.costs for each in all_spent):
        lacking = "No run measured its latency: set callbacks.latency.images=100."
        return Study(plain.title, plain.question, plain.findings, plain.facts, plain.sections, plain.command,
                     [lacking, *plain.notes])  # fmt: skip
    blocks: list[Block] = [costs_table(all_spent, board), *against(all_spent, board), *over(all_spent, board)]
    said = [text for key in (P50, MODEL) for text in _front_said(all_spent, board, key)]
    return Study(
        title=_title(all_spent, board),
        question=question or "What do fewer patches and fewer dimensions save, and what do they lose?",
        findings=[*said, *plain.findings],
        facts=[*plain.facts, *_how(board)],
        sections=[Section("What finding costs", tuple(blocks)), *plain.sections],
        command=plain.command,
        notes=[_BUSY, *_waited(board), *plain.notes],
    )


def _front_said(points: Sequence[Spent], board: Board, key: str) -> list[str]:
    """What the cheapest setting saves, and whether it loses by more than chance."""
    known = [each for each in points if key in each.costs]
    if len(known) < 2:
        return []
    cheapest = min(known, key=lambda each: (each.costs[key], -each.found.value))
    best = max(known, key=lambda each: (each.found.value, -each.costs[key]))
    if cheapest is best:
        return [f"{best.name} has the highest {title_of(board.main)} seen, and {_least(key)}."]
    times = best.costs[key] / cheapest.costs[key]
    start = (
        f"{begun(_what(key))} is least with {cheapest.name}: {_amount(cheapest, key)} against "
        f"{_amount(best, key)} with {best.name}, which has the highest {title_of(board.main)} seen "
        f"({times:.3g} times as much)."
    )
    one = between(board.found, cheapest.name, best.name, metric=board.main, where=MEAN)
    if one is None:
        return [start]
    more = one.more
    gap = f"{signed(more.value)} ({span(more.low, more.high, sign=True)}), {p_text(one.holm)} by Holm"
    if one.shown:
        return [f"{start} That buys more than chance: {gap}."]
    return [f"{start} These images cannot show that it buys anything: {gap}."]


def _title(points: Sequence[Spent], board: Board) -> str:
    kept = front(points, P50)
    known = [each for each in points if P50 in each.costs]
    fast, slow = min(each.costs[P50] for each in known), max(each.costs[P50] for each in known)
    return (
        f"{len(kept)} of {len(known)} settings are not beaten in both latency and {title_of(board.main)}; "
        f"an image takes {fast:.3g} to {slow:.3g} ms"
    )


def _how(board: Board) -> list[tuple[str, str]]:
    """How latency was measured."""
    facts = next(
        (
            row
            for each in board.variants
            for run in each.readings
            for row in run.run.val.values()
            if P50 in row
        ),
        {},
    )
    named = {IMAGES: "images timed", BATCH: "batch size", THREADS: "threads"}
    return [(name, f"{value:.0f}") for key, name in named.items() if (value := facts.get(key)) is not None]


def _waited(board: Board) -> list[str]:
    """Says so where the machine had more to do than cores while latency was measured."""
    rows = [row for each in board.variants for run in each.readings for row in run.run.val.values()]
    loads = [load for row in rows if (load := row.get(LOAD)) is not None]
    if not loads or max(loads) <= _BUSY_FROM:
        return []
    return [
        f"The machine was busy: up to {max(loads):.1f} processes wanted each core while latency was "
        "measured. Do not rely on milliseconds, nor on who is not beaten; measure again when it is idle."
    ]


def _what(key: str) -> str:
    return "the median latency of an image" if key == P50 else "the memory of a class's model"


def _least(key: str) -> str:
    return "the lowest latency" if key == P50 else "the smallest model"


def _amount(each: Spent, key: str) -> str:
    return f"{each.costs[key]:.3g} ms" if key == P50 else f"{each.costs[key] / 1e6:.3g} MB"
